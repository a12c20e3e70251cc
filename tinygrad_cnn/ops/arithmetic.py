"""Element-wise arithmetic. y[i] depends on the inputs at i alone, so each gradient is
g times the ordinary derivative, at i; the engine sums over what broadcasting repeated.
Inputs may be arrays or Python numbers (which never widen the dtype).
"""

from __future__ import annotations

import math

import numpy as np

from .base import Elementwise, Value
from .selection import Round, Where


class Add(Elementwise):
    """y = a + b.   ∂L/∂a = g,   ∂L/∂b = g."""

    ufunc = np.add
    adds = "a", "b"
    adjusts = True

    def forward(self, a: Value, b: Value) -> Value:
        return a + b

    def grad_a(self, g: Value) -> Value:
        return g

    def grad_b(self, g: Value) -> Value:
        return g


class Sub(Elementwise):
    """y = a − b.   ∂L/∂a = g,   ∂L/∂b = −g."""

    ufunc = np.subtract
    adds = "a", "b"

    def forward(self, a: Value, b: Value) -> Value:
        return a - b

    def grad_a(self, g: Value) -> Value:
        return g

    def grad_b(self, g: Value) -> Value:
        return -g


class Mul(Elementwise):
    """y = a · b.   ∂L/∂a = g · b,   ∂L/∂b = g · a."""

    ufunc = np.multiply
    bilinear = True

    def forward(self, a: Value, b: Value) -> Value:
        return a * b

    def grad_a(self, g: Value, b: Value) -> Value:
        return g * b

    def grad_b(self, g: Value, a: Value) -> Value:
        return g * a


class Div(Elementwise):
    """y = a / b.   ∂L/∂a = g / b,   ∂L/∂b = −g · a / b²."""

    ufunc = np.divide

    def forward(self, a: Value, b: Value) -> Value:
        return a / b

    def grad_a(self, g: Value, b: Value) -> Value:
        return g / b

    def grad_b(self, g: Value, a: Value, b: Value) -> Value:
        return -(g / b) * (a / b)


class Remainder(Elementwise):
    """y = a − q b, where q is a / b rounded down; or towards 0 (`to_zero`).

    ∂L/∂a = g,   ∂L/∂b = −g q: q is constant between its jumps.
    """

    to_zero: bool = False

    def forward(self, a: Value, b: Value) -> Value:
        return (np.fmod if self.to_zero else np.mod)(a, b)

    def grad_a(self, g: Value) -> Value:
        return g

    def grad_b(self, g: Value, y: Value, a: Value, b: Value) -> Value:
        return -g * self._quotient(y, a, b)

    def _quotient(self, y: Value, a: Value, b: Value) -> Value:
        return Round()((a - y) / b)

    branch = _quotient

    def margin(self, y: Value, a: Value, b: Value) -> Value:
        """How far a is from a multiple of b; towards 0, none is at 0."""
        to_next = np.abs(b) - np.abs(y)
        no_last = np.logical_and(self.to_zero, np.abs(a) < np.abs(b))
        return np.where(no_last, to_next, np.minimum(np.abs(y), to_next))


class Pow(Elementwise):
    """y = aᵇ.   ∂L/∂a = g · b aᵇ⁻¹,   ∂L/∂b = g · aᵇ ln a.

    Conventions: ∂y/∂a = 0 where b = 0, and ∂y/∂b = 0 where a = 0 and b ≥ 0, the limits.
    """

    def forward(self, a: Value, b: Value) -> Value:
        return a**b

    def grad_a(self, g: Value, a: Value, b: Value) -> Value:
        if isinstance(b, int | float):
            return g * (b * a ** (b - 1)) if b else g * 0.0
        return Where()(b == 0, 0.0, g * (b * a ** (b - 1)))

    def grad_b(self, g: Value, y: Value, a: Value, b: Value) -> Value:
        if isinstance(a, int | float):
            log = math.log(a) if a > 0 else -math.inf if a == 0 else math.nan
            return Where()((b >= 0) & (a == 0), 0.0, g * y * log)
        return Where()((a == 0) & (b >= 0), 0.0, g * (y * Log()(a)))


class Neg(Elementwise):
    """y = −a.   ∂L/∂a = −g."""

    ufunc = np.negative

    def forward(self, a: Value) -> Value:
        return -a

    def grad_a(self, g: Value) -> Value:
        return -g


class Exp(Elementwise):
    """y = eᵃ.   ∂L/∂a = g · y."""

    ufunc = np.exp

    def forward(self, a: Value) -> Value:
        return np.exp(a)

    def grad_a(self, g: Value, y: Value) -> Value:
        return g * y


class Log(Elementwise):
    """y = ln a.   ∂L/∂a = g / a."""

    takes = "positive"
    gives = "logarithms"

    def forward(self, a: Value) -> Value:
        return np.log(a)

    def grad_a(self, g: Value, a: Value) -> Value:
        return g / a


class Sqrt(Elementwise):
    """y = √a.   ∂L/∂a = g / (2 y); infinite at 0, as in PyTorch."""

    def forward(self, a: Value) -> Value:
        return np.sqrt(a)

    def grad_a(self, g: Value, y: Value) -> Value:
        return g / (2 * y)
