"""Sums, means and extremes over axes. `axis` is None (all axes) or a tuple of axes.

Index letter: k runs over the values that become one.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import ClassVar

import numpy as np

from ..kernels import active
from .activation import Keep
from .arithmetic import Exp
from .base import Op, Value, shape_of
from .selection import Abs, Sign, Where
from .shape import Cast, Expand, Reshape

Axis = tuple[int, ...] | None


def spread(r: Value, shape: tuple[int, ...], axis: Axis) -> Value:
    """A reduced value back at the shape before the reduction, repeated over `axis`."""
    axes = range(len(shape)) if axis is None else [a % len(shape) for a in axis]
    kept = tuple(1 if a in axes else s for a, s in enumerate(shape))
    return Expand(shape)(r if shape_of(r) == kept else Reshape(kept)(r))


def count(shape: tuple[int, ...], axis: Axis) -> int:
    """How many values each reduced value stands for."""
    return math.prod(shape if axis is None else [shape[a] for a in axis])


class Reduction(Op):
    """Base of the reductions: over which axes, and whether they stay with length 1."""

    axis: Axis = None
    keepdims: bool = False


class Sum(Reduction):
    """y = Σ_k x[k].   Each x counts once: ∂L/∂x[k] = g."""

    compiled = "sums"

    def forward(self, x: Value) -> Value:
        of_channels = x.ndim > 1 and self.axis == (0, *range(2, x.ndim))
        if of_channels and not self.keepdims and x.dtype.kind == "f":
            return active.channel_sums(x)
        # Integers add up in int64, as in PyTorch; NumPy would stay unsigned.
        dtype = None if x.dtype.kind == "f" else np.int64
        return x.sum(self.axis, dtype, keepdims=self.keepdims)

    def grad_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        return spread(g, x_shape, self.axis)


class Mean(Reduction):
    """y = Σ_k x[k] / n, the mean of n values; NaN where n = 0.   ∂L/∂x[k] = g / n."""

    def forward(self, x: Value) -> Value:
        n = count(x.shape, self.axis)
        total = np.sum(x, axis=self.axis, keepdims=self.keepdims)
        return total / n if n else total * math.nan

    def grad_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        n = count(x_shape, self.axis)
        return spread(g / n, x_shape, self.axis) if n else spread(g, x_shape, self.axis)


class Var(Reduction):
    """y = Σ_k (x[k] − μ)² / (n − correction), μ the mean of n values; 1 gives the unbiased.

    ∂L/∂x[k] = 2 g (x[k] − μ) / (n − correction): the terms through μ cancel, since
    Σ_k (x[k] − μ) = 0.
    """

    correction: int = 1

    def forward(self, x: Value) -> Value:
        return self.exact(x).astype(x.dtype)

    def exact(self, x: Value) -> Value:
        """In float64, where squares of float32 cannot overflow."""
        x = x.astype(np.float64)
        d = x - Mean(self.axis, keepdims=True)(x)
        total = np.sum(d * d, axis=self.axis, keepdims=self.keepdims)
        return total / np.float64(self._freedom(x.shape))

    def grad_x(self, g: Value, x: Value) -> Value:
        d = x - Mean(self.axis, keepdims=True)(x)
        freedom = self._freedom(x.shape)
        return (
            spread(g, x.shape, self.axis) * d * (2 / freedom if freedom else math.inf)
        )

    def _freedom(self, shape: tuple[int, ...]) -> int:
        return max(count(shape, self.axis) - self.correction, 0)


class Std(Reduction):
    """y = √(Σ_k (x[k] − μ)² / (n − correction)), μ the mean of n values.

    ∂L/∂x[k] = g (x[k] − μ) / ((n − correction) y): g / 2y goes through the variance. Where
    all x are equal and y = 0, it is 0, as in PyTorch.
    """

    correction: int = 1

    def forward(self, x: Value) -> Value:
        return np.sqrt(self._variance.exact(x)).astype(x.dtype)

    def grad_x(self, g: Value, y: Value, x: Value) -> Value:
        return self._variance.grad_x(g / (2.0 * Where()(y != 0, y, math.inf)), x)

    @property
    def _variance(self) -> Var:
        return Var(self.axis, self.keepdims, self.correction)

    def branch(self, y: Value) -> Value:
        return y != 0

    def margin(self, y: Value) -> Value:
        return y


class Extreme(Reduction, register=False):
    """Base of the greatest and the least value: g goes to the places that attain it.

    nan_attains: where y is NaN, g goes to the NaNs, as in PyTorch's max(); without it, each
    gradient is NaN, as in its amax().
    """

    of_two: ClassVar[np.ufunc]
    nan_attains: bool = field(default=False, repr=False)

    def forward(self, x: Value) -> Value:
        return self.of_two.reduce(x, axis=self.axis, keepdims=self.keepdims)

    def grad_x(self, g: Value, y: Value, x: Value) -> Value:
        at = x == spread(y, x.shape, self.axis)
        if self.nan_attains:
            at = at | ((x != x) & spread(y != y, x.shape, self.axis))
        return share(g, at, x.dtype, self.axis)

    def branch(self, y: Value, x: Value) -> Value:
        return x == spread(y, x.shape, self.axis)

    def margin(self, y: Value, x: Value) -> Value:
        return lead(np.abs(x - spread(y, x.shape, self.axis)), self.axis)


class Max(Extreme):
    """y = max_k x[k]; NaN wins. Ties share, as in PyTorch:

    ∂L/∂x[k] = g / m where x[k] = y, else 0, m being the number of such k.
    """

    of_two = np.maximum


class Min(Extreme):
    """y = min_k x[k]; NaN wins. Ties share, as in PyTorch:

    ∂L/∂x[k] = g / m where x[k] = y, else 0, m being the number of such k.
    """

    of_two = np.minimum


def share(g: Value, at: Value, dtype: Value, axis: Axis) -> Value:
    """g divided evenly among the places `at`, which are constants."""
    at = Cast(dtype)(at)
    return spread(g, at.shape, axis) * (at / Sum(axis, keepdims=True)(at))


def lead(gap: Value, axis: Axis) -> Value:
    """How far each x may move: its gap to the extreme, or the extreme's to the next."""
    first = gap == 0
    others = np.where(first, np.inf, gap).min(axis=axis, keepdims=True)
    tied = first.sum(axis=axis, keepdims=True) > 1
    return np.where(first, np.where(tied, 0, others), gap)


