"""Batch normalisation and dropout: operations that training and evaluation see differently.

Layers, groups and instances are normalised by `BatchNorm` as well, as channels of a batch
of one (`nn.functional.normalization`).
"""

from __future__ import annotations

import math

from ..kernels import active
from .arithmetic import Pow
from .base import Op, Shapes, Value, recorded
from .reduction import Mean, Sum, Var
from .selection import Where


def per_channel(v: Value, ndim: int) -> Value:
    """(C) as (1, C, 1, …), to meet images."""
    return v.reshape((1, -1) + (1,) * (ndim - 2))


class BatchNorm(Op):
    """y[k] = γ x̂[k] + β with x̂ = (x − μ) r, r = 1 / √(σ² + ε), per channel.

    x (N, C, …); γ, β (C) or None (1 and 0). μ and σ² are the mean and the biased variance
    over the m = N·… values k of a channel. `lenet` §6.1 states the forward (without γ, β)
    and no gradient. Derived here, sums running over those m values:
    x[k] acts on y[k] directly, and on all of y through μ and through σ². With ĝ = γ g,
      Σ ĝ x̂ reaches r by ∂L/∂r = Σ ĝ (x − μ), ∂r/∂x[k] = −r³ (x[k] − μ)/m = −r² x̂[k]/m;
      Σ ĝ reaches μ by −r, and ∂μ/∂x[k] = 1 / m. Together
    ∂L/∂x[k] = γ r (g[k] − Σ_j g[j] / m − x̂[k] Σ_j g[j] x̂[j] / m).
    ∂L/∂γ = Σ_k g[k] x̂[k],   ∂L/∂β = Σ_k g[k].
    Where these are not recorded, one kernel each computes them.
    """

    eps: float = 1e-5
    keeps = ("mu", "r")
    compiled = "batch_norm"
    normalises = True

    def forward(
        self, x: Value, gamma: Value, beta: Value
    ) -> tuple[Value, Value, Value]:
        return active.batch_norm(x, gamma, beta, self.eps)

    def mu(self, x: Value) -> Value:
        return Mean(_all_but_channels(x.ndim), keepdims=True)(x)

    def r(self, x: Value) -> Value:
        variance = Var(_all_but_channels(x.ndim), keepdims=True, correction=0)(x)
        return Pow()(variance + self.eps, -0.5)

    def grad_x(self, g: Value, x: Value, gamma: Value, mu: Value, r: Value) -> Value:
        if not recorded(g, x, gamma):
            return BatchNormInput()(g, x, gamma, mu, r)
        mean = Mean(_all_but_channels(x.ndim), keepdims=True)
        normal = (x - mu) * r
        scale = r if gamma is None else r * per_channel(gamma, x.ndim)
        return scale * (g - mean(g) - normal * mean(g * normal))

    def grad_gamma(self, g: Value, x: Value, mu: Value, r: Value) -> Value:
        if not recorded(g, x):
            return BatchNormScale()(g, x, mu, r)
        return Sum(_all_but_channels(x.ndim))(g * ((x - mu) * r))

    def grad_beta(self, g: Value, x: Value) -> Value:
        return _sums(g, x)


class BatchNormInput(Op, register=False):
    """∂L/∂x of `BatchNorm` in one kernel, without a gradient of its own."""

    compiled = "batch_norm_input"

    def forward(self, g: Value, x: Value, gamma: Value, mu: Value, r: Value) -> Value:
        return active.batch_norm_input(g, x, gamma, mu, r)


class BatchNormScale(Op, register=False):
    """∂L/∂γ of `BatchNorm` in one kernel, without a gradient of its own."""

    compiled = "batch_norm_scale"

    def forward(self, g: Value, x: Value, mu: Value, r: Value) -> Value:
        return active.batch_norm_scale(g, x, mu, r)


class BatchNormEval(Op):
    """y[k] = γ (x[k] − mean) r + β with r = 1 / √(var + ε), per channel.

    x (N, C, …); mean and var (C), which are given; γ, β (C) or None (1 and 0). Each x[k]
    acts on y[k] alone, and var through r, by ∂r/∂var = −r³ / 2; with k over a channel,
    ∂L/∂x[k] = g[k] γ r;   ∂L/∂γ = Σ_k g[k] (x[k] − mean) r;   ∂L/∂β = Σ_k g[k];
    ∂L/∂mean = −Σ_k g[k] γ r;   ∂L/∂var = −Σ_k g[k] γ (x[k] − mean) r³ / 2.
    Computed as x[k] γ r + (β − mean γ r): one product and one sum.
    """

    eps: float = 1e-5
    compiled = "batch_norm_eval"
    flat_slope = "alone"

    def forward(
        self, x: Value, mean: Value, var: Value, gamma: Value, beta: Value
    ) -> Value:
        scale, shift = self.scale_and_shift(mean, var, gamma, beta)
        y = x * per_channel(scale, x.ndim)
        y += per_channel(shift, x.ndim)
        return y

    def scale_and_shift(
        self, mean: Value, var: Value, gamma: Value, beta: Value
    ) -> tuple[Value, Value]:
        """γ r and β − mean γ r, so that y is one product and one sum."""
        scale = self._scale(var, gamma)
        return scale, -mean * scale if beta is None else beta - mean * scale

    def grad_x(self, g: Value, var: Value, gamma: Value) -> Value:
        return g * per_channel(self._scale(var, gamma), g.ndim)

    def grad_mean(self, g: Value, var: Value, gamma: Value) -> Value:
        return -Sum(_all_but_channels(g.ndim))(g) * self._scale(var, gamma)

    def grad_var(
        self, g: Value, x: Value, mean: Value, var: Value, gamma: Value
    ) -> Value:
        total = Sum(_all_but_channels(g.ndim))(g * (x - per_channel(mean, x.ndim)))
        return total * self._scale(var, gamma) / (var + self.eps) * -0.5

    def grad_gamma(self, g: Value, x: Value, mean: Value, var: Value) -> Value:
        total = Sum(_all_but_channels(g.ndim))(g * (x - per_channel(mean, x.ndim)))
        return total * self._scale(var, None)

    def grad_beta(self, g: Value, x: Value) -> Value:
        return _sums(g, x)

    def _scale(self, var: Value, gamma: Value) -> Value:
        r = Pow()(var + self.eps, -0.5)
        return r if gamma is None else r * gamma

    def multiply_adds(self, shapes: Shapes, y_shape: tuple[int, ...]) -> int:
        return math.prod(y_shape)


def _sums(g: Value, x: Value) -> Value:
    """Σ_k g[k]; where recorded, a function of x as well, as in PyTorch: a flat one."""
    g = Where()(True, g, x) if recorded(x) else g
    return Sum(_all_but_channels(g.ndim))(g)


def _all_but_channels(ndim: int) -> tuple[int, ...]:
    return (0, *range(2, ndim))


class Dropout(Op):
    """y = x · m, where m is 0 with probability p and else 1 / (1 − p), so that E[y] = x.

    m is drawn outside and is a constant here: ∂L/∂x = g · m.
    """

    p: float
    constant = ("m",)
    bilinear = True

    def forward(self, x: Value, m: Value) -> Value:
        return x * m

    def grad_x(self, g: Value, m: Value) -> Value:
        return Dropout(self.p)(g, m)

    def branch(self, m: Value) -> Value:
        return m != 0

    kept = branch
