"""Sums of products over tables of places: what convolutions and matrix products share.

A table says where the terms of each result lie. With activations that have the batch
innermost, what belongs together is one long run in memory:

    outer_sums   y[r, run] = max(floor, b[r] + Σ over its taps of w[r, tap] · x[tap, run])
    inner_sums   out[r, c] = Σ over runs of g[r, run] · x[c, run]

Every result is summed in an order that does not depend on the number of threads.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .calls import Array, InParts
from .tiles import COLUMNS, ROWS, inner_tile, outer_tile

OuterTable = tuple[int, Array, Array]
"""Where the terms of `outer_sums` lie, as flat int64 arrays, behind how many products one
row of w takes part in:

    taps     (offset in x, offset in w) of each tap; those of a run follow each other
    runs     (offset in x, offset in y, length, first tap, last tap) of each run
"""

InnerTable = tuple[int, Array, Array, Array, Array]
"""Where the terms of `inner_sums` lie, as flat int64 arrays, behind the number of products:

    rows     the offset of each row in g
    columns  the offset of each column in x
    runs     (further offset in g, further offset in x, length) of each run
    chunks   where those runs begin that are summed together, while near memory holds them
"""


def outer_table(
    taps: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int, int, int, int]]
) -> OuterTable:
    """The table of lists of tuples."""
    products = sum(length * (t1 - t0) for _, _, length, t0, t1 in runs)
    return products, _flat(taps), _flat(runs)


CHUNK = 1024  # values of a row that are summed at once: five columns fit 32 KiB


def inner_table(
    rows: list[int], columns: list[int], runs: list[tuple[int, int, int]]
) -> InnerTable:
    """The table of lists; long runs are cut, short ones summed together."""
    pieces = [
        (g + p, x + p, min(CHUNK, length - p))
        for g, x, length in runs
        for p in range(0, length, CHUNK)
    ]
    chunks, filled = [0], 0
    for i, (_, _, length) in enumerate(pieces):
        if filled and filled + length > CHUNK:
            chunks.append(i)
            filled = 0
        filled += length
    chunks.append(len(pieces))
    products = len(rows) * len(columns) * sum(length for _, _, length in runs)
    return products, _flat(rows), _flat(columns), _flat(pieces), _flat(chunks)


def _flat(values: Any) -> Array:
    return np.array(values, np.int64).reshape(-1)


@functools.lru_cache(maxsize=256)
def zeros(height: int, dtype: Any) -> Array:
    """The bias of sums that have none."""
    return np.zeros(height, dtype)


@InParts
def outer_sums(
    part: int,
    parts: int,
    w: Array,
    w_row: int,
    x: Array,
    taps: Array,
    runs: Array,
    bias: Array,
    floor: Any,
    y: Array,
    y_row: int,
    height: int,
) -> None:
    """Write `height` rows of flat y, y_row apart, from rows of flat w, w_row apart.

    Run by run, three or four rows at a time: of the two, what wastes fewer rows. That is 3
    for the 6 channels of LeNet, 4 for 16.
    """
    block = 3 if -height % 3 < -height % 4 else 4
    blocks = (height + block - 1) // block
    vector = 64 // x.itemsize
    units = runs.size // 5 * blocks
    for unit in range(part * units // parts, (part + 1) * units // parts):
        run, r0 = 5 * (unit // blocks), unit % blocks * block
        x0, y0, length = runs[run], runs[run + 1], runs[run + 2]
        t0, t1 = runs[run + 3], runs[run + 4]
        p = 0
        while p < length:
            four = length - p >= 4 * vector
            count = 4 * vector if four else min(vector, length - p)
            source = (w, w_row, x, x0 + p, taps, t0, t1, bias, floor)
            target = (y, y0 + p, y_row, r0, height, count)
            if four and block == 4:
                outer_tile(4, 4, source, target)
            elif four:
                outer_tile(3, 4, source, target)
            elif block == 4:
                outer_tile(4, 1, source, target)
            else:
                outer_tile(3, 1, source, target)
            p += count


@InParts
def inner_sums(
    part: int,
    parts: int,
    g: Array,
    x: Array,
    g_rows: Array,
    x_columns: Array,
    runs: Array,
    chunks: Array,
    out: Array,
    out_row: int,
    out_column: int,
) -> None:
    """Write flat out, its rows and columns so far apart, tile by tile, chunk by chunk."""
    height, width = g_rows.size, x_columns.size
    down, across = (height + ROWS - 1) // ROWS, (width + COLUMNS - 1) // COLUMNS
    start, stop = part * down * across // parts, (part + 1) * down * across // parts
    rows, columns = np.empty(ROWS, np.int64), np.empty(COLUMNS, np.int64)
    sums = np.empty(16, x.dtype)
    for chunk in range(chunks.size - 1):
        for unit in range(start, stop):
            r0, c0 = unit % down * ROWS, unit // down * COLUMNS
            for i in range(ROWS):
                rows[i] = g_rows[min(r0 + i, height - 1)]
            for i in range(COLUMNS):
                columns[i] = x_columns[min(c0 + i, width - 1)]
            first, last = chunks[chunk], chunks[chunk + 1]
            inner_tile(g, rows, x, columns, runs, first, last, sums)
            for r in range(r0, min(r0 + ROWS, height)):
                for c in range(c0, min(c0 + COLUMNS, width)):
                    total = sums[(r - r0) * COLUMNS + c - c0]
                    place = r * out_row + c * out_column
                    out[place] = total if chunk == 0 else out[place] + total
