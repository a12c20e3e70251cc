"""GELU: x times the share of a normal distribution that lies below x."""

from __future__ import annotations

import math

import numpy as np

from ..kernels import active
from .activation import Slope, Tanh
from .arithmetic import Exp
from .base import Elementwise, Value, recorded
from .elementary import Erf


class GELU(Elementwise):
    """y = x (1 + erf(x / √2)) / 2.

    erf(x / √2) has the slope 2 exp(−x² / 2) / √(2 π), so by the product rule
    ∂L/∂x = g · ((1 + erf(x / √2)) / 2 + x exp(−x² / 2) / √(2 π)).
    """

    compiled = "gelu"

    def forward(self, x: Value) -> Value:
        return active.gelu(x)

    def grad_x(self, g: Value, x: Value) -> Value:
        if not recorded(g, x):
            return Slope("gelu_input")(g, x)
        share = (1 + Erf()(x * math.sqrt(0.5))) * 0.5
        density = Exp()(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
        return g * (share + x * density)


class TanhGELU(Elementwise):
    """y = x (1 + t) / 2, where t = tanh(√(2 / π) (x + 0.044715 x³)): nearly GELU.

    dt/dx = (1 − t²) u with u = √(2 / π) (1 + 0.134145 x²), so
    ∂L/∂x = g · ((1 + t) + x (1 − t²) u) / 2.
    """

    def forward(self, x: Value) -> Value:
        return x * (1 + np.tanh(self._argument(x))) / 2

    def grad_x(self, g: Value, x: Value) -> Value:
        t = Tanh()(self._argument(x))
        u = math.sqrt(2 / math.pi) * (1 + 0.134145 * (x * x))
        return g * ((1 + t) + x * (1 - t * t) * u) * 0.5

    def _argument(self, x: Value) -> Value:
        return math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
