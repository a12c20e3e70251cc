"""Activations: any shape in, the same shape out. See `ops.activation`."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from ..core.creation import full
from ..core.engine import Tensor
from ..errors import ArgumentError, ShapeError
from . import functional as F
from . import init
from .layer import FunctionLayer, Layer
from .parameter import Parameter


class _Activation(FunctionLayer):
    """One that may work in place, which its repr says where it does."""

    inplace: bool = field(default=False, repr=False)


class ReLU(_Activation, function=F.relu):
    """max(0, x). See `ops.activation.ReLU`."""


class ReLU6(_Activation, function=F.relu6):
    """min(max(0, x), 6)."""


class SELU(_Activation, function=F.selu):
    """scale · ELU, which leaves mean 0 and variance 1 as they are."""


class SiLU(_Activation, function=F.silu):
    """x · σ(x). See `ops.activation.SiLU`."""


class Mish(_Activation, function=F.mish):
    """x · tanh(ln(1 + eˣ)). See `ops.activation.Mish`."""


class Hardswish(_Activation, function=F.hardswish):
    """x · min(max(0, x + 3), 6) / 6."""

    def extra_repr(self) -> str:
        return ""


class Hardsigmoid(Hardswish, function=F.hardsigmoid):
    """x / 6 + 1/2 between 0 and 1."""


class LeakyReLU(FunctionLayer, function=F.leaky_relu):
    """x where positive, else negative_slope · x. See `ops.activation.LeakyReLU`."""

    negative_slope: float = 0.01
    inplace: bool = field(default=False, repr=False)


class RReLU(FunctionLayer, function=F.rrelu):
    """LeakyReLU of slopes drawn from [lower, upper); in evaluation, of their mean."""

    lower: float = 1.0 / 8
    upper: float = 1.0 / 3
    inplace: bool = field(default=False, repr=False)

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class PReLU(Layer):
    """x where positive, else weight · x. See `ops.activation.PReLU`.

    weight (num_parameters): one, or one for each channel; all `init` at first.
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        slopes = full((num_parameters,), float(init), dtype=dtype, device=device)
        self.weight = Parameter(slopes)

    def reset_parameters(self) -> None:
        """Start again."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Threshold(FunctionLayer, function=F.threshold):
    """x where x > threshold, else value. See `ops.activation.Threshold`."""

    threshold: float
    value: float
    inplace: bool = field(default=False, repr=False)


class ELU(FunctionLayer, function=F.elu):
    """x where positive, else alpha (eˣ − 1). See `ops.activation.ELU`."""

    alpha: float = 1.0
    inplace: bool = field(default=False, repr=False)


class CELU(ELU, function=F.celu):
    """x where positive, else alpha (e^(x / alpha) − 1): without a corner."""


class Sigmoid(FunctionLayer, function=F.sigmoid):
    """1 / (1 + e⁻ˣ). See `ops.activation.Sigmoid`."""


class LogSigmoid(FunctionLayer, function=F.logsigmoid):
    """ln σ(x). See `ops.activation.LogSigmoid`."""


class Softplus(FunctionLayer, function=F.softplus):
    """ln(1 + e^(beta x)) / beta, x for large beta x. See `ops.activation.Softplus`."""

    beta: float = 1.0
    threshold: float = 20.0


class Softsign(FunctionLayer, function=F.softsign):
    """x / (1 + |x|)."""


class Tanh(FunctionLayer, function=F.tanh):
    """The hyperbolic tangent. See `ops.activation.Tanh`."""


class Tanhshrink(FunctionLayer, function=F.tanhshrink):
    """x − tanh x."""


class GELU(FunctionLayer, function=F.gelu):
    """x times the share of a normal distribution below it. See `ops.gelu.GELU`."""

    approximate: str = "none"


class Hardtanh(FunctionLayer, function=F.hardtanh):
    """x held between min_val and max_val. See `ops.activation.Hardtanh`."""

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_val > self.min_val:
            raise ArgumentError(
                f"max_val {self.max_val} must be larger than min_val {self.min_val}"
            )


class Hardshrink(FunctionLayer, function=F.hardshrink):
    """x, and 0 where |x| ≤ lambd. See `ops.activation.Hardshrink`."""

    lambd: float = 0.5

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(Hardshrink, function=F.softshrink):
    """x nearer to 0 by lambd. See `ops.activation.Softshrink`."""


class GLU(FunctionLayer, function=F.glu):
    """a · σ(b) of the two halves a and b along `dim`."""

    dim: int = -1


class Softmax(FunctionLayer, function=F.softmax):
    """e^x over its sum along `dim`. See `ops.classification.Softmax`."""

    dim: int | None = None


class LogSoftmax(FunctionLayer, function=F.log_softmax):
    """The logarithm of the softmax along `dim`. See `ops.classification.LogSoftmax`."""

    dim: int | None = None


class Softmin(FunctionLayer, function=F.softmin):
    """The softmax of −x along `dim`."""

    dim: int | None = None


class Softmax2d(Layer):
    """The softmax over the channels of images (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ShapeError(
                f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead"
            )
        return input.softmax(-3)
