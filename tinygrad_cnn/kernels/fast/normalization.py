"""Batch normalisation, channel by channel, each channel while it is in near memory.

A channel is a row of (C, M): all its values, one after the other, as they lie with the
batch innermost. See `reference` for the formulas.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import reference
from .calls import FLOATS, Array, Call, InParts, batch_last, run, writeable
from .compiling import compiled


def _serves(x: Array) -> bool:
    return x.size > 0 and x.dtype.char in FLOATS


def _rows(x: Array) -> Array:
    """(N, C, …) as (C, M)."""
    return batch_last(x).reshape(x.shape[1], -1)


def _images(rows: Array, x: Array) -> Array:
    """(C, M) in the shape of x, with the batch innermost."""
    return rows.reshape(*x.shape[1:], len(x)).transpose(-1, *range(x.ndim - 1))


def batch_norm(
    x: Array, gamma: Array | None, beta: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """γ (x − μ) r + β, and μ and r, for each channel."""
    if not _serves(x):
        return reference.batch_norm(x, gamma, beta, eps)
    rows, kept = _rows(x), (1, x.shape[1], *[1] * (x.ndim - 2))
    y, mu, r = np.empty_like(rows), np.empty(kept, x.dtype), np.empty(kept, x.dtype)
    run(forward_call(rows, gamma, beta, eps, y, mu, r))
    return _images(y, x), mu, r


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
    run(_call(find_moments, _rows(x), mean, variance))
    return mean, variance


def batch_norm_input(
    g: Array, x: Array, gamma: Array | None, mu: Array, r: Array
) -> Array:
    """γ r (g − Σ g / m − x̂ Σ g x̂ / m), x̂ = (x − μ) r, for each channel."""
    if not _serves(g):
        return reference.batch_norm_input(g, x, gamma, mu, r)
    rows = _rows(x)
    dx = np.empty_like(rows)
    run(input_call(_rows(g), rows, dx, gamma, mu, r))
    return _images(dx, x)


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
    out = np.empty(x.shape[1], x.dtype)
    run(scale_call(_rows(g), _rows(x), mu, r, out))
    return out


def scale_call(g: Array, x: Array, mu: Array, r: Array, out: Array) -> Call:
    """Write out (C)."""
    return _call(sum_products, g, x, mu.reshape(-1), r.reshape(-1), out)


def _call(kernel: InParts, x: Array, *others: Any) -> Call:
    return kernel.call(16 * x.size, x, *others, most=len(x))


def _of_channels(v: Array | None, otherwise: float, x: Array) -> Array:
    """(C), writeable; the same number for all channels where v is None."""
    if v is None:
        return np.full(len(x), otherwise, x.dtype)
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
