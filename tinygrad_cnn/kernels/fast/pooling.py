"""Max pooling in one pass over windows; see `reference` for the formulas and the ties."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import reference
from ..geometry import Pair, Window
from .calls import FLOATS, Array, Call, InParts, batch_last, run
from .compiling import compiled
from .sums import block_of


@functools.lru_cache(maxsize=256)
def _taps(window: Window, size: Pair, positions: Pair) -> Array:
    """For each tap: the row and the column of the image that the first window meets with
    it, the first window in a row whose tap lies in the image, and the first behind them.
    """
    (ky, kx), (dy, dx), (py, px) = window.kernel, window.dilation, window.padding
    s, w, count = window.stride[1], size[1], positions[1]
    taps = []
    for u in range(ky):
        for v in range(kx):
            column = dx * v - px
            first = max(0, -(column // s))
            behind = max(first, min(count, (w - 1 - column) // s + 1))
            taps.append((dy * u - py, column, first, behind))
    return np.array(taps, np.int64)


def max_pool2d(x: Array, window: Window, ceil_mode: bool) -> tuple[Array, Array]:
    """max over (u, v) of x[n, c, s i + d u − p, s j + d v − p], and its tap."""
    if window.kernel[0] * window.kernel[1] > 256 or x.dtype.char not in FLOATS:
        return reference.max_pool2d(x, window, ceil_mode)
    i, j = window.output_size((x.shape[2], x.shape[3]), ceil_mode)
    x = batch_last(x)
    y = np.empty((x.shape[0], i, j, x.shape[3]), x.dtype)
    tap = np.empty(y.shape, np.uint8)
    run(pool_call(x, window, y, tap))
    return y.transpose(3, 0, 1, 2), tap.transpose(3, 0, 1, 2)


def _halves(window: Window, x: tuple[int, ...], y: tuple[int, ...]) -> bool:
    """Whether windows of 2 × 2 lie side by side, all inside of the image."""
    return window == HALVES and 2 * y[1] <= x[1] and 2 * y[2] <= x[2]


HALVES = Window((2, 2), (2, 2))


def pool_call(x: Array, window: Window, y: Array, tap: Array) -> Call:
    """Write the maxima y and their taps; all contiguous (C, H, W, N)."""
    if _halves(window, x.shape, y.shape):
        return pool_halves.call(8 * x.size, x, y, tap)
    taps = _taps(window, x.shape[1:3], y.shape[1:3])
    return pool_rows.call(8 * x.size, x, *window.stride, taps, y, tap)


def max_pool2d_put(g: Array, tap: Array, size: Pair, window: Window) -> Array:
    """dx += g at the tap that each window took, windows that overlap adding up."""
    if tap.dtype != np.uint8 or g.dtype.char not in FLOATS:
        return reference.max_pool2d_put(g, tap, size, window)
    g, tap = batch_last(g), batch_last(tap)
    x = np.empty((g.shape[0], *size, g.shape[3]), g.dtype)
    run(put_call(g, tap, window, x))
    return x.transpose(3, 0, 1, 2)


def put_call(g: Array, tap: Array, window: Window, x: Array) -> Call:
    """Write x, g put back to the taps; all contiguous (C, H, W, N)."""
    if _halves(window, x.shape, g.shape):
        return put_halves.call(8 * x.size, g, tap, x)
    taps = _taps(window, x.shape[1:3], g.shape[1:3])
    given = g, tap, *window.stride, taps, x
    return put_channels.call(8 * x.size, *given, most=len(g))


@compiled
def choose(first: Any, second: Any, third: Any, fourth: Any) -> tuple[Any, Any]:
    """The largest, and which it is; the first of equal ones, the last NaN."""
    best, tap = first, np.uint8(0)
    better = second > best or second != second
    best, tap = (second, np.uint8(1)) if better else (best, tap)
    better = third > best or third != third
    best, tap = (third, np.uint8(2)) if better else (best, tap)
    better = fourth > best or fourth != fourth
    return (fourth, np.uint8(3)) if better else (best, tap)


@InParts
def pool_halves(part: int, parts: int, x: Array, y: Array, tap: Array) -> None:
    """Write y and the taps of windows of 2 × 2 side by side; arrays (C, H, W, N)."""
    c, i, j, n = y.shape
    start, stop, n0, n1 = block_of(part, parts, c * i, n)
    for row in range(start, stop):
        channel, a = row // i, row % i
        upper, lower = x[channel, 2 * a], x[channel, 2 * a + 1]
        out, chosen = y[channel, a], tap[channel, a]
        if n == 1:
            for b in range(j):
                four = upper[2 * b, 0], upper[2 * b + 1, 0], lower[2 * b, 0]
                out[b, 0], chosen[b, 0] = choose(*four, lower[2 * b + 1, 0])
            continue
        for b in range(j):
            first, second = upper[2 * b][n0:n1], upper[2 * b + 1][n0:n1]
            third, fourth = lower[2 * b][n0:n1], lower[2 * b + 1][n0:n1]
            most, taken = out[b][n0:n1], chosen[b][n0:n1]
            for m in range(most.size):
                best, t = choose(first[m], second[m], third[m], fourth[m])
                most[m] = best
                taken[m] = t


@InParts
def pool_rows(
    part: int, parts: int, x: Array, sy: int, sx: int, taps: Array, y: Array, tap: Array
) -> None:
    """Write the rows of y and of the taps; arrays (C, H, W, N)."""
    _, h, _, n = x.shape
    c, i, j, _ = y.shape
    for row in range(part * c * i // parts, (part + 1) * c * i // parts):
        channel, a = row // i, row % i
        fresh = np.ones(j, np.bool_)  # no tap of the window seen so far
        for k in range(len(taps)):
            top, r0, b0, b1 = taps[k]
            q, t = sy * a + top, np.uint8(k)
            if q < 0 or q >= h:
                continue
            source, best, chosen = x[channel, q], y[channel, a], tap[channel, a]
            if n == 1:
                for b in range(b0, b1):
                    value = source[sx * b + r0, 0]
                    better = value > best[b, 0] or value != value or fresh[b]
                    best[b, 0] = value if better else best[b, 0]
                    chosen[b, 0] = t if better else chosen[b, 0]
                    fresh[b] = False
                continue
            for b in range(b0, b1):
                first = fresh[b]
                fresh[b] = False
                values, most, taken = source[sx * b + r0], best[b], chosen[b]
                for m in range(n):
                    value = values[m]
                    better = first or value > most[m] or value != value
                    most[m] = value if better else most[m]
                    taken[m] = t if better else taken[m]
        for b in range(j):
            if fresh[b]:  # it lies wholly in the padding
                y[channel, a, b] = -np.inf
                tap[channel, a, b] = 0


@InParts
def put_halves(part: int, parts: int, g: Array, tap: Array, x: Array) -> None:
    """Write x, where windows of 2 × 2 lie side by side; arrays (C, H, W, N)."""
    c, i, j, n = g.shape
    h, zero = x.shape[1], x.dtype.type(0)
    start, stop, n0, n1 = block_of(part, parts, c * i, n)
    for row in range(start, stop):
        channel, a = row // i, row % i
        values, chosen = g[channel, a], tap[channel, a]
        into = x[channel, 2 * a : h if a == i - 1 else 2 * a + 2]
        # No window meets what is left of an odd height or width.
        into[2:, :, n0:n1], into[:, 2 * j :, n0:n1] = zero, zero
        if n == 1:
            for b in range(j):
                for k in range(4):
                    own = values[b, 0] if chosen[b, 0] == k else zero
                    into[k // 2, 2 * b + k % 2, 0] = zero + own
            continue
        for b in range(j):
            given, taken = values[b][n0:n1], chosen[b][n0:n1]
            for k in range(4):
                onto, t = into[k // 2, 2 * b + k % 2][n0:n1], np.uint8(k)
                for m in range(onto.size):
                    onto[m] = zero + (given[m] if taken[m] == t else zero)


@InParts
def put_channels(
    part: int, parts: int, g: Array, tap: Array, sy: int, sx: int, taps: Array, x: Array
) -> None:
    """Write the channels of x; arrays (C, H, W, N)."""
    c, i, _, n = g.shape
    h, zero = x.shape[1], x.dtype.type(0)
    for channel in range(part * c // parts, (part + 1) * c // parts):
        x[channel] = 0
        for a in range(i):
            for k in range(len(taps)):
                top, r0, b0, b1 = taps[k]
                q, t = sy * a + top, np.uint8(k)
                if q < 0 or q >= h:
                    continue
                values, chosen, into = g[channel, a], tap[channel, a], x[channel, q]
                if n == 1:
                    for b in range(b0, b1):
                        own = values[b, 0] if chosen[b, 0] == t else zero
                        into[sx * b + r0, 0] += own
                    continue
                for b in range(b0, b1):
                    given, taken, onto = values[b], chosen[b], into[sx * b + r0]
                    for m in range(n):
                        onto[m] += given[m] if taken[m] == t else zero
