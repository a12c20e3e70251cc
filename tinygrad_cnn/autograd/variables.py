"""Variable, which Tensors that ask for gradients were wrapped in before PyTorch 0.4."""

from __future__ import annotations

import warnings
from typing import Any

from ..core.engine import Tensor
from ..errors import DTypeError


class _AnyTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_AnyTensor):
    """Variable(x, requires_grad=False): a leaf Tensor that shares the memory of Tensor x.

    Every Tensor is an instance. `volatile` does nothing any more, with a warning.
    Raises DTypeError for other than a Tensor.
    """

    def __new__(
        cls, data: Any, requires_grad: bool = False, volatile: bool = False
    ) -> Any:
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with no_grad():` "
                "instead.",
                stacklevel=2,
            )
        if not isinstance(data, Tensor):
            got = type(data).__name__
            raise DTypeError(f"Variable data has to be a tensor, but got {got}")
        return data.detach().requires_grad_(requires_grad)