class Norm(Reduction):
    """y = √(Σ_k x[k]²).

    ∂L/∂x[k] = g · x[k] / y where y ≠ 0, else 0; as in PyTorch.
    """

    def forward(self, x: Value) -> Value:
        return np.sqrt(np.sum(x * x, axis=self.axis, keepdims=self.keepdims))

    def grad_x(self, g: Value, y: Value, x: Value) -> Value:
        weight = spread(g / y, x.shape, self.axis)
        return Keep()(x * weight, spread(y, x.shape, self.axis) != 0)

    def branch(self, y: Value) -> Value:
        return y != 0

    def margin(self, y: Value) -> Value:
        return y


class PNorm(Reduction):
    """y = (Σ_k |x[k]|^p)^(1/p), for p > 0.

    ∂L/∂x[k] = g sign(x[k]) (|x[k]| / y)^(p − 1); where x[k] = 0 it is 0, as in PyTorch.
    """

    p: float = 3.0

    def forward(self, x: Value) -> Value:
        powers = np.abs(x) ** self.p
        return np.sum(powers, self.axis, keepdims=self.keepdims) ** (1 / self.p)

    def grad_x(self, g: Value, y: Value, x: Value) -> Value:
        y = spread(Where()(y != 0, y, math.inf), x.shape, self.axis)
        share = (Abs()(x) / y) ** (self.p - 1)
        return Keep()(spread(g, x.shape, self.axis) * (Sign()(x) * share), x != 0)

    def branch(self, x: Value) -> Value:
        return np.sign(x).astype(np.int8)

    def margin(self, x: Value) -> Value:
        return np.abs(x)


class LogSumExp(Reduction):
    """y = ln(Σ_k exp(x[k])); computed as m + ln(Σ_k exp(x[k] − m)), m = max x (finite).

    ∂L/∂x[k] = g · exp(x[k] − y): the softmax.
    """

    gives = "logarithms"

    def forward(self, x: Value) -> Value:
        m = np.max(x, axis=self.axis, keepdims=True, initial=-np.inf)
        m = np.where(np.isfinite(m), m, 0)
        total = np.sum(np.exp(x - m), axis=self.axis, keepdims=True)
        y = m + np.log(total)
        return y if self.keepdims else np.squeeze(y, self.axis)

    def grad_x(self, g: Value, y: Value, x: Value) -> Value:
        weight = Exp()(x - spread(y, x.shape, self.axis))
        return spread(g, x.shape, self.axis) * weight
