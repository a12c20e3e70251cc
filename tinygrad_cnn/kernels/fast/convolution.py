"""Convolution and its two adjoints as sums over tables; see `reference` for the formulas.

Nothing is copied to columns and nothing is padded: a table lists, for each run of output
positions that meet the same taps, which these are. A run is a row of positions times the
batch where the stride is 1, else the batch at one position.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from .. import reference
from ..geometry import Pair, Window
from .layout import batch_first, batch_last, writeable
from .sums import (
    InnerTable,
    OuterTable,
    inner_sums,
    inner_table,
    outer_sums,
    outer_table,
)

Array = np.ndarray[Any, Any]
Tap = tuple[int, int]  # of one axis: which tap of the kernel, which place of the source


class Segment(NamedTuple):
    """Neighbouring positions of one axis whose taps move along with them."""

    start: int
    length: int
    taps: list[Tap]


def forward_taps(window: Window, axis: int, target: int) -> list[list[Tap]]:
    """For each output position i: the taps u, and the input pixels s i + d u − p."""
    k, s, p, d = _of_axis(window, axis)
    return [[(u, s * i + d * u - p) for u in range(k)] for i in range(target)]


def adjoint_taps(window: Window, axis: int, target: int) -> list[list[Tap]]:
    """For each input pixel q: the taps u, and the output positions i where they met it."""
    k, s, p, d = _of_axis(window, axis)
    return [
        [(u, (q + p - d * u) // s) for u in range(k) if (q + p - d * u) % s == 0]
        for q in range(target)
    ]


def _of_axis(window: Window, axis: int) -> tuple[int, int, int, int]:
    return (
        window.kernel[axis],
        window.stride[axis],
        window.padding[axis],
        window.dilation[axis],
    )


def segments(positions: list[list[Tap]]) -> list[Segment]:
    """The positions of an axis, joined while the next meets the same taps one further on."""
    joined: list[Segment] = []
    for i, taps in enumerate(positions):
        if joined:
            start, length, before = joined[-1]
            if taps == [(u, at + length) for u, at in before]:
                joined[-1] = Segment(start, length + 1, before)
                continue
        joined.append(Segment(i, 1, taps))
    return joined


class Gather(NamedTuple):
    """Each target position as a sum over taps of a source."""

    table: OuterTable
    margins: tuple[Pair, Pair] | None
    """Zeros to be laid around the source first, above and below, left and right."""


@functools.lru_cache(maxsize=256)
def _gather(
    adjoint: bool,
    bordered: bool,
    window: Window,
    channels: Pair,
    source: Pair,
    target: Pair,
    n: int,
) -> Gather:
    """The table of `outer_sums` for channels (o, c) of a kernel; `bordered`: in runs over a
    copy of the source with a border of zeros.
    """
    along = adjoint_taps if adjoint else forward_taps
    axes = [along(window, axis, target[axis]) for axis in (0, 1)]
    margins = None
    if not bordered:
        axes = [_inside(axis, size) for axis, size in zip(axes, source, strict=True)]
    else:
        margins = tuple(_margin(*of) for of in zip(axes, source, strict=True))
        axes = [_moved(*of) for of in zip(axes, margins, strict=True)]
        source = tuple(s + sum(m) for s, m in zip(source, margins, strict=True))
    (height, width), (ky, kx) = source, window.kernel
    inner = channels[0] if adjoint else channels[1]
    w_channel = (channels[1] if adjoint else 1) * ky * kx
    taps: list[tuple[int, int]] = []
    known: dict[Any, tuple[int, int]] = {}
    runs = []
    for column in segments(axes[1]):
        for i, row in enumerate(axes[0]):
            h0, w0 = (t[0][1] if t else 0 for t in (row, column.taps))
            key = column.start, tuple([(u, h - h0) for u, h in row])
            if key not in known:
                first = len(taps)
                taps += [
                    (
                        ((c * height + h - h0) * width + w - w0) * n,
                        c * w_channel + u * kx + v,
                    )
                    for c in range(inner)
                    for u, h in row
                    for v, w in column.taps
                ]
                known[key] = first, len(taps)
            at = (i * target[1] + column.start) * n
            runs.append(((h0 * width + w0) * n, at, column.length * n, *known[key]))
    return Gather(outer_table(taps, runs), margins if _any(margins) else None)


VECTOR = 16
"""Positions at a border meet fewer taps, so each is a run of its own. Where the batch does
not fill a vector, longer runs over a copy with a border of zeros are faster."""


def _any(margins: Any) -> bool:
    return margins is not None and any(map(any, margins))


def _inside(axis: list[list[Tap]], size: int) -> list[list[Tap]]:
    """Only the taps that meet the source."""
    return [[(u, at) for u, at in taps if 0 <= at < size] for taps in axis]


def _margin(axis: list[list[Tap]], size: int) -> Pair:
    """How far the taps reach beyond the source, before and behind it."""
    places = [at for taps in axis for _, at in taps]
    return max(0, -min(places, default=0)), max(0, max(places, default=0) + 1 - size)


def _moved(axis: list[list[Tap]], margin: Pair) -> list[list[Tap]]:
    return [[(u, at + margin[0]) for u, at in taps] for taps in axis]


def _bordered(x: Array, margins: tuple[Pair, Pair]) -> Array:
    """Contiguous (C, H, W, N) with zeros around."""
    (top, bottom), (left, right) = margins
    c, h, w, n = x.shape
    y = np.zeros((c, h + top + bottom, w + left + right, n), x.dtype)
    y[:, top : top + h, left : left + w] = x
    return y


def conv2d(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    """y[n,o,i,j] = b[o] + Σ_{c,u,v} x[n, c, s i + d u − p, s j + d v − p] · w[o,c,u,v]."""
    n, c, height, width = x.shape
    size = window.output_size((height, width))
    outputs, inputs = w.shape[0] // groups, c // groups
    channels = outputs, inputs
    # Zeros outside the image take part: a weight that is NaN or inf makes NaN of them.
    bordered = n < VECTOR or (any(window.padding) and not np.isfinite(w).all())
    gather = _gather(False, bordered, window, channels, (height, width), size, n)
    return _gathered(gather, x, w, b, size, groups, outputs, w[0].size)


def conv2d_input(g: Array, w: Array, size: Pair, window: Window, groups: int) -> Array:
    """The adjoint in x: dx[n,c, s i + d u − p, s j + d v − p] += g[n,o,i,j] w[o,c,u,v]."""
    n, o, i, j = g.shape
    channels = o // groups, w.shape[1]
    # Here they would not: only what met a weight comes back through it.
    bordered = n < VECTOR and window.stride == (1, 1) and bool(np.isfinite(w).all())
    gather = _gather(True, bordered, window, channels, (i, j), size, n)
    return _gathered(gather, g, w, None, size, groups, w.shape[1], w[0, 0].size)


def _gathered(
    gather: Gather,
    x: Array,
    w: Array,
    b: Array | None,
    size: Pair,
    groups: int,
    outputs: int,
    w_row: int,
) -> Array:
    """(N, C, …) to (N, groups · outputs, *size)."""
    n = x.shape[0]
    x = batch_last(x)
    if gather.margins is not None:
        x = _bordered(x, gather.margins)
    if b is not None:
        b = writeable(b)
    y = np.empty((groups * outputs, *size, n), x.dtype)
    area = size[0] * size[1] * n
    x, flat, w = (a.reshape(groups, -1) for a in (x, y, writeable(w)))
    for group in range(groups):
        bias = None if b is None else b[group * outputs : (group + 1) * outputs]
        outer_sums(
            gather.table, w[group], w_row, x[group], bias, flat[group], area, outputs
        )
    return batch_first(y)


def conv2d_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    """The adjoint in w: dw[o,c,u,v] = Σ_{n,i,j} g[n,o,i,j] · x[n, c, s i + d u − p, …]."""
    if any(window.padding) and x.shape[1] // groups >= MANY_CHANNELS:
        dw = _weight_by_tap(x, g, window, groups)
        # Where g is not finite, the zeros outside the image would have made NaN of it.
        if np.isfinite(dw).all():
            return dw
    n, o, i, j = g.shape
    x = reference.padded(x, window, (i, j), 0) if any(window.padding) else batch_last(x)
    c, height, width, _ = x.shape
    x, g = x.reshape(groups, -1), batch_last(g).reshape(groups, -1)
    columns = c // groups * window.kernel[0] * window.kernel[1]
    shape = (o // groups, c // groups, (height, width), (i, j), n)
    dw = np.empty((groups, o // groups * columns), x.dtype)
    for group in range(groups):
        table = _all_taps(window, *shape)
        inner_sums(table, g[group], x[group], dw[group], columns, 1)
    return dw.reshape(o, c // groups, *window.kernel)


def _weight_by_tap(x: Array, g: Array, window: Window, groups: int) -> Array:
    """The same, tap by tap: no padded copy, for all channels of a tap meet one border."""
    n, o, i, j = g.shape
    c, height, width = x.shape[1] // groups, *x.shape[2:]
    x, g = batch_last(x).reshape(groups, -1), batch_last(g).reshape(groups, -1)
    taps = window.kernel[0] * window.kernel[1]
    shape = (o // groups, c, (height, width), (i, j), n)
    dw = np.empty((groups, o // groups * c * taps), x.dtype)
    for group in range(groups):
        for tap in range(taps):
            table = _one_tap(window, tap, *shape)
            inner_sums(table, g[group], x[group], dw[group, tap:], c * taps, taps)
    return dw.reshape(o, c, *window.kernel)


MANY_CHANNELS = 16
"""From so many on, a padded convolution's weight gradient goes tap by tap."""


