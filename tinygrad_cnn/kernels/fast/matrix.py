"""Matrix products, by whichever operand's rows lie in one piece."""

from __future__ import annotations

import functools

import numpy as np

from ..threads import WORTH
from .calls import FLOATS, Array, Call, row_by_row, run, writeable
from .sums import OuterTable, outer_sums, outer_table, zeros

RUN = 512  # values of a row of the result that one thread takes at a time


def matmul(a: Array, b: Array) -> Array:
    """y[…,i,k] = Σ_j a[…,i,j] · b[…,j,k].

    Where the rows of a lie across memory, as behind a convolution those of images with
    the batch innermost, so do those of y. BLAS has the products that one thread does at
    once, and those of stacks; it lies on one thread here (see `threads`).
    """
    if a.ndim != 2 or b.ndim != 2 or a.dtype.char not in FLOATS:
        return np.matmul(a, b)
    if a.shape[1] == 1:
        return a * b
    across = _runs_down(a) and len(a) >= 16
    if len(a) * b.size < WORTH or a.dtype != b.dtype:
        return np.matmul(b.T, a.T).T if across else np.matmul(a, b)
    return _outer(b.T, a.T).T if across else _outer(a, b)


def _runs_down(a: Array) -> bool:
    """Whether each column of a lies in one piece."""
    return a.strides[0] == a.itemsize and a.strides[1] == a.itemsize * len(a)


def _outer(a: Array, b: Array) -> Array:
    """a b row by row, for which b is copied if it is not so."""
    y = np.empty((len(a), b.shape[1]), a.dtype)
    a = writeable(a.T).T if _runs_down(a) else writeable(a)
    run(outer_call(a, row_by_row(b), None, y))
    return y


def outer_call(
    a: Array, b: Array, bias: Array | None, y: Array, floor: float = -np.inf
) -> Call:
    """Write y = max(a b + bias, floor), bias one for each row; b and y row by row."""
    (m, k), n = a.shape, b.shape[1]
    down = _runs_down(a)
    products, *table = _rows(k, n, m if down else 1)
    rows = (a.T if down else a).reshape(-1), 1 if down else k, b.reshape(-1)
    bias = zeros(m, y.dtype) if bias is None else bias
    start = bias, y.dtype.type(floor)
    into = y.reshape(-1), n, m
    return outer_sums.call(products * m, *rows, *table, *start, *into)


@functools.lru_cache(maxsize=256)
def _rows(k: int, n: int, a_column: int) -> OuterTable:
    """y[m, run] = Σ_j a[m, j] · b[j, run]."""
    runs = [(p, p, min(RUN, n - p), 0, k) for p in range(0, n, RUN)]
    return outer_table([(j * n, j * a_column) for j in range(k)], runs)
