"""The dense layer, and what it shares with convolutions: a weight and a bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core.creation import empty
from ..core.engine import Tensor
from . import functional as F
from . import init
from .layer import Layer
from .parameter import Parameter


class _Linear(Layer):
    """A layer whose parameters are `weight` and `bias`, which may be None."""

    def _make_parameters(
        self, shape: Sequence[int], outputs: int, bias: bool, dtype: Any, device: Any
    ) -> None:
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        biases = Parameter(empty(outputs, dtype=dtype)) if bias else None
        self.register_parameter("bias", biases)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, PyTorch's default: uniform in ±1/√fan_in."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)


class Linear(_Linear):
    """y = x Wᵀ + b: (…, in_features) to (…, out_features). See `ops.linear.Linear`.

    weight (out_features, in_features) and bias (out_features; None with bias=False) start
    uniform in ±1/√in_features.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        shape = (out_features, in_features)
        self._make_parameters(shape, out_features, bias, dtype, device)

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self._parameter("weight"), self._parameter("bias")
        return F.linear(input, weight, bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
