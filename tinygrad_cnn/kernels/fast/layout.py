"""The batch innermost in memory: (N, C, H, W) as a contiguous (C, H, W, N), and back."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from ..threads import parts_for
from .compiling import compiled, in_parallel
from .tiles import transpose_tile

Array = np.ndarray[Any, Any]

SMALL = 4096  # values up to which NumPy copies as fast


def batch_last(x: Array) -> Array:
    """(N, C, …) as a contiguous (C, …, N): a copy only where it is not so already."""
    n, *shape = x.shape
    return row_by_row(x.reshape(n, math.prod(shape)).T).reshape(*shape, n)


def batch_innermost(x: Array) -> Array:
    """(N, C, …) with the batch innermost: a copy only where it is not so already."""
    return batch_last(x).transpose(-1, *range(x.ndim - 1))


def batch_first(x: Array) -> Array:
    """(C, H, W, N) seen as (N, C, H, W)."""
    return x.transpose(3, 0, 1, 2)


def row_by_row(x: Array) -> Array:
    """A matrix in C order: a copy only where it is not so already."""
    if x.flags.c_contiguous or x.size < SMALL or not x.T.flags.c_contiguous:
        return writeable(x)
    y = np.empty(x.shape, x.dtype)
    transpose(writeable(x.T).reshape(-1), x.shape[1], y.reshape(-1))
    return y


def writeable(x: Array) -> Array:
    """In C order and writeable, which is what the kernels are compiled for."""
    return x if x.flags.c_contiguous and x.flags.writeable else np.array(x, order="C")


def transpose(x: Array, rows: int, y: Array) -> None:
    """Flat x, a matrix of `rows` rows, to flat y, its transpose."""
    parts = parts_for(8 * x.size)
    if parts == 1:
        transpose_part(0, 1, x, rows, y)
    else:
        transpose_parts(parts, x, rows, y)


@compiled
def transpose_part(part: int, parts: int, x: Array, rows: int, y: Array) -> None:
    """One of `parts` equal parts of the columns of x."""
    columns, side = x.size // rows, 64 // x.itemsize
    start, stop = part * columns // parts, (part + 1) * columns // parts
    whole = rows // side * side
    for c0 in range(start, stop, side):
        if c0 + side > stop:
            _copy(x, rows, y, 0, whole, c0, stop)
        else:
            for r0 in range(0, whole, side):
                here, there = r0 * columns + c0, c0 * rows + r0
                transpose_tile(x, here, columns, y, there, rows)
        _copy(x, rows, y, whole, rows, c0, min(c0 + side, stop))


@compiled
def _copy(x: Array, rows: int, y: Array, r0: int, r1: int, c0: int, c1: int) -> None:
    """The rows from r0 to r1 of the columns from c0 to c1, one value at a time."""
    columns = x.size // rows
    for c in range(c0, c1):
        for r in range(r0, r1):
            y[c * rows + r] = x[r * columns + c]


@in_parallel
def transpose_parts(parts: int, x: Array, rows: int, y: Array) -> None:
    """All parts, one to a thread."""
    for part in numba.prange(parts):
        transpose_part(part, parts, x, rows, y)
