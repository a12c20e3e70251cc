"""Elementary functions: angles, hyperbolic functions, logarithms, the error function.

y[i] = f(x[i]) and ∂L/∂x[i] = g[i] · f′(x[i]). (exp, ln and the root are in `arithmetic`,
tanh and arctan in `activation`.)
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from ..kernels import active
from .activation import Sigmoid
from .arithmetic import Exp, Log, Sqrt
from .base import Elementwise, Value
from .selection import Where


class Function(Elementwise, register=False):
    """Base of what a function of NumPy computes."""

    function: ClassVar[np.ufunc]

    def forward(self, x: Value) -> Value:
        return self.function(x)


class Sin(Function):
    """y = sin x.   ∂L/∂x = g · cos x."""

    function = np.sin

    def grad_x(self, g: Value, x: Value) -> Value:
        return g * Cos()(x)


class Cos(Function):
    """y = cos x.   ∂L/∂x = −g · sin x."""

    function = np.cos

    def grad_x(self, g: Value, x: Value) -> Value:
        return -g * Sin()(x)


class Tan(Function):
    """y = tan x.   dy/dx = 1 / (cos x)² = 1 + y².   ∂L/∂x = g · (1 + y²)."""

    function = np.tan

    def grad_x(self, g: Value, y: Value) -> Value:
        return g * (1 + y * y)


class Asin(Function):
    """y = arcsin x.   From sin y = x: dy/dx = 1 / cos y.   ∂L/∂x = g / √(1 − x²)."""

    function = np.arcsin

    def grad_x(self, g: Value, x: Value) -> Value:
        return g / Sqrt()(1 - x * x)


class Acos(Function):
    """y = arccos x.   From cos y = x: dy/dx = −1 / sin y.   ∂L/∂x = −g / √(1 − x²)."""

    function = np.arccos

    def grad_x(self, g: Value, x: Value) -> Value:
        return -g / Sqrt()(1 - x * x)


class Atan2(Elementwise):
    """y = arctan(a / b), where b > 0; in general the angle of the point (b, a), −π to π.

    Since tan y = a / b: ∂L/∂a = g b / (a² + b²);   ∂L/∂b = −g a / (a² + b²). In the origin,
    where there is no angle, both are 0, as in PyTorch.
    """

    def forward(self, a: Value, b: Value) -> Value:
        return np.arctan2(a, b)

    def grad_a(self, g: Value, a: Value, b: Value) -> Value:
        return g * (b * self._inverse_square(a, b))

    def grad_b(self, g: Value, a: Value, b: Value) -> Value:
        return g * (-a * self._inverse_square(a, b))

    def _inverse_square(self, a: Value, b: Value) -> Value:
        square = a * a + b * b
        return Where()(square == 0, 0.0, 1.0 / square)


class Sinh(Function):
    """y = sinh x = (eˣ − e⁻ˣ) / 2.   ∂L/∂x = g · cosh x."""

    function = np.sinh

    def grad_x(self, g: Value, x: Value) -> Value:
        return g * Cosh()(x)


class Cosh(Function):
    """y = cosh x = (eˣ + e⁻ˣ) / 2.   ∂L/∂x = g · sinh x."""

    function = np.cosh

    def grad_x(self, g: Value, x: Value) -> Value:
        return g * Sinh()(x)


class Asinh(Function):
    """y = arsinh x.   From sinh y = x: dy/dx = 1 / cosh y.   ∂L/∂x = g / √(x² + 1)."""

    function = np.arcsinh

    def grad_x(self, g: Value, x: Value) -> Value:
        return g / Sqrt()(x * x + 1)


class Acosh(Function):
    """y = arcosh x.   From cosh y = x: dy/dx = 1 / sinh y.   ∂L/∂x = g / √(x² − 1)."""

    function = np.arccosh

    def grad_x(self, g: Value, x: Value) -> Value:
        return g / Sqrt()(x * x - 1)


class Atanh(Function):
    """y = artanh x.   From tanh y = x: dy/dx = 1 / (1 − x²).   ∂L/∂x = g / (1 − x²)."""

    function = np.arctanh

    def grad_x(self, g: Value, x: Value) -> Value:
        return g / (1 - x * x)


class Expm1(Function):
    """y = eˣ − 1, exact where x is small.   ∂L/∂x = g · (y + 1)."""

    function = np.expm1

    def grad_x(self, g: Value, y: Value) -> Value:
        return g * (y + 1)


class Log1p(Function):
    """y = ln(1 + x), exact where x is small.   ∂L/∂x = g / (1 + x)."""

    function = np.log1p

    def grad_x(self, g: Value, x: Value) -> Value:
        return g / (1 + x)


class Log2(Function):
    """y = ln x / ln 2, exact for powers of 2.   ∂L/∂x = g / (x ln 2)."""

    function = np.log2

    def grad_x(self, g: Value, x: Value) -> Value:
        return g / (x * math.log(2))


class Log10(Function):
    """y = ln x / ln 10.   ∂L/∂x = g / (x ln 10)."""

    function = np.log10

    def grad_x(self, g: Value, x: Value) -> Value:
        return g / (x * math.log(10))


class Erf(Elementwise):
    """y = erf x: 2 / √π times the integral of exp(−t²) from 0 to x.

    ∂L/∂x = g · 2 / √π · exp(−x²): the integrand at its end.
    """

    compiled = "erf"

    def forward(self, x: Value) -> Value:
        return active.erf(x)

    def grad_x(self, g: Value, x: Value) -> Value:
        return g * (2 / math.sqrt(math.pi) * Exp()(-(x * x)))


class Erfc(Elementwise):
    """y = 1 − erf x, exact where it is small.   ∂L/∂x = −g · 2 / √π · exp(−x²)."""

    def forward(self, x: Value) -> Value:
        return np.asarray(_ERFC(x)).astype(x.dtype)

    def grad_x(self, g: Value, x: Value) -> Value:
        return -Erf().grad_x(g, x)


_ERFC = np.frompyfunc(math.erfc, 1, 1)  # NumPy has none


class Hypot(Elementwise):
    """y = √(a² + b²), without overflow.   ∂L/∂a = g a / y,   ∂L/∂b = g b / y."""

    def forward(self, a: Value, b: Value) -> Value:
        return np.hypot(a, b)

    def grad_a(self, g: Value, y: Value, a: Value) -> Value:
        return g * (a / y)

    def grad_b(self, g: Value, y: Value, b: Value) -> Value:
        return g * (b / y)


class LogAddExp(Elementwise):
    """y = ln(eᵃ + eᵇ), without overflow.   ∂L/∂a = g · σ(a − b),   ∂L/∂b = g · σ(b − a)."""

    def forward(self, a: Value, b: Value) -> Value:
        return np.logaddexp(a, b)

    def grad_a(self, g: Value, a: Value, b: Value) -> Value:
        return g * Sigmoid()(a - b)

    def grad_b(self, g: Value, a: Value, b: Value) -> Value:
        return g * Sigmoid()(b - a)


class XLogY(Elementwise):
    """y = a ln b; it is 0 where a = 0, whatever b is, but for NaN.

    ∂L/∂a = g · ln b,   ∂L/∂b = g a / b. Where a = 0 and b ≤ 0, ∂y/∂a is 0, as in PyTorch.
    """

    def forward(self, a: Value, b: Value) -> Value:
        return np.where((a == 0) & ~np.isnan(b), 0, a * np.log(b))

    def grad_a(self, g: Value, a: Value, b: Value) -> Value:
        return Where()((a == 0) & (b <= 0), 0.0, g * Log()(b))

    def grad_b(self, g: Value, a: Value, b: Value) -> Value:
        return g * a / b
