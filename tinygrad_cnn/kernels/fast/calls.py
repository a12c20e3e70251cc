"""Calls of the compiled kernels: the arrays that they take, the threads that share them.

Kernels read and write arrays in C order. Images have the batch innermost: (N, C, H, W) lies
in memory as a contiguous (C, H, W, N).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import threads
from .compiling import compiled
from .intrinsics import transpose_tile
from .processor import vector_bytes
from .sharing import ALL, SharedCompiler, find_loop

Array = np.ndarray[Any, Any]

FLOATS = "fd"
"""The dtypes that kernels are compiled for, float32 and float64, by their letters."""

VECTOR = vector_bytes()

SMALL = 4096  # values up to which NumPy copies as fast


Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""A kernel and its arguments, to be run now or again and again."""


def run(*calls: Call) -> None:
    """Run these calls in turn."""
    for kernel, arguments in calls:
        kernel(*arguments)


class InParts:
    """A kernel whose work falls into equal parts, for one thread or several (`sharing`).

    It is written as a function of the number of a part, how many parts there are, and its
    arguments. No part may need the result of another, nor depend on how many there are.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.kernel = compiled(function, compiler=SharedCompiler)

    def call(self, products: int, *arguments: Any, most: int = sys.maxsize) -> Call:
        """The call that does all the work, of so many products and at most so many parts.

        One thread does it alone where it is not worth waking another.
        """
        pool = threads.Pool.compiled if products >= threads.WORTH else 1
        parts = min(pool, most)
        if parts <= 1:
            return self.kernel, (0, 1, *arguments)
        find_loop()
        return self.kernel, (ALL, parts, *arguments)


def writeable(x: Array) -> Array:
    """In C order and writeable, which is what the kernels are compiled for."""
    return x if x.flags.carray else np.array(x, order="C")


def batch_last(x: Array) -> Array:
    """(N, C, …) as a contiguous (C, …, N): a copy only where it is not so already."""
    turned = x.transpose(*range(1, x.ndim), 0)
    if turned.flags.carray:
        return turned
    rows = x.reshape(len(x), math.prod(x.shape[1:]))
    return row_by_row(rows.T).reshape(turned.shape)


def row_by_row(x: Array) -> Array:
    """A matrix in C order and writeable: a copy only where it is not so already."""
    if x.flags.c_contiguous or x.size < SMALL or not x.T.flags.c_contiguous:
        return writeable(x)
    y = np.empty(x.shape, x.dtype)
    run(transpose_call(writeable(x.T).reshape(-1), x.shape[1], y.reshape(-1)))
    return y


def transpose_call(x: Array, rows: int, y: Array) -> Call:
    """Flat x, a matrix of `rows` rows, to flat y, its transpose."""
    return turn_columns.call(8 * x.size, x, rows, y)


@InParts
def turn_columns(part: int, parts: int, x: Array, rows: int, y: Array) -> None:
    """Write the columns of x as rows of y."""
    columns, side = x.size // rows, VECTOR // x.itemsize
    start, stop = part * columns // parts, (part + 1) * columns // parts
    whole = rows // side * side
    for c0 in range(start, stop, side):
        if c0 + side > stop:
            copy_columns(x, rows, y, 0, whole, c0, stop)
        else:
            for r0 in range(0, whole, side):
                here, there = r0 * columns + c0, c0 * rows + r0
                transpose_tile(x, here, columns, y, there, rows)
        copy_columns(x, rows, y, whole, rows, c0, min(c0 + side, stop))


@compiled
def copy_columns(
    x: Array, rows: int, y: Array, r0: int, r1: int, c0: int, c1: int
) -> None:
    """The rows from r0 to r1 of the columns from c0 to c1, one value at a time."""
    columns = x.size // rows
    for c in range(c0, c1):
        for r in range(r0, r1):
            y[c * rows + r] = x[r * columns + c]
