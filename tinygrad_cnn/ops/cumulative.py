"""Sums and products of all values up to each one, along an axis.

Index letters: k runs along the axis; i and j name other places on it.
"""

from __future__ import annotations

import numpy as np

from .arithmetic import Exp
from .base import Op, Value, shape_of
from .reduction import Axis, Reduction, spread
from .shape import Index, Pad


def backwards(x: Value, axis: int) -> Value:
    """The last value first."""
    axis %= len(shape_of(x))
    return Index((slice(None),) * axis + (slice(None, None, -1),))(x)


def moved(x: Value, axis: int, by: int, fill: float) -> Value:
    """x[k − by] at k (`by` is 1 or −1), and `fill` where there is no such value."""
    widths = [(0, 0)] * len(shape_of(x))
    if shape_of(x)[axis]:
        widths[axis] = (by, -by)
    return Pad(tuple(widths), fill)(x)


class Cumulative(Op, register=False):
    """Base: along which axis."""

    axis: int


class CumSum(Cumulative):
    """y[k] = Σ_j x[j] where j ≤ k.

    x[k] is in the sums from k on: ∂L/∂x[k] = Σ_i g[i] where i ≥ k. That is the same from
    the other end.
    """

    def forward(self, x: Value) -> Value:
        return np.cumsum(x, self.axis, None if x.dtype.kind == "f" else np.int64)

    def grad_x(self, g: Value) -> Value:
        return backwards(self(backwards(g, self.axis)), self.axis)


class Recurrence(Cumulative):
    """y[k] = x[k] + a[k] y[k − 1], beginning with y = x.

    Backwards it is the same recurrence, with r[k] = g[k] + a[k + 1] r[k + 1]:
    ∂L/∂x[k] = r[k],   ∂L/∂a[k] = r[k] y[k − 1].
    """

    def forward(self, x: Value, a: Value) -> Value:
        y = np.array(x)
        along, factors = np.moveaxis(y, self.axis, 0), np.moveaxis(a, self.axis, 0)
        for k in range(1, len(along)):
            along[k] += factors[k] * along[k - 1]
        return y

    def grad_x(self, g: Value, a: Value) -> Value:
        after = moved(a, self.axis, -1, 0.0)
        r = self(backwards(g, self.axis), backwards(after, self.axis))
        return backwards(r, self.axis)

    def grad_a(self, g: Value, y: Value, a: Value) -> Value:
        return self.grad_x(g, a) * moved(y, self.axis, 1, 0.0)


class CumProd(Cumulative):
    """y[k] = Π_j x[j] where j ≤ k.

    x[k] is a factor from k on: ∂L/∂x[k] = Σ_i g[i] y[i] / x[k] where i ≥ k. Computed
    without the division, since x may be 0: the product of the earlier values, times r[k] of
    the `Recurrence` r[k] = g[k] + x[k + 1] r[k + 1].
    """

    def forward(self, x: Value) -> Value:
        return np.cumprod(x, self.axis, None if x.dtype.kind == "f" else np.int64)

    def grad_x(self, g: Value, y: Value, x: Value) -> Value:
        return moved(y, self.axis, 1, 1.0) * Recurrence(self.axis).grad_x(g, x)


class LogCumSumExp(Cumulative):
    """y[k] = ln(Σ_j [j ≤ k] exp(x[j])), without overflow.

    ∂L/∂x[k] = Σ_i g[i] exp(x[k] − y[i]) where i ≥ k. That is exp(x[k] − y[k]) r[k] with the
    `Recurrence` r[k] = g[k] + exp(y[k] − y[k + 1]) r[k + 1], where nothing overflows, for y
    only grows.
    """

    gives = "logarithms"

    def forward(self, x: Value) -> Value:
        return np.logaddexp.accumulate(x, self.axis)

    def grad_x(self, g: Value, y: Value, x: Value) -> Value:
        # What would be before the first y is not read.
        decay = Exp()(moved(y, self.axis, 1, 0.0) - y)
        return Exp()(x - y) * Recurrence(self.axis).grad_x(g, decay)


class Prod(Reduction):
    """y = Π_k x[k].

    ∂L/∂x[k] = g · y / x[k]. Computed without the division, since x may be 0: the product of
    the earlier values, times that of the later ones. `axis` is one axis.
    """

    axis: Axis = (0,)

    def forward(self, x: Value) -> Value:
        dtype = None if x.dtype.kind == "f" else np.int64
        return np.prod(x, axis=self.axis, keepdims=self.keepdims, dtype=dtype)

    def grad_x(self, g: Value, x: Value) -> Value:
        assert self.axis is not None
        (axis,) = self.axis
        before = moved(CumProd(axis)(x), axis, 1, 1.0)
        after = CumProd(axis)(backwards(moved(x, axis, -1, 1.0), axis))
        return spread(g, shape_of(x), self.axis) * before * backwards(after, axis)
