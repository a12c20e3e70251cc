"""Sums of products over tables of places: what convolutions and matrix products share.

A table says where the terms of each result lie. With activations that have the batch
innermost, what belongs together is one long run in memory:

    outer_sums   y[r, run] = max(floor, b[r] + Σ over its taps of w[r, tap] · x[tap, run])
    inner_sums   out[r, c] = Σ over runs of g[r, run] · x[c, run]

The batch is cut in slices (`slices`). Where threads share the work, each has the same
images in every kernel, which its own near memory holds. What is summed over the batch is
summed slice by slice, and then over the slices, so that no bit depends on the number of
threads, and a plan may carry one slice after the other through a whole step.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .calls import Array, InParts
from .compiling import compiled
from .intrinsics import inner_tile, outer_rows, tile_totals
from .processor import registers
from .tiles import SLICE

OuterTable = tuple[int, Array, Array]
"""Where the terms of `outer_sums` lie, as flat int64 arrays, behind how many products one
row of w takes part in:

    taps     (offset in x, offset in w) of each tap; those of a run follow each other
    runs     (offset in x, offset in y, length, first tap, last tap) of each run
"""

InnerTable = tuple[int, Array, Array, Array, Array]
"""Where the terms of `inner_sums` lie, as flat int64 arrays, behind the products for each
image. A position is a place of the image where all images of a slice lie:

    rows     the first position of each row in g
    columns  the first position of each column in x
    runs     (further position in g, further position in x, positions) of each run
    chunks   where those runs begin that are summed together, while near memory holds them