@functools.lru_cache(maxsize=256)
def _all_taps(
    window: Window, outputs: int, channels: int, source: Pair, target: Pair, n: int
) -> InnerTable:
    """Row o, column (c, u, v), over a source that is padded already."""
    (height, width), (i, j) = source, target
    (ky, kx), (sy, sx), (dy, dx) = window.kernel, window.stride, window.dilation
    columns = [
        ((c * height + dy * u) * width + dx * v) * n
        for c in range(channels)
        for u in range(ky)
        for v in range(kx)
    ]
    starts = [0] if sx == 1 else list(range(j))
    length = j * n if sx == 1 else n
    runs = [
        ((a * j + b) * n, (sy * a * width + sx * b) * n, length)
        for a in range(i)
        for b in starts
    ]
    return inner_table([o * i * j * n for o in range(outputs)], columns, runs)


@functools.lru_cache(maxsize=1024)
def _one_tap(
    window: Window,
    tap: int,
    outputs: int,
    channels: int,
    source: Pair,
    target: Pair,
    n: int,
) -> InnerTable:
    """Row o, column c, for the one tap (u, v), where it meets the source."""
    (height, width), (i, j) = source, target
    u, v = divmod(tap, window.kernel[1])
    rows = _inside(forward_taps(window, 0, i), height)
    columns = segments(_only(v, _inside(forward_taps(window, 1, j), width)))
    runs = [
        (
            (a * j + column.start) * n,
            (h * width + column.taps[0][1]) * n,
            column.length * n,
        )
        for a, row in enumerate(_only(u, rows))
        for _, h in row
        for column in columns
        if column.taps
    ]
    starts = [c * height * width * n for c in range(channels)]
    return inner_table([o * i * j * n for o in range(outputs)], starts, runs)


def _only(tap: int, positions: list[list[Tap]]) -> list[list[Tap]]:
    return [[(u, at) for u, at in taps if u == tap] for taps in positions]
