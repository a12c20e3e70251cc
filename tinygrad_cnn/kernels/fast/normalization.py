"""Batch normalisation, channel by channel, each channel while it is in near memory.

A channel is a row of (C, M): all its values, one after the other, as they lie with the
batch innermost. See `reference` for the formulas.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .. import reference
from ..threads import parts_for
from .compiling import compiled, in_parallel
from .layout import batch_innermost, writeable
from .reduction import by_channel
from .sums import Call, run

Array = np.ndarray[Any, Any]


def _rows(*arrays: Array) -> list[Array] | None:
    """Each array as (C, M), if all lie so."""
    found = [by_channel(a) for a in arrays]
    if any(a is None or not a.size or not a.flags.writeable for a in found):
        return None
    return found  # type: ignore[return-value]


def _like(x: Array) -> Array:
    """Memory for a result, with the batch innermost."""
    return np.empty((*x.shape[1:], x.shape[0]), x.dtype).transpose(
        -1, *range(x.ndim - 1)
    )


def _call(part: Any, parts: Any, x: Array, *arguments: Any) -> Call:
    number = min(parts_for(16 * x.size), len(x))
    if number <= 1:
        return Call(part, (0, 1, x, *arguments))
    return Call(parts, (number, x, *arguments))


def _of_channels(v: Array | None, otherwise: float, x: Array) -> Array:
    """(C) in one piece; the same number for all where v is None."""
    if v is None:
        return np.full(x.shape[1], otherwise, x.dtype)
    return writeable(v.reshape(-1))


def batch_norm(
    x: Array, gamma: Array | None, beta: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """γ (x − μ) r + β, and μ and r, for each channel."""
    x, kept = batch_innermost(x), (1, x.shape[1], *[1] * (x.ndim - 2))
    y, mu, r = _like(x), np.empty(kept, x.dtype), np.empty(kept, x.dtype)
    call = forward_call(x, gamma, beta, eps, y, mu, r)
    if call is None:
        return reference.batch_norm(x, gamma, beta, eps)
    run([call])
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
    rows = _rows(x, y)
    if rows is None:
        return None
    weights = _of_channels(gamma, 1, x), _of_channels(beta, 0, x), x.dtype.type(eps)
    into = rows[1], mu.reshape(-1), r.reshape(-1)
    return _call(forward_part, forward_parts, rows[0], *weights, *into)


def moments(x: Array) -> tuple[Array, Array]:
    """The mean and the biased variance of each channel."""
    rows = _rows(batch_innermost(x))
    if rows is None:
        return reference.moments(x)
    mean, variance = (np.empty(x.shape[1], x.dtype) for _ in range(2))
    run([_call(moments_part, moments_parts, rows[0], mean, variance)])
    return mean, variance


def batch_norm_input(
    g: Array, x: Array, gamma: Array | None, mu: Array, r: Array
) -> Array:
    """γ r (g − Σ g / m − x̂ Σ g x̂ / m), x̂ = (x − μ) r, for each channel."""
    g, x, dx = batch_innermost(g), batch_innermost(x), _like(x)
    call = input_call(g, x, gamma, mu, r, dx)
    if call is None:
        return reference.batch_norm_input(g, x, gamma, mu, r)
    run([call])
    return dx


def input_call(
    g: Array, x: Array, gamma: Array | None, mu: Array, r: Array, dx: Array
) -> Call | None:
    """Write dx; None where an array has not the batch innermost."""
    rows = _rows(g, x, dx)
    if rows is None:
        return None
    statistics = _of_channels(gamma, 1, x), mu.reshape(-1), r.reshape(-1)
    return _call(input_part, input_parts, *rows[:2], *statistics, rows[2])


def batch_norm_scale(g: Array, x: Array, mu: Array, r: Array) -> Array:
    """Σ g x̂ for each channel."""
    g, x, out = batch_innermost(g), batch_innermost(x), np.empty(x.shape[1], x.dtype)
    call = scale_call(g, x, mu, r, out)
    if call is None:
        return reference.batch_norm_scale(g, x, mu, r)
    run([call])
    return out


def scale_call(g: Array, x: Array, mu: Array, r: Array, out: Array) -> Call | None:
    """Write out (C); None where an array has not the batch innermost."""
    rows = _rows(g, x)
    if rows is None:
        return None
    return _call(scale_part, scale_parts, *rows, mu.reshape(-1), r.reshape(-1), out)


@compiled
def mean_and_variance(values: Array) -> Any:
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


@compiled
def forward_part(
    part: int,
    parts: int,
    x: Array,
    gamma: Array,
    beta: Array,
    eps: Any,
    y: Array,
    mu: Array,
    r: Array,
) -> None:
    """One of `parts` equal parts of the channels."""
    one = x.dtype.type(1)
    for c in range(part * len(x) // parts, (part + 1) * len(x) // parts):
        values, out = x[c], y[c]
        mean, variance = mean_and_variance(values)
        mu[c], r[c] = mean, one / np.sqrt(variance + eps)
        scale, shift = r[c] * gamma[c], beta[c]
        for k in range(values.size):
            out[k] = (values[k] - mean) * scale + shift


@compiled
def moments_part(part: int, parts: int, x: Array, mean: Array, variance: Array) -> None:
    """One of `parts` equal parts of the channels."""
    for c in range(part * len(x) // parts, (part + 1) * len(x) // parts):
        mean[c], variance[c] = mean_and_variance(x[c])


@compiled
def sums_of(g: Array, values: Array, mean: Any, r: Any) -> Any:
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


@compiled
def input_part(
    part: int,
    parts: int,
    g: Array,
    x: Array,
    gamma: Array,
    mu: Array,
    r: Array,
    dx: Array,
) -> None:
    """One of `parts` equal parts of the channels."""
    m = x.dtype.type(x.shape[1])
    for c in range(part * len(x) // parts, (part + 1) * len(x) // parts):
        given, values, out, mean, factor = g[c], x[c], dx[c], mu[c], r[c]
        plain, weighted = sums_of(given, values, mean, factor)
        plain, weighted, scale = plain / m, weighted / m, gamma[c] * factor
        for k in range(values.size):
            normal = (values[k] - mean) * factor
            out[k] = scale * (given[k] - plain - normal * weighted)


@compiled
def scale_part(
    part: int, parts: int, g: Array, x: Array, mu: Array, r: Array, out: Array
) -> None:
    """One of `parts` equal parts of the channels."""
    for c in range(part * len(x) // parts, (part + 1) * len(x) // parts):
        out[c] = sums_of(g[c], x[c], mu[c], r[c])[1]


@in_parallel
def forward_parts(
    parts: int,
    x: Array,
    gamma: Array,
    beta: Array,
    eps: Any,
    y: Array,
    mu: Array,
    r: Array,
) -> None:
    """All parts, one to a thread."""
    for part in numba.prange(parts):
        forward_part(part, parts, x, gamma, beta, eps, y, mu, r)


@in_parallel
def moments_parts(parts: int, x: Array, mean: Array, variance: Array) -> None:
    """All parts, one to a thread."""
    for part in numba.prange(parts):
        moments_part(part, parts, x, mean, variance)


@in_parallel
def input_parts(
    parts: int,
    g: Array,
    x: Array,
    gamma: Array,
    mu: Array,
    r: Array,
    dx: Array,
) -> None:
    """All parts, one to a thread."""
    for part in numba.prange(parts):
        input_part(part, parts, g, x, gamma, mu, r, dx)


@in_parallel
def scale_parts(
    parts: int, g: Array, x: Array, mu: Array, r: Array, out: Array
) -> None:
    """All parts, one to a thread."""
    for part in numba.prange(parts):
        scale_part(part, parts, g, x, mu, r, out)
