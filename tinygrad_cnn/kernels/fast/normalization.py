"""Batch normalisation, channel by channel, each channel while it is in near memory.

Images lie as (runs, C, values): with the batch innermost there is one run for each channel,
and in C order there is one for each image. See `reference` for the formulas.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import reference
from .calls import FLOATS, Array, Call, InParts, batch_last, row_by_row, run, writeable
from .compiling import compiled

SHORT = 16
"""Values from which on the run of one image is long enough for vectors."""

PIECE = 1024
"""So many values are summed alone, so that errors stay small."""


def _serves(x: Array) -> bool:
    return x.size > 0 and x.dtype.char in FLOATS


def runs_of(x: Array) -> Array:
    """(N, C, …) as (runs, C, values): a copy only where it lies otherwise."""
    n, c, *lengths = x.shape
    if x.flags.carray and (n == 1 or math.prod(lengths) >= SHORT):
        return x.reshape(n, c, -1)
    return batch_last(x).reshape(1, c, -1)


def _beside(g: Array, x: Array, runs: Array) -> Array:
    """The runs of g, as x has them."""
    if len(runs) == 1 < len(x):
        return batch_last(g).reshape(runs.shape)
    turned = batch_last(g).reshape(-1, len(g)).T if not g.flags.carray else g
    return row_by_row(turned.reshape(len(g), -1)).reshape(runs.shape)


def _result(x: Array, runs: Array) -> Array:
    """Memory of its own (so that it may become a `.grad`) for images like x; its `runs_of`
    are like these.
    """
    n, c, *lengths = x.shape
    if len(runs) == n:
        return np.empty(x.shape, x.dtype)
    turned = runs.reshape(c, *lengths, n).transpose(-1, *range(x.ndim - 1))
    return np.empty_like(turned)


def batch_norm(
    x: Array, gamma: Array | None, beta: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """γ (x − μ) r + β, and μ and r, for each channel."""
    if not _serves(x):
        return reference.batch_norm(x, gamma, beta, eps)
    runs, kept = runs_of(x), (1, x.shape[1], *[1] * (x.ndim - 2))
    y, mu, r = _result(x, runs), np.empty(kept, x.dtype), np.empty(kept, x.dtype)
    run(forward_call(runs, gamma, beta, eps, runs_of(y), mu, r))
    return y, mu, r


def forward_call(
    x: Array, gamma: Array | None, beta: Array | None, eps: float, *written: Array
) -> Call:
    """Write y, μ and r."""
    y, mu, r = written
    weights = _of_channels(gamma, 1, x), _of_channels(beta, 0, x), x.dtype.type(eps)
    return _call(normalize, x, y, *weights, mu.reshape(-1), r.reshape(-1))


def moments(x: Array) -> tuple[Array, Array]:
    """The mean and the biased variance of each channel."""
    if not _serves(x):
        return reference.moments(x)
    mean, variance = np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    run(_call(find_moments, runs_of(x), mean, variance))
    return mean, variance


def batch_norm_input(
    g: Array, x: Array, gamma: Array | None, mu: Array, r: Array
) -> Array:
    """γ r (g − Σ g / m − x̂ Σ g x̂ / m), x̂ = (x − μ) r, for each channel."""
    if not _serves(g):
        return reference.batch_norm_input(g, x, gamma, mu, r)
    runs = runs_of(x)
    dx = _result(x, runs)
    run(input_call(_beside(g, x, runs), runs, runs_of(dx), gamma, mu, r))
    return dx


def input_call(
    g: Array, x: Array, dx: Array, gamma: Array | None, mu: Array, r: Array
) -> Call:
    """Write dx."""
    statistics = _of_channels(gamma, 1, x), mu.reshape(-1), r.reshape(-1)
    return _call(go_back, g, x, dx, *statistics)


def batch_norm_scale(g: Array, x: Array, mu: Array, r: Array) -> Array:
    """Σ g x̂ for each channel."""
    if not _serves(g):
        return reference.batch_norm_scale(g, x, mu, r)
    out, runs = np.empty(x.shape[1], x.dtype), runs_of(x)
    run(scale_call(_beside(g, x, runs), runs, mu, r, out))
    return out


def scale_call(g: Array, x: Array, mu: Array, r: Array, out: Array) -> Call:
    """Write out (C)."""
    return _call(sum_products, g, x, mu.reshape(-1), r.reshape(-1), out)


def _call(kernel: InParts, x: Array, *others: Any) -> Call:
    """With arrays (C, values) as one run."""
    given = [
        v[None] if isinstance(v, np.ndarray) and v.ndim == 2 else v for v in others
    ]
    x = x[None] if x.ndim == 2 else x
    return kernel.call(16 * x.size, x, *given, most=x.shape[1])


def _of_channels(v: Array | None, otherwise: float, x: Array) -> Array:
    """(C), writeable; the same number for all channels where v is None."""
    if v is None:
        return np.full(x.shape[-2], otherwise, x.dtype)
    return writeable(v.reshape(-1))


@compiled
def mean_and_variance(x: Array, c: int) -> tuple[Any, Any]:
    """Of one channel, in one pass: what each piece has joins what those before it have."""
    of = x.dtype.type
    count = mean = squares = of(0)
    for n in range(len(x)):
        values = x[n, c]
        for start in range(0, values.size, PIECE):
            piece = values[start : start + PIECE]
            total = spread = of(0)
            for k in range(piece.size):
                total += piece[k]
            more = of(piece.size)
            own = total / more
            for k in range(piece.size):
                spread += (piece[k] - own) * (piece[k] - own)
            share, apart = more / (count + more), own - mean
            if count == 0:  # without the square of a mean that may be large
                share, apart = of(1), of(0)
                mean = own
            mean += apart * share
            squares += spread + apart * apart * (count * share)
            count += more
    return mean, squares / count


@InParts
def normalize(
    part: int,
    parts: int,
    x: Array,
    y: Array,
    gamma: Array,
    beta: Array,
    eps: Any,
    mu: Array,
    r: Array,
) -> None:
    """Write y, μ and r."""
    one, channels = x.dtype.type(1), x.shape[1]
    for c in range(part * channels // parts, (part + 1) * channels // parts):
        mean, variance = mean_and_variance(x, c)
        mu[c], r[c] = mean, one / np.sqrt(variance + eps)
        scale, shift = r[c] * gamma[c], beta[c]
        for n in range(len(x)):
            values, out = x[n, c], y[n, c]
            for k in range(values.size):
                out[k] = (values[k] - mean) * scale + shift


@InParts
def find_moments(part: int, parts: int, x: Array, mean: Array, variance: Array) -> None:
    """Write the mean and the variance."""
    channels = x.shape[1]
    for c in range(part * channels // parts, (part + 1) * channels // parts):
        mean[c], variance[c] = mean_and_variance(x, c)


@compiled
def sums_of(g: Array, x: Array, c: int, mean: Any, r: Any) -> tuple[Any, Any]:
    """Σ g and Σ g x̂ of one channel."""
    zero = x.dtype.type(0)
    plain = weighted = zero
    for n in range(len(x)):
        given, values = g[n, c], x[n, c]
        for start in range(0, values.size, PIECE):
            g_piece, x_piece = (
                given[start : start + PIECE],
                values[start : start + PIECE],
            )
            first = second = zero
            for k in range(g_piece.size):
                first += g_piece[k]
                second += g_piece[k] * ((x_piece[k] - mean) * r)
            plain += first
            weighted += second
    return plain, weighted


@InParts
def go_back(
    part: int,
    parts: int,
    g: Array,
    x: Array,
    dx: Array,
    gamma: Array,
    mu: Array,
    r: Array,
) -> None:
    """Write dx."""
    channels, m = x.shape[1], x.dtype.type(len(x) * x.shape[2])
    for c in range(part * channels // parts, (part + 1) * channels // parts):
        mean, factor = mu[c], r[c]
        plain, weighted = sums_of(g, x, c, mean, factor)
        plain, weighted, scale = plain / m, weighted / m, gamma[c] * factor
        for n in range(len(x)):
            given, values, out = g[n, c], x[n, c], dx[n, c]
            for k in range(values.size):
                normal = (values[k] - mean) * factor
                out[k] = scale * (given[k] - plain - normal * weighted)


@InParts
def sum_products(
    part: int, parts: int, g: Array, x: Array, mu: Array, r: Array, out: Array
) -> None:
    """Write Σ g x̂."""
    channels = x.shape[1]
    for c in range(part * channels // parts, (part + 1) * channels // parts):
        out[c] = sums_of(g, x, c, mu[c], r[c])[1]