"""

VECTOR = registers().vector
ROWS, COLUMNS = registers().inner
HEIGHTS = sorted(registers().outer, reverse=True)


def slices(n: int) -> int:
    """How many a batch of n is cut into; the last has what is left, so up to 63 images."""
    return max(1, n // SLICE)


@compiled
def slice_start(i: int, count: int, n: int) -> int:
    """Where slice i of `count` begins, or where the last ends."""
    return n if i == count else SLICE * i


@compiled
def block_of(part: int, parts: int, rows: int, n: int) -> tuple[int, int, int, int]:
    """Where the rows and the images of a part begin and end: of n images its own slices,
    and where there are fewer slices than parts, its rows.
    """
    cuts = max(1, n // SLICE)
    across = min(parts, cuts)
    down = parts // across
    mine, share = part % across, part // across
    first = slice_start(mine * cuts // across, cuts, n)
    last = slice_start((mine + 1) * cuts // across, cuts, n)
    top = min(rows, share * rows // down)  # a part too many has none
    return top, min(rows, (share + 1) * rows // down), first, last


def outer_table(
    taps: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int, int, int, int]]
) -> OuterTable:
    """The table of lists of tuples."""
    products = sum(length * (t1 - t0) for _, _, length, t0, t1 in runs)
    return products, _flat(taps), _flat(runs)


CHUNK = 512
"""Values of a row that are summed at once, so that near memory holds all rows."""


def inner_table(
    rows: list[int], columns: list[int], runs: list[tuple[int, int, int]], n: int
) -> InnerTable:
    """The table of lists, for n images; long runs are cut, short ones summed together.

    The last start is repeated, for tiles that reach beyond it.
    """
    most = max(1, CHUNK // min(n, SLICE))
    pieces = [
        (g + p, x + p, min(most, positions - p))
        for g, x, positions in runs
        for p in range(0, positions, most)
    ]
    chunks, filled = [0], 0
    for i, (_, _, positions) in enumerate(pieces):
        if filled and filled + positions > most:
            chunks.append(i)
            filled = 0
        filled += positions
    chunks.append(len(pieces))
    products = len(rows) * len(columns) * sum(length for _, _, length in runs)
    starts = rows + rows[-1:] * (ROWS - 1), columns + columns[-1:] * (COLUMNS - 1)
    return products, _flat(starts[0]), _flat(starts[1]), _flat(pieces), _flat(chunks)


HELD = 1 << 14  # values of the tiles that are summed beside each other: 64 KiB


def _flat(values: Any) -> Array:
    return np.array(values, np.int64).reshape(-1)


@functools.lru_cache(maxsize=256)
def zeros(height: int, dtype: Any) -> Array:
    """The bias of sums that have none."""
    return np.zeros(height, dtype)


@functools.cache
def rows_at_once(height: int) -> int:
    """The rows of a tile that leave the fewest unused, of so many in all."""
    return min(HEIGHTS, key=lambda rows: -height % rows)


@InParts
def outer_sums(
    part: int,
    parts: int,
    w: Array,
    w_row: int,
    w_group: int,
    x: Array,
    x_group: int,
    taps: Array,
    runs: Array,
    bias: Array,
    floor: Any,
    y: Array,
    y_row: int,
    height: int,
    groups: int,
    rows: int,
    n: int,
) -> None:
    """Write `height` rows of flat y for each group, y_row apart, from flat w and x.

    A group's rows of w are w_row apart; it begins w_group further on than they say, and
    x_group further on in x. rows: of a tile. n: the images at each position, of which each
    thread has its slices; 0 where the values of a run are no images.
    """
    blocks = (height + rows - 1) // rows
    each = runs.size // 5 * blocks
    start, stop, first, last = block_of(part, parts, groups * each, n)
    across = last - first < n
    for unit in range(start, stop):
        group, run, block = unit // each, 5 * (unit % each // blocks), unit % blocks
        x0, y0, length = runs[run], runs[run + 1], runs[run + 2]
        t0, t1 = runs[run + 3], runs[run + 4]
        if not length:
            continue  # there are no images
        r0, top, step = group * height + block * rows, (group + 1) * height, length
        x0 += group * x_group
        if across:
            x0, y0, step = x0 + first, y0 + first, n
        size = last - first if across else step
        for p in range(0, length, step):
            source = (w, group * w_group, w_row, x, x0 + p, taps, t0, t1, bias, floor)
            outer_rows(rows, source, (y, y0 + p, y_row, r0, top, size))


@InParts
def turn_kernels(
    part: int, parts: int, w: Array, groups: int, outputs: int, area: int, y: Array
) -> None:
    """Flat w (groups, outputs, channels, area) to y (groups, channels, outputs, area)."""
    channels = w.size // (groups * outputs * area)
    rows = groups * channels
    for row in range(part * rows // parts, (part + 1) * rows // parts):
        group, c = row // channels, row % channels
        for o in range(outputs):
            source = ((group * outputs + o) * channels + c) * area
            target = (row * outputs + o) * area
            for i in range(area):
                y[target + i] = w[source + i]


@InParts
def inner_sums(
    part: int,
    parts: int,
    g: Array,
    g_size: int,
    x: Array,
    x_size: int,
    g_rows: Array,
    x_columns: Array,
    runs: Array,
    chunks: Array,
    out: Array,
    out_start: int,
    out_size: int,
    out_row: int,
    out_column: int,
    groups: int,
    n: int,
    g_sliced: bool,
    x_sliced: bool,
) -> None:
    """Write out (slices, groups · out_size), tile by tile, each slice's sums.

    Behind out_start, rows and columns are so far apart in it. A group has g_size and x_size
    positions in g and x; there lie the n images of a batch, or those of its slices one
    slice after the other.
    """
    height, width = g_rows.size - ROWS + 1, x_columns.size - COLUMNS + 1
    down, across = (height + ROWS - 1) // ROWS, (width + COLUMNS - 1) // COLUMNS
    cuts, each, lanes = len(out), down * across, VECTOR // x.itemsize
    size, totals = ROWS * COLUMNS * lanes, np.empty(64, x.dtype)
    some = min(each, max(1, HELD // size))
    sums = np.empty(some * size, x.dtype)
    units = cuts * groups
    for unit in range(units):
        # Of this unit's tiles, those that are this part's.
        first = max(0, part * units * each // parts - unit * each)
        last = min(each, (part + 1) * units * each // parts - unit * each)
        if first >= last:
            continue
        cut, group = unit // groups, unit % groups
        begin = slice_start(cut, cuts, n)
        many = slice_start(cut + 1, cuts, n) - begin
        g_step, x_step = many if g_sliced else n, many if x_sliced else n
        g0 = begin * groups * g_size if g_sliced else begin
        x0 = begin * groups * x_size if x_sliced else begin
        g_starts = np.empty(g_rows.size, np.int64)
        x_starts = np.empty(x_columns.size, np.int64)
        for i in range(g_rows.size):
            g_starts[i] = g0 + g_step * (group * g_size + g_rows[i])
        for i in range(x_columns.size):
            x_starts[i] = x0 + x_step * (group * x_size + x_columns[i])
        for start in range(first, last, some):
            stop = min(start + some, last)
            for i in range(sums.size):
                sums[i] = 0
            for chunk in range(chunks.size - 1):
                for tile in range(start, stop):
                    left = (g, g_starts, tile % down * ROWS)
                    right = (x, x_starts, tile // down * COLUMNS)
                    of = (chunks[chunk], chunks[chunk + 1], many, g_step, x_step)
                    inner_tile(left, right, runs, of, sums, (tile - start) * size)
            for tile in range(start, stop):
                tile_totals(sums, (tile - start) * size, totals)
                r0, c0 = tile % down * ROWS, tile // down * COLUMNS
                for r in range(r0, min(r0 + ROWS, height)):
                    for c in range(c0, min(c0 + COLUMNS, width)):
                        place = group * out_size + r * out_row + c * out_column
                        total = totals[(r - r0) * COLUMNS + c - c0]
                        out[cut, out_start + place] = total


@InParts
def add_slices(part: int, parts: int, x: Array, y: Array) -> None:
    """y = Σ_s x[s], one after the other, for x (slices, …) and flat y."""
    start, stop = part * y.size // parts, (part + 1) * y.size // parts
    for p0 in range(start, stop, 1024):
        out = y[p0 : min(p0 + 1024, stop)]
        for s in range(len(x)):
            values = x[s, p0 : p0 + out.size]
            for i in range(out.size):
                out[i] = values[i] if s == 0 else out[i] + values[i]


@InParts
def lay_out(
    part: int,
    parts: int,
    x: Array,
    top: int,
    bottom: int,
    left: int,
    right: int,
    y: Array,
) -> None:
    """x (C, H, W, N) slice by slice to flat y, each map with so many zeros around it."""
    channels, height, width, n = x.shape
    high, wide = top + height + bottom, left + width + right
    cuts = max(1, n // SLICE)
    units = cuts * channels * high
    flat = x.reshape(-1)
    for unit in range(part * units // parts, (part + 1) * units // parts):
        cut, c, h = unit // high // channels, unit // high % channels, unit % high - top
        begin = slice_start(cut, cuts, n)
        many = slice_start(cut + 1, cuts, n) - begin
        row = (begin * channels * high + many * (c * high + h + top)) * wide
        inside = 0 <= h < height
        for w in range(wide):
            place = row + w * many
            if not inside or w < left or w >= left + width:
                y[place : place + many] = 0
                continue
            at = ((c * height + h) * width + w - left) * n + begin
            if many == SLICE:  # known while compiling: whole vectors
                for i in range(SLICE):
                    y[place + i] = flat[at + i]
            else:
                for i in range(many):
                    y[place + i] = flat[at + i]
