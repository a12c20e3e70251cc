"""Matrix products, by whichever operand's rows lie in one piece."""

from __future__ import annotations

import functools

import numpy as np

from .. import reference
from ..threads import WORTH
from .calls import FLOATS, Array, Call, row_by_row, run, writeable
from .sums import (
    OuterTable,
    add_slices,
    outer_sums,
    outer_table,
    rows_at_once,
    slice_start,
    slices,
    zeros,
)
from .tiles import SLICE

RUN = 512  # values of a row of the result that one thread takes at a time
FEW = 16  # images for which it is not worth having them innermost


def linear(x: Array, w: Array, b: Array | None) -> Array:
    """y[…,o] = b[o] + Σ_i x[…,i] · w[o,i], with images innermost where they are many."""
    if not many_images(x) or x.dtype != w.dtype:
        return reference.linear(x, w, b)
    y = np.empty((len(w), len(x)), x.dtype)
    bias = None if b is None else writeable(b)
    run(outer_call(w, row_by_row(x.T), bias, y))
    return y.T


def many_images(x: Array) -> bool:
    """Whether these are rows, one for each of so many images that it pays to have them
    innermost.
    """
    return x.ndim == 2 and len(x) >= FEW and x.size > 0 and x.dtype.char in FLOATS


def images_innermost(x: Array) -> bool:
    """Whether these are rows of images, one for each, that lie across memory."""
    return many_images(x) and _runs_down(x)


def matmul(a: Array, b: Array) -> Array:
    """y[…,i,k] = Σ_j a[…,i,j] · b[…,j,k].

    Where the rows of a lie across memory, as behind a convolution those of images with
    the batch innermost, so do those of y. Where j numbers such images, the sum is made
    slice by slice of them. BLAS has the products that one thread does at once, and those
    of stacks; it lies on one thread here (see `threads`).
    """
    if a.ndim != 2 or b.ndim != 2 or a.dtype.char not in FLOATS or a.dtype != b.dtype:
        return np.matmul(a, b)
    if a.shape[1] == 1:
        return np.multiply(a, b, order="C")
    if images_innermost(a):
        y = np.empty((b.shape[1], len(a)), a.dtype)
        run(outer_call(b.T, a.T, None, y))
        return y.T
    if over_images(a, b):
        y = np.empty((len(a), b.shape[1]), a.dtype)
        run(*images_calls(a, row_by_row(b), y))
        return y
    if len(a) * b.size < WORTH:
        return np.matmul(a, b)
    y = np.empty((len(a), b.shape[1]), a.dtype)
    run(outer_call(a, row_by_row(b), None, y))
    return y


def over_images(a: Array, b: Array) -> bool:
    """Whether the sum is over images that lie innermost in both."""
    return a.flags.c_contiguous and images_innermost(b)


def _runs_down(a: Array) -> bool:
    """Whether each column of a lies in one piece, and the next follows."""
    return a.strides == (a.itemsize, a.itemsize * len(a))


def images_calls(a: Array, b: Array, y: Array) -> list[Call]:
    """Write y = a b, a sum over images, slice by slice; a and b row by row."""
    (m, n), k, cuts = a.shape, b.shape[1], slices(len(b))
    if cuts == 1:
        return [outer_call(a, b, None, y)]
    calls, out = list[Call](), np.empty((cuts, y.size), y.dtype)
    even = cuts if n % SLICE == 0 else cuts - 1
    for first, last in (0, even), (even, cuts):
        if first < last:
            images = slice_start(first + 1, cuts, n) - first * SLICE
            products, *table = _rows(images, k, 1)
            w, x = a.reshape(-1)[first * SLICE :], b.reshape(-1)[first * SLICE * k :]
            rows = w, n, SLICE - m * n, x, SLICE * k
            start = zeros(m * cuts, y.dtype), y.dtype.type(-np.inf)
            into = out[first:].reshape(-1), k, m, last - first, rows_at_once(m), 0
            count = products * m * (last - first)
            calls.append(outer_sums.call(count, *rows, *table, *start, *into))
    return [*calls, add_slices.call(2 * out.size, out, y.reshape(-1))]


def outer_call(
    a: Array,
    b: Array,
    bias: Array | None,
    y: Array,
    floor: float = -np.inf,
) -> Call:
    """Write y = max(a b + bias, floor), bias one for each row; b and y row by row."""
    down = _runs_down(a)
    if not down:
        a = writeable(a)
    (m, k), n = a.shape, b.shape[1]
    products, *table = _rows(k, n, m if down else 1)
    rows = (a.T if down else a).reshape(-1), 1 if down else k, 0, b.reshape(-1), 0
    bias = zeros(m, y.dtype) if bias is None else bias
    start = bias, y.dtype.type(floor)
    into = y.reshape(-1), n, m, 1, rows_at_once(m), n if n <= RUN else 0
    return outer_sums.call(products * m, *rows, *table, *start, *into)


@functools.lru_cache(maxsize=256)
def _rows(k: int, n: int, a_column: int) -> OuterTable:
    """y[m, run] = Σ_j a[m, j] · b[j, run]."""
    runs = [(p, p, min(RUN, n - p), 0, k) for p in range(0, n, RUN)]
    return outer_table([(j * n, j * a_column) for j in range(k)], runs)
