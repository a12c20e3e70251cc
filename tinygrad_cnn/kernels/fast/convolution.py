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
from .calls import FLOATS, Array, Call, batch_last, run, writeable
from .sums import (
    InnerTable,
    OuterTable,
    inner_sums,
    inner_table,
    outer_sums,
    outer_table,
    zeros,
)

Tap = tuple[int, int]  # of one axis: which tap of the kernel, which place of the source
Taps = list[list[Tap]]  # those of each position of the axis


class Segment(NamedTuple):
    """Neighbouring positions of one axis whose taps move along with them."""

    start: int
    length: int
    taps: list[Tap]


def forward_taps(window: Window, axis: int, target: int) -> Taps:
    """For each output position i: the taps u, and the input pixels s i + d u − p."""
    k, s, p, d = _of_axis(window, axis)
    return [[(u, s * i + d * u - p) for u in range(k)] for i in range(target)]


def adjoint_taps(window: Window, axis: int, target: int) -> Taps:
    """For each input pixel q: the taps u, and the output positions i where they met it."""
    k, s, p, d = _of_axis(window, axis)
    return [
        [(u, (q + p - d * u) // s) for u in range(k) if (q + p - d * u) % s == 0]
        for q in range(target)
    ]


def _of_axis(window: Window, axis: int) -> tuple[int, int, int, int]:
    numbers = window.kernel, window.stride, window.padding, window.dilation
    k, s, p, d = (both[axis] for both in numbers)
    return k, s, p, d


def segments(positions: Taps) -> list[Segment]:
    """The positions of an axis, joined while the next meets the same taps further on."""
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
    rows, columns = [along(window, axis, target[axis]) for axis in (0, 1)]
    around = ((0, 0), (0, 0))
    if bordered:
        around = _margin(rows, source[0]), _margin(columns, source[1])
        rows, columns = _moved(rows, around[0]), _moved(columns, around[1])
    else:
        rows, columns = _inside(rows, source[0]), _inside(columns, source[1])
    height, width = source[0] + sum(around[0]), source[1] + sum(around[1])
    ky, kx = window.kernel
    inner = channels[0] if adjoint else channels[1]
    w_channel = (channels[1] if adjoint else 1) * ky * kx
    taps: list[tuple[int, int]] = []
    known: dict[Any, tuple[int, int]] = {}
    runs = []
    for column in segments(columns):
        for i, row in enumerate(rows):
            h0, w0 = (t[0][1] if t else 0 for t in (row, column.taps))
            key = column.start, tuple([(u, h - h0) for u, h in row])
            if key not in known:
                first = len(taps)
                for c in range(inner):
                    for u, h in row:
                        for v, w in column.taps:
                            place = (c * height + h - h0) * width + w - w0
                            taps.append((place * n, c * w_channel + u * kx + v))
                known[key] = first, len(taps)
            at = (i * target[1] + column.start) * n
            runs.append(((h0 * width + w0) * n, at, column.length * n, *known[key]))
    return Gather(outer_table(taps, runs), around if any(map(any, around)) else None)


VECTOR = 16
"""Positions at a border meet fewer taps, so each is a run of its own. Where the batch does
not fill a vector, longer runs over a copy with a border of zeros are faster."""


def _inside(axis: Taps, size: int) -> Taps:
    """Only the taps that meet the source."""
    return [[(u, at) for u, at in taps if 0 <= at < size] for taps in axis]


def _margin(axis: Taps, size: int) -> Pair:
    """How far the taps reach beyond the source, before and behind it."""
    places = [at for taps in axis for _, at in taps]
    return max(0, -min(places, default=0)), max(0, max(places, default=0) + 1 - size)


def _moved(axis: Taps, margin: Pair) -> Taps:
    return [[(u, at + margin[0]) for u, at in taps] for taps in axis]


def _add_border(x: Array, margins: tuple[Pair, Pair]) -> tuple[Array, Call]:
    """Room for contiguous (C, H, W, N) with zeros around, and the call that fills it."""
    (top, bottom), (left, right) = margins
    c, h, w, n = x.shape
    y = np.zeros((c, h + top + bottom, w + left + right, n), x.dtype)
    return y, Call(np.copyto, (y[:, top : top + h, left : left + w], x))


def conv2d(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    """y[n,o,i,j] = b[o] + Σ_{c,u,v} x[n, c, s i + d u − p, s j + d v − p] · w[o,c,u,v]."""
    if x.dtype.char not in FLOATS:
        return reference.conv2d(x, w, b, window, groups)
    n, _, height, width = x.shape
    y = np.empty((len(w), *window.output_size((height, width)), n), x.dtype)
    # Zeros outside the image take part: a weight that is NaN or inf makes NaN of them.
    bordered = n < VECTOR or (any(window.padding) and not np.isfinite(w).all())
    b = None if b is None else writeable(b)
    run(*forward_calls(batch_last(x), writeable(w), b, y, window, groups, bordered))
    return y.transpose(3, 0, 1, 2)


def forward_calls(
    x: Array,
    w: Array,
    b: Array | None,
    y: Array,
    window: Window,
    groups: int,
    bordered: bool,
    floor: float = -np.inf,
) -> list[Call]:
    """Write y = max(conv(x, w) + b, floor); x and y contiguous (C, H, W, N)."""
    return _gather_calls(False, x, w, b, y, window, groups, bordered, floor)


def conv2d_input(g: Array, w: Array, size: Pair, window: Window, groups: int) -> Array:
    """The adjoint in x: dx[n,c, s i + d u − p, s j + d v − p] += g[n,o,i,j] w[o,c,u,v]."""
    if g.dtype.char not in FLOATS:
        return reference.conv2d_input(g, w, size, window, groups)
    x = np.empty((w.shape[1] * groups, *size, len(g)), g.dtype)
    # Here they would not: only what met a weight comes back through it.
    bordered = len(g) < VECTOR and bool(np.isfinite(w).all())
    run(*adjoint_calls(batch_last(g), writeable(w), x, window, groups, bordered))
    return x.transpose(3, 0, 1, 2)


def adjoint_calls(
    g: Array, w: Array, x: Array, window: Window, groups: int, bordered: bool
) -> list[Call]:
    """Write x, the adjoint of conv( · , w) at g; g and x contiguous (C, H, W, N)."""
    bordered = bordered and window.stride == (1, 1)
    return _gather_calls(True, g, w, None, x, window, groups, bordered, -np.inf)


def _gather_calls(
    adjoint: bool,
    x: Array,
    w: Array,
    b: Array | None,
    y: Array,
    window: Window,
    groups: int,
    bordered: bool,
    floor: float,
) -> list[Call]:
    """One call for each group of channels, after the one that adds a border."""
    channels = len(w) // groups, w.shape[1]
    sizes = x.shape[1:3], y.shape[1:3], x.shape[3]
    gather = _gather(adjoint, bordered, window, channels, *sizes)
    w_row = w[0, 0].size if adjoint else w[0].size
    calls = []
    if gather.margins is not None:
        x, call = _add_border(x, gather.margins)
        calls.append(call)
    table, outputs, area = gather.table, len(y) // groups, y[0].size
    bias = zeros(len(y), y.dtype) if b is None else b
    bias, low = bias.reshape(groups, outputs), y.dtype.type(floor)
    x, y, w = x.reshape(groups, -1), y.reshape(groups, -1), w.reshape(groups, -1)
    for k in range(groups):
        given = w[k], w_row, x[k], table.taps, table.runs, bias[k], low
        into = y[k], area, outputs
        calls.append(outer_sums.call(table.products * outputs, *given, *into))
    return calls


def conv2d_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    """The adjoint in w: dw[o,c,u,v] = Σ_{n,i,j} g[n,o,i,j] · x[n, c, s i + d u − p, …]."""
    if x.dtype.char not in FLOATS:
        return reference.conv2d_weight(x, g, window, groups)
    dw = np.empty((g.shape[1], x.shape[1] // groups, *window.kernel), x.dtype)
    x, g, tap_by_tap = batch_last(x), batch_last(g), by_tap(window, dw)
    run(*weight_calls(x, g, dw, window, groups, tap_by_tap))
    # Where g is not finite, the zeros outside the image make NaN of it.
    if tap_by_tap and not np.isfinite(dw).all():
        run(*weight_calls(x, g, dw, window, groups, False))
    return dw


def by_tap(window: Window, dw: Array) -> bool:
    """Whether the sums are made tap by tap, where all channels have one border, instead of
    over a padded copy: worth it for many channels.
    """
    return any(window.padding) and dw.shape[1] >= 16


def weight_calls(
    x: Array, g: Array, dw: Array, window: Window, groups: int, tap_by_tap: bool
) -> list[Call]:
    """Write dw, contiguous, from contiguous (C, H, W, N)."""
    calls = []
    if any(window.padding) and not tap_by_tap:
        (py, px), (oy, ox) = window.padding, window.overhang(x.shape[1:3], g.shape[1:3])
        x, call = _add_border(x, ((py, py + oy), (px, px + ox)))
        calls.append(call)
    o, c, *kernel = dw.shape
    sizes = o // groups, c, x.shape[1:3], g.shape[1:3], x.shape[3]
    taps = kernel[0] * kernel[1]
    if tap_by_tap:
        tables = [_one_tap(window, tap, *sizes) for tap in range(taps)]
        column = taps
    else:
        tables, column = [_all_taps(window, *sizes)], 1
    x, g, dw = x.reshape(groups, -1), g.reshape(groups, -1), dw.reshape(groups, -1)
    for k in range(groups):
        for first, table in enumerate(tables):
            into = dw[k, first:], c * taps, column
            products = table.products * table.rows.size * table.columns.size
            calls.append(inner_sums.call(products, g[k], x[k], *table[:4], *into))
    return calls


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


def _only(tap: int, positions: Taps) -> Taps:
    return [[(u, at) for u, at in taps if u == tap] for taps in positions]
