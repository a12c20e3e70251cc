"""Convolution and its two adjoints as sums over tables; see `reference` for the formulas.

Nothing is copied to columns and nothing is padded: a table lists, for each run of output
positions that meet the same taps, which these are. A run is a row of positions times the
batch where the stride is 1, else the batch at one position.
"""

from __future__ import annotations

import functools
from operator import add
from typing import Any

import numpy as np

from .. import reference
from ..geometry import Pair, Window
from . import sums
from .calls import FLOATS, Array, Call, batch_last, run, writeable
from .tiles import SLICE

Tap = tuple[int, int]  # of one axis: which tap of the kernel, which place of the source
Taps = list[list[Tap]]  # those of each position of the axis
Segment = tuple[int, int, list[Tap]]
"""Neighbours of one axis whose taps move along: the first, how many, and its taps."""


def taps_of(adjoint: bool, window: Window, axis: int, target: int) -> Taps:
    """For each output position i: the taps u, and the input pixels s i + d u − p.

    Of the adjoint: for each input pixel, the taps and the positions i where they met it.
    """
    numbers = window.kernel, window.stride, window.padding, window.dilation
    k, s, p, d = (both[axis] for both in numbers)
    if not adjoint:
        return [[(u, s * i + d * u - p) for u in range(k)] for i in range(target)]
    return [
        [(u, (q + p - d * u) // s) for u in range(k) if (q + p - d * u) % s == 0]
        for q in range(target)
    ]


def segments(positions: Taps) -> list[Segment]:
    """The positions of an axis, joined while the next meets the same taps further on."""
    joined: list[Segment] = []
    for i, taps in enumerate(positions):
        if joined:
            start, length, before = joined[-1]
            if taps == [(u, at + length) for u, at in before]:
                joined[-1] = start, length + 1, before
                continue
        joined.append((i, 1, taps))
    return joined


@functools.lru_cache(maxsize=256)
def _gather(
    adjoint: bool,
    bordered: bool,
    window: Window,
    channels: Pair,
    source: Pair,
    target: Pair,
    n: int,
) -> tuple[sums.OuterTable, list[Pair]]:
    """Each target position as a sum over taps of the source, for channels (o, c) of a
    kernel; and the zeros to be laid around the source first, where it is `bordered`.
    """
    (rows, above), (columns, beside) = (
        _fit(taps_of(adjoint, window, axis, target[axis]), source[axis], bordered)
        for axis in (0, 1)
    )
    height, width = source[0] + sum(above), source[1] + sum(beside)
    ky, kx = window.kernel
    inner = channels[0] if adjoint else channels[1]
    taps: list[tuple[int, int]] = []
    known: dict[Any, tuple[int, int]] = {}
    runs = []
    for start, length, column in segments(columns):
        for i, row in enumerate(rows):
            h0, w0 = (t[0][1] if t else 0 for t in (row, column))
            key = start, tuple([(u, h - h0) for u, h in row])
            if key not in known:
                first = len(taps)
                for c in range(inner):
                    for u, h in row:
                        for v, w in column:
                            place = (c * height + h - h0) * width + w - w0
                            taps.append((place * n, (c * ky + u) * kx + v))
                known[key] = first, len(taps)
            at = (i * target[1] + start) * n
            runs.append(((h0 * width + w0) * n, at, length * n, *known[key]))
    return sums.outer_table(taps, runs), [above, beside]


def _fit(axis: Taps, size: int, bordered: bool) -> tuple[Taps, Pair]:
    """Only the taps that meet the source, or all and the margins that they need."""
    before = behind = 0
    if bordered:
        places = [at for taps in axis for _, at in taps]
        before = max(0, -min(places, default=0))
        behind = max(0, max(places, default=0) + 1 - size)
    inside = range(-before, size + behind)
    moved = [[(u, at + before) for u, at in taps if at in inside] for taps in axis]
    return moved, (before, behind)


VECTOR = 16
"""Positions at a border meet fewer taps, so each is a run of its own. Where the batch does
not fill a vector, longer runs over a copy with a border of zeros are faster."""


def _add_border(x: Array, margins: list[Pair]) -> tuple[Array, list[Call]]:
    """Room for x (C, H, W, N) slice by slice, flat, with zeros around each map, and the
    call that fills it.
    """
    (top, bottom), (left, right) = margins
    c, h, w, n = x.shape
    y = np.empty(c * (top + h + bottom) * (left + w + right) * n, x.dtype)
    return y, [sums.lay_out.call(8 * y.size, x, top, bottom, left, right, y)]


def conv2d(x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
    """y[n,o,i,j] = b[o] + Σ_{c,u,v} x[n, c, s i + d u − p, s j + d v − p] · w[o,c,u,v]."""
    if x.dtype.char not in FLOATS:
        return reference.conv2d(x, w, b, window, groups)
    n, _, height, width = x.shape
    y = np.empty((len(w), *window.output_size((height, width)), n), x.dtype)
    # Zeros outside the image take part: a weight that is NaN or inf makes NaN of them.
    bordered = n < VECTOR or (any(window.padding) and not np.isfinite(w).all())
    x, w, b = batch_last(x), writeable(w), None if b is None else writeable(b)
    run(*gather_calls(False, x, w, b, y, window, groups, bordered))
    return y.transpose(3, 0, 1, 2)


def conv2d_input(g: Array, w: Array, size: Pair, window: Window, groups: int) -> Array:
    """The adjoint in x: dx[n,c, s i + d u − p, s j + d v − p] += g[n,o,i,j] w[o,c,u,v]."""
    if g.dtype.char not in FLOATS:
        return reference.conv2d_input(g, w, size, window, groups)
    x = np.empty((w.shape[1] * groups, *size, len(g)), g.dtype)
    # Here they would not: only what met a weight comes back through it.
    bordered = len(g) < VECTOR and bool(np.isfinite(w).all())
    g, w = batch_last(g), writeable(w)
    run(*gather_calls(True, g, w, None, x, window, groups, bordered))
    return x.transpose(3, 0, 1, 2)


def gather_calls(
    adjoint: bool,
    x: Array,
    w: Array,
    b: Array | None,
    y: Array,
    window: Window,
    groups: int,
    bordered: bool,
    floor: float = -np.inf,
) -> list[Call]:
    """Write y = max(conv(x, w) + b, floor), or the adjoint of conv( · , w) at x; x and y
    contiguous (C, H, W, N).
    """
    if adjoint and window.stride != (1, 1):
        bordered = False
    channels = len(w) // groups, w.shape[1]
    n, outputs, area = x.shape[3], len(y) // groups, y[0].size
    sizes = x.shape[1:3], y.shape[1:3], n
    table, margins = _gather(adjoint, bordered, window, channels, *sizes)
    around = any(map(any, margins))
    x, calls = _add_border(x, margins) if around else (x.reshape(-1), [])
    products, taps, runs = table
    if adjoint:  # a row becomes what a channel of the images meets
        turned, taps_of_kernel = np.empty_like(w), w[0, 0].size
        turning = w.reshape(-1), groups, channels[0], taps_of_kernel, turned.reshape(-1)
        calls.append(sums.turn_kernels.call(8 * w.size, *turning))
        w = turned
    bias = sums.zeros(len(y), y.dtype) if b is None else b
    w_row = w.size // len(y)
    given = w.reshape(-1), w_row, 0, x, x.size // groups, taps, runs
    into = y.reshape(-1), area, outputs, groups, sums.rows_at_once(outputs), n
    call = sums.outer_sums.call(
        products * len(y), *given, bias, y.dtype.type(floor), *into
    )
    return [*calls, call]


def conv2d_weight(x: Array, g: Array, window: Window, groups: int) -> Array:
    """The adjoint in w: dw[o,c,u,v] = Σ_{n,i,j} g[n,o,i,j] · x[n, c, s i + d u − p, …]."""
    if x.dtype.char not in FLOATS or not len(x):
        return reference.conv2d_weight(x, g, window, groups)
    dw = np.empty((g.shape[1], x.shape[1] // groups, *window.kernel), x.dtype)
    x, g = batch_last(x), batch_last(g)
    tap_by_tap = by_tap(window, x, dw)
    run(*weight_calls(x, g, dw, window, groups, tap_by_tap))
    # Where g is not finite, the zeros outside the image make NaN of it.
    if tap_by_tap and not np.isfinite(dw).all():
        run(*weight_calls(x, g, dw, window, groups, False))
    return dw


def by_tap(window: Window, x: Array, dw: Array) -> bool:
    """Whether the sums are made tap by tap, where all channels have one border, instead of
    over a padded copy: worth it for many channels, if each window meets x (C, H, W, N).
    """
    (ky, kx), (py, px), (dy, dx) = window.kernel, window.padding, window.dilation
    meets = py <= dy * (ky - 1) and px <= dx * (kx - 1)
    meets = meets and dy <= x.shape[1] and dx <= x.shape[2]
    return any(window.padding) and dw.shape[1] >= 16 and meets


def weight_calls(
    x: Array, g: Array, dw: Array, window: Window, groups: int, tap_by_tap: bool
) -> list[Call]:
    """Write dw, contiguous, from contiguous (C, H, W, N)."""
    (o, c, ky, kx), n = dw.shape, x.shape[3]
    maps, calls = x.reshape(-1), list[Call]()
    bordered = any(window.padding) and not tap_by_tap
    if bordered:
        behind = window.overhang(x.shape[1:3], g.shape[1:3])
        margins = zip(window.padding, map(add, window.padding, behind), strict=True)
        maps, calls = _add_border(x, [*margins])
    given = o // groups, c, x.shape[1:3], g.shape[1:3], min(n, SLICE)
    cuts, taps = max(1, n // SLICE), ky * kx
    out = dw.reshape(1, -1) if cuts == 1 else np.empty((cuts, dw.size), dw.dtype)
    sizes = g.reshape(-1), g.size // n // groups, maps, maps.size // n // groups
    step = 1 if tap_by_tap else taps
    for first in range(0, taps, step):
        products, *table = _meetings(window, first, tap_by_tap, *given)
        into = (
            out,
            first,
            dw.size // groups,
            c * taps,
            taps // step,
            groups,
            n,
            False,
            bordered,
        )
        calls.append(sums.inner_sums.call(n * products * groups, *sizes, *table, *into))
    if cuts > 1:
        calls.append(sums.add_slices.call(2 * out.size, out, dw.reshape(-1)))
    return calls


@functools.lru_cache(maxsize=1024)
def _meetings(
    window: Window,
    first: int,
    alone: bool,
    outputs: int,
    channels: int,
    source: Pair,
    target: Pair,
    n: int,
) -> sums.InnerTable:
    """Row o, column c, for the first tap `alone`, where it meets the source; else column
    (c, u, v) for all taps, over a source that is padded already. For n images of a slice.
    """
    (height, width), (i, j) = source, target
    (ky, kx), (sy, sx), (dy, dx) = window.kernel, window.stride, window.dilation
    (py, px), (oy, ox) = window.padding, window.overhang(source, target)
    if not alone:
        height, width = height + 2 * py + oy, width + 2 * px + ox
        py = px = 0
    u, v = divmod(first, kx)
    rows = _inside(sy, dy * u - py, i, height)
    columns, length = _inside(sx, dx * v - px, j, width), 1
    if sx == 1:  # neighbours are one run
        columns, length = columns[:1], len(columns)
    runs = [(a * j + b, h * width + w, length) for a, h in rows for b, w in columns]
    others = [(0, 0)] if alone else [(a, b) for a in range(ky) for b in range(kx)]
    starts = [
        (c * height + dy * a) * width + dx * b
        for c in range(channels)
        for a, b in others
    ]
    return sums.inner_table([o * i * j for o in range(outputs)], starts, runs, n)


def _inside(step: int, start: int, count: int, size: int) -> list[tuple[int, int]]:
    """The positions whose tap meets the source, and where."""
    places = [(a, step * a + start) for a in range(count)]
    return [(a, at) for a, at in places if 0 <= at < size]
