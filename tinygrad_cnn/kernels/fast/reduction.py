"""Sums over all axes but one, and the log-softmax of rows, in one pass each."""

from __future__ import annotations

import numpy as np

from .. import reference
from .calls import FLOATS, Array, Call, InParts, run
from .compiling import compiled
from .elementwise import readable


def channel_sums(x: Array) -> Array:
    """Σ over all axes of x (N, C, …) but the second."""
    runs = runs_by_channel(x)
    if runs is None or x.dtype.char not in FLOATS:
        return reference.channel_sums(x)
    y = np.empty(x.shape[1], x.dtype)
    run(channel_sums_call(runs, y))
    return y


def runs_by_channel(x: Array) -> Array | None:
    """(N, C, …) as (runs, C, values), if it lies so: see `normalization`."""
    rows = by_channel(x)
    if rows is not None:
        return rows[None]
    return x.reshape(*x.shape[:2], -1) if x.size and x.flags.carray else None


def by_channel(x: Array) -> Array | None:
    """(C, …) in one piece, if there are images that lie so, with the batch innermost."""
    turned = x.transpose(*range(1, x.ndim), 0)
    return turned.reshape(len(turned), -1) if x.size and turned.flags.carray else None


def channel_sums_call(x: Array, y: Array) -> Call:
    """Write y (C), the sums of the channels of x, (C, values) or (runs, C, values)."""
    x = x if x.ndim == 3 else x[None]
    return sum_channels.call(4 * x.size, x, y, most=x.shape[1])


@InParts
def sum_channels(part: int, parts: int, x: Array, y: Array) -> None:
    """Write the sum of each channel, made in pieces, so that errors stay small."""
    channels = x.shape[1]
    for c in range(part * channels // parts, (part + 1) * channels // parts):
        total = x.dtype.type(0)
        for n in range(len(x)):
            values = x[n, c]
            for start in range(0, values.size, 1024):
                piece, part_of = x.dtype.type(0), values[start : start + 1024]
                for k in range(part_of.size):
                    piece += part_of[k]
                total += piece
        y[c] = total


def log_softmax(x: Array, axis: int) -> Array:
    """x − max x − ln Σ exp(x − max x) along an axis."""
    by_rows = x.ndim == 2 and axis % 2 == 1
    if not by_rows or x.size > MANY or not readable(x):
        return reference.log_softmax(x, axis)
    y = np.empty_like(x)
    run(log_softmax_call(x, y))
    return y


MANY = 1 << 16
"""Values from which on NumPy, whose exp works on vectors, is faster."""


def log_softmax_call(x: Array, y: Array) -> Call:
    """Write y, the log-softmax of the rows of x; both lie alike and in one piece."""
    steps = [s // x.itemsize for s in x.strides]
    return log_softmax_rows, (x.ravel("K"), y.ravel("K"), *x.shape, *steps)


@compiled
def log_softmax_rows(
    x: Array, y: Array, rows: int, classes: int, row: int, column: int
) -> None:
    """y = z − ln Σ exp(z), z = x − max x, over the k; [n,k] is at n · row + k · column."""
    for n in range(rows):
        most = x.dtype.type(-np.inf)
        for k in range(classes):
            value = x[n * row + k * column]
            most = value if value > most or value != value else most
        total = x.dtype.type(0)
        for k in range(classes):
            at = n * row + k * column
            y[at] = x[at] - most
            total += np.exp(y[at])
        total = np.log(total)
        for k in range(classes):
            y[n * row + k * column] -= total


def label_sum(x: Array, label: Array) -> np.generic | None:
    """Σ_n x[n, label[n]] for x (N, C); None if a label is not in 0 … C − 1, or N = 0."""
    if not readable(x) or label.dtype != np.int64 or not label.flags.carray:
        return reference.label_sum(x, label)
    row, column = (s // x.itemsize for s in x.strides)
    total, good = label_loop(x.ravel("K"), label, x.shape[1], row, column)
    return x.dtype.type(total) if good else None


@compiled
def label_loop(
    x: Array, label: Array, classes: int, row: int, column: int
) -> tuple[np.generic, bool]:
    """The sum, and whether all labels are classes."""
    total = x.dtype.type(0)
    for n in range(label.size):
        if label[n] < 0 or label[n] >= classes:
            return total, False
        total += x[n * row + label[n] * column]
    return total, label.size > 0
