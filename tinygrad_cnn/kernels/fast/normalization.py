"""Batch normalisation, channel by channel, each channel while it is in near memory.

A channel is a row of (C, M): all its values, one after the other, as they lie with the
batch innermost. See `reference` for the formulas.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import reference
from .calls import FLOATS, Array, Call, InParts, batch_innermost, run, writeable
from .compiling import compiled
from .reduction import by_channel


def _serves(x: Array) -> bool:
    return x.size > 0 and x.dtype.char in FLOATS


def _empty(x: Array) -> Array:
    """Memory for a result like x, with the batch innermost."""
    y = np.empty((*x.shape[1:], len(x)), x.dtype)
    return y.transpose(-1, *range(x.ndim - 1))


def batch_norm(
    x: Array, gamma: Array | None, beta: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """γ (x − μ) r + β, and μ and r, for each channel."""
    if not _serves(x):
        return reference.batch_norm(x, gamma, beta, eps)
    x, kept = batch_innermost(x), (1, x.shape[1], *[1] * (x.ndim - 2))
    y, mu, r = _empty(x), np.empty(kept, x.dtype), np.empty(kept, x.dtype)
    run(forward_call(x, gamma, beta, eps, y, mu, r))
    return y, mu, r


def forward_call(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    eps: float,
    y: Array,
    mu: Array,
    r: Array,
) -> Call | None:
    """Write y, μ and r; None where x or y has not the batch innermost."""
    weights = _of_channels(gamma, 1, x), _of_channels(beta, 0, x), x.dtype.type(eps)
    return _call(normalize, (x, y), *weights, mu.reshape(-1), r.reshape(-1))


def moments(x: Array) -> tuple[Array, Array]:
    """The mean and the biased variance of each channel."""
    if not _serves(x):
        return reference.moments(x)
    mean, variance = np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    run(_call(find_moments, (batch_innermost(x),), mean, variance))
    return mean, variance


def batch_norm_input(
    g: Array, x: Array, gamma: Array | None, mu: Array, r: Array
) -> Array:
    """γ r (g − Σ g / m − x̂ Σ g x̂ / m), x̂ = (x − μ) r, for each channel."""
    if not _serves(g):
        return reference.batch_norm_input(g, x, gamma, mu, r)
    g, x, dx = batch_innermost(g), batch_innermost(x), _empty(x)
    run(input_call(g, x, gamma, mu, r, dx))
    return dx


def input_call(
    g: Array, x: Array, gamma: Array | None, mu: Array, r: Array, dx: Array
) -> Call | None:
    """Write dx; None where an array has not the batch innermost."""
    statistics = _of_channels(gamma, 1, x), mu.reshape(-1), r.reshape(-1)
    return _call(go_back, (g, x, dx), *statistics)


def batch_norm_scale(g: Array, x: Array, mu: Array, r: Array) -> Array:
    """Σ g x̂ for each channel."""
    if not _serves(g):
        return reference.batch_norm_scale(g, x, mu, r)
    out = np.empty(x.shape[1], x.dtype)
    run(scale_call(batch_innermost(g), batch_innermost(x), mu, r, out))
    return out


def scale_call(g: Array, x: Array, mu: Array, r: Array, out: Array) -> Call | None:
    """Write out (C); None where an array has not the batch innermost."""
    return _call(sum_products, (g, x), mu.reshape(-1), r.reshape(-1), out)


def _call(kernel: InParts, images: tuple[Array, ...], *channels: Any) -> Call | None:
    """The call for images as (C, M), if all lie so, and arrays of one value a channel."""
    rows = [by_channel(a) for a in images]
    if any(a is None or not a.size or not a.flags.writeable for a in rows):
        return None
    first = images[0]
    return kernel.call(16 * first.size, *rows, *channels, most=first.shape[1])


def _of_channels(v: Array | None, otherwise: float, x: Array) -> Array:
    """(C), writeable; the same number for all channels where v is None."""
    if v is None:
        return np.full(x.shape[1], otherwise, x.dtype)
    return writeable(v.reshape(-1))


@compiled
def mean_and_variance(values: Array) -> tuple[Any, Any]:
    """Of one channel, in two passes; sums are made in pieces, so that errors stay small."""
    m, zero = values.size, values.dtype.type(0)
    total = zero
    for start in range(0, m, 1024):
        part, piece = values[start : start + 1024], zero
        for i in range(part.size):
            piece += part[i]
        total += piece
    mean = total / values.dtype.type(m)
    total = zero
    for start in range(0, m, 1024):
        part, piece = values[start : start + 1024], zero
        for i in range(part.size):
            piece += (part[i] - mean) * (part[i] - mean)
        total += piece
    return mean, total / values.dtype.type(m)


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
    one = x.dtype.type(1)
    for c in range(part * len(x) // parts, (part + 1) * len(x) // parts):
        values, out = x[c], y[c]
        mean, variance = mean_and_variance(values)
        mu[c], r[c] = mean, one / np.sqrt(variance + eps)
        scale, shift = r[c] * gamma[c], beta[c]
        for k in range(values.size):
            out[k] = (values[k] - mean) * scale + shift


@InParts
def find_moments(part: int, parts: int, x: Array, mean: Array, variance: Array) -> None:
    """Write the mean and the variance."""
    for c in range(part * len(x) // parts, (part + 1) * len(x) // parts):
        mean[c], variance[c] = mean_and_variance(x[c])


@compiled
def sums_of(g: Array, values: Array, mean: Any, r: Any) -> tuple[Any, Any]:
    """Σ g and Σ g x̂ of one channel."""
    zero = values.dtype.type(0)
    plain = weighted = zero
    for start in range(0, g.size, 1024):
        g_piece, x_piece = g[start : start + 1024], values[start : start + 1024]
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
    m = x.dtype.type(x.shape[1])
    for c in range(part * len(x) // parts, (part + 1) * len(x) // parts):
        given, values, out, mean, factor = g[c], x[c], dx[c], mu[c], r[c]
        plain, weighted = sums_of(given, values, mean, factor)
        plain, weighted, scale = plain / m, weighted / m, gamma[c] * factor
        for k in range(values.size):
            normal = (values[k] - mean) * factor
            out[k] = scale * (given[k] - plain - normal * weighted)


@InParts
def sum_products(
    part: int, parts: int, g: Array, x: Array, mu: Array, r: Array, out: Array
) -> None:
    """Write Σ g x̂."""
    for c in range(part * len(x) // parts, (part + 1) * len(x) // parts):
        out[c] = sums_of(g[c], x[c], mu[c], r[c])[1]
