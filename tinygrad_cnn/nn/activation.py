"""Activation functions. Any shape in, the same shape out; formulas: `ops.activation`."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..engine import Tensor
from ..errors import ArgumentError
from . import functional as F
from .layer import Layer


@dataclass(eq=False, repr=False)
class ReLU(Layer):
    """max(0, x). See `ops.activation.ReLU`."""

    inplace: bool = field(default=False, repr=False)

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)


@dataclass(eq=False, repr=False)
class LeakyReLU(Layer):
    """x where positive, else negative_slope · x. See `ops.activation.LeakyReLU`."""

    negative_slope: float = 0.01
    inplace: bool = field(default=False, repr=False)

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class Sigmoid(Layer):
    """1 / (1 + e⁻ˣ). See `ops.activation.Sigmoid`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Tanh(Layer):
    """The hyperbolic tangent. See `ops.activation.Tanh`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


@dataclass(eq=False, repr=False)
class Hardtanh(Layer):
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

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


@dataclass(eq=False, repr=False)
class Softmax(Layer):
    """e^x over its sum along `dim`. See `ops.classification.Softmax`."""

    dim: int | None = None

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


@dataclass(eq=False, repr=False)
class LogSoftmax(Layer):
    """The logarithm of the softmax along `dim`. See `ops.classification.LogSoftmax`."""

    dim: int | None = None

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)
