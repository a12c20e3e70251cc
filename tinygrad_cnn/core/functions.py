"""`f(x, …)` for `x.f(…)`, as PyTorch has both; and the functions of several Tensors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DTypeError
from .engine import Tensor
from .methods.arithmetic import where as where
from .methods.memory import told_reader
from .methods.shape import cat as cat
from .methods.shape import stack as stack

concat = cat

_METHODS = (
    "abs add all amax amin any argmax argmin atan bmm ceil chunk clamp clip div "
    "dot eq exp flatten flip floor gather isfinite isinf isnan log log_softmax "
    "logsumexp matmul max maximum mean min minimum mm mul neg numel permute pow "
    "relu reshape round sigmoid sign softmax sqrt square squeeze std sub sum tanh "
    "topk transpose unbind unsqueeze var"
)


def _make_function(name: str) -> Callable[..., Any]:
    """`name(input, …)` for `input.name(…)`."""
    method = getattr(Tensor, name)

    @functools.wraps(method)
    def function(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(input, Tensor):
            raise DTypeError(f"{name}() takes a Tensor, got {type(input).__name__}")
        return getattr(input, name)(*args, **kwargs)

    first, *others = inspect.signature(method).parameters.values()
    parameters = [first.replace(name="input"), *others]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


for _name in _METHODS.split():
    globals()[_name] = _make_function(_name)


def split(
    tensor: Tensor, split_size_or_sections: Any, dim: int = 0
) -> tuple[Tensor, ...]:
    """Pieces of one size, or of these sizes, along `dim`."""
    return tensor.split(split_size_or_sections, dim)


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether |input − other| ≤ atol + rtol · |other| everywhere."""
    told_reader("allclose()")
    return np.allclose(input._array, other._array, rtol, atol, equal_nan)


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shape and all values are the same."""
    told_reader("equal()")
    return np.array_equal(input._array, other._array)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)
