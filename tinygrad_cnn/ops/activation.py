"""Activations: element-wise, y[i] = φ(x[i]) and ∂L/∂x[i] = g[i] · φ′(x[i]).

(`numpy-cnn` §1.3; `lenet`, listing of the activations. The identity is no operation, and
`sign` stands in `selection`.)
"""

from __future__ import annotations

import numpy as np

from ..kernels import active
from .base import Elementwise, Inputs, Position, Value
from .selection import Clip
from .words import number


class Keep(Elementwise):
    """y = x where mask, else 0; so also where x is inf or NaN.

    ∂L/∂x = g where mask, else 0: Keep(g). The gradient of every switch.
    """

    constant = ("mask",)

    def forward(self, x: Value, mask: Value) -> Value:
        return active.keep(x, mask)

    def grad_x(self, g: Value, mask: Value) -> Value:
        return Keep()(g, mask)

    def branch(self, mask: Value) -> Value:
        return mask


class Gate(Elementwise):
    """y = x where by > 0, else 0; where `by` is NaN x passes, as in PyTorch.

    ∂L/∂x = g where by > 0, else 0: Gate(g). The gradient of ReLU.
    ∂L/∂by = 0: y is constant between the jumps.
    """

    compiled = "gate"

    def forward(self, x: Value, by: Value) -> Value:
        return active.gate(x, by)

    def grad_x(self, g: Value, by: Value) -> Value:
        return Gate()(g, by)

    def grad_by(self, g: Value) -> Value:
        return g * 0.0

    def branch(self, by: Value) -> Value:
        return by > 0

    def margin(self, by: Value) -> Value:
        return np.abs(by)


class ReLU(Elementwise):
    """y = max(0, x).   ∂L/∂x = g · [y > 0]; at the corner x = 0 it is 0.

    (`numpy-cnn` §1.3.) y > 0 exactly where x > 0, so y alone is kept.
    """

    gives = "rectified"
    floor = 0.0

    def forward(self, x: Value) -> Value:
        return active.relu(x)

    def grad_x(self, g: Value, y: Value) -> Value:
        return Gate()(g, y)

    def branch(self, y: Value) -> Value:
        return y > 0

    def margin(self, x: Value) -> Value:
        return np.abs(x)

    alive = branch

    def note(self, inputs: Inputs, i: int, index: Position, at: Position) -> str:
        x = inputs[0][index]
        sign, fate = ("≤", "is blocked") if x <= 0 else (">", "passes")
        return f"{fate}: x = {number(x)} {sign} 0"


class LeakyReLU(Elementwise):
    """y = x where x > 0, else negative_slope · x.

    ∂L/∂x = g where x > 0, else negative_slope · g.
    """

    negative_slope: float = 0.01
    flat_slope = True

    def forward(self, x: Value) -> Value:
        return np.where(x > 0, x, x * self.negative_slope)

    def grad_x(self, g: Value, x: Value) -> Value:
        return Keep()(g, x > 0) + Keep()(g * self.negative_slope, ~(x > 0))

    def branch(self, x: Value) -> Value:
        return x > 0

    def margin(self, x: Value) -> Value:
        return np.abs(x)

    alive = branch


class Sigmoid(Elementwise):
    """y = 1 / (1 + e⁻ˣ) (`numpy-cnn` eq. 3).

    dy/dx = e⁻ˣ / (1 + e⁻ˣ)² = y (1 − y).   ∂L/∂x = g · y (1 − y).
    Computed from e^−|x|, which cannot overflow.
    """

    gives = "probability"

    def forward(self, x: Value) -> Value:
        e = np.exp(-np.abs(x))
        return np.where(x >= 0, 1, e) / (1 + e)

    def grad_x(self, g: Value, y: Value) -> Value:
        return g * (y * (1 - y))


class Tanh(Elementwise):
    """y = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ).   dy/dx = 1 − y².   ∂L/∂x = g · (1 − y²)."""

    def forward(self, x: Value) -> Value:
        return np.tanh(x)

    def grad_x(self, g: Value, y: Value) -> Value:
        return g * (1 - y * y)


class Hardtanh(Clip):
    """y = min(max(a, low), high); −1 and 1 in `lenet`.

    ∂L/∂a = g · [low < a < high]. At the two corners it is 0 as in PyTorch; the `lenet`
    document counts them in.
    """

    low: float = -1.0
    high: float = 1.0
    adjusts = False
    flat_slope = True

    def grad_a(self, g: Value, a: Value) -> Value:
        return Keep()(g, ~((a <= self.low) | (a >= self.high)))


class Atan(Elementwise):
    """y = arctan x (`numpy-cnn` §1.3).   dy/dx = 1 / (1 + x²).   ∂L/∂x = g / (1 + x²)."""

    def forward(self, x: Value) -> Value:
        return np.arctan(x)

    def grad_x(self, g: Value, x: Value) -> Value:
        return g / (1 + x * x)
