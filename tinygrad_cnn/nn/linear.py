"""The dense layer."""

from __future__ import annotations

import math
from typing import Any

from ..creation import empty
from ..engine import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Linear(Module):
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
        weight = empty(out_features, in_features, dtype=dtype, device=device)
        make_weights(self, weight, out_features if bias else None)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        draw_weights(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


def make_weights(layer: Any, weight: Tensor, biases: int | None) -> None:
    """Give a layer its `weight` and `bias` (None for biases=None) and draw them."""
    layer.weight = Parameter(weight)
    bias = None if biases is None else Parameter(empty(biases, dtype=weight.dtype))
    layer.register_parameter("bias", bias)
    layer.reset_parameters()


def draw_weights(layer: Any) -> None:
    """PyTorch's default: weight and bias uniform in ±1/√fan_in."""
    init.kaiming_uniform_(layer.weight, a=math.sqrt(5))
    if layer.bias is not None:
        fan_in, _ = init._calculate_fan_in_and_fan_out(layer.weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
        init.uniform_(layer.bias, -bound, bound)
