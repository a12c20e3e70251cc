"""Sums over all axes but one, log-softmax along an axis, and the loss behind it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import reference
from .calls import FLOATS, Array, Call, InParts, run
from .compiling import compiled
from .elementwise import alike, readable
from .exponential import exp
from .intrinsics import slice_sum
from .sums import slice_start
from .tiles import SLICE


def channel_sums(x: Array) -> Array:
    """Σ over all axes of x (N, C, …) but the second."""
    if x.shape == (1, x.shape[1]):  # one value each
        return np.add(x[0], 0)
    runs = runs_by_channel(x)
    if runs is None or x.dtype.char not in FLOATS:
        return reference.channel_sums(x)
    y = np.empty(x.shape[1], x.dtype)
    run(channel_sums_call(runs, len(x) // len(runs), y))
    return y


def runs_by_channel(x: Array) -> Array | None:
    """(N, C, …) as (runs, C, values), if it lies so: see `normalization`."""
    rows = by_channel(x)
    if rows is not None:
        return rows[None]
    in_rows = x.ndim > 2 and x.size and x.flags.carray
    return x.reshape(*x.shape[:2], -1) if in_rows else None


def by_channel(x: Array) -> Array | None:
    """(C, …) in one piece, if there are images that lie so, with the batch innermost."""
    turned = x.transpose(*range(1, x.ndim), 0)
    return turned.reshape(len(turned), -1) if x.size and turned.flags.carray else None


def channel_sums_call(x: Array, n: int, y: Array) -> Call:
    """Write y (C), the sums of the channels of x (runs, C, values); n: the images that lie
    beside each other at each position.
    """
    return sum_channels.call(4 * x.size, x, n, y, most=x.shape[1])


@InParts
def sum_channels(part: int, parts: int, x: Array, n: int, y: Array) -> None:
    """Write the sum of each channel, slice by slice of its images (see `sums`)."""
    channels, cuts = x.shape[1], max(1, n // SLICE)
    for c in range(part * channels // parts, (part + 1) * channels // parts):
        total = x.dtype.type(0)
        for i in range(len(x)):
            for cut in range(cuts):
                first, last = slice_start(cut, cuts, n), slice_start(cut + 1, cuts, n)
                total += sum_images(x[i, c], n, first, last)
        y[c] = total


@compiled
def sum_images(x: Array, n: int, first: int, last: int) -> Any:
    """Σ over all positions of the images of a slice, in pieces: errors stay small."""
    total = x.dtype.type(0)
    if last - first < SLICE:  # no others lie between them
        for start in range(0, x.size, PIECE):
            piece, values = x.dtype.type(0), x[start : start + PIECE]
            for k in range(values.size):
                piece += values[k]
            total += piece
        return total
    count = x.size // n
    for p in range(0, count, PIECE):
        total += slice_sum(x, p * n + first, min(PIECE, count - p), n)
    for k in range(first + SLICE, last):
        for at in range(k, x.size, n):
            total += x[at]
    return total


PIECE = 1024  # values, or positions, that are summed before they meet the others


def log_softmax(x: Array, axis: int) -> Array:
    """x − max x − ln Σ exp(x − max x) along an axis."""
    if not _serves(x, axis):
        return reference.log_softmax(x, axis)
    y = np.empty_like(x)
    run(log_softmax_call(x, y, axis))
    return y


def log_softmax_input(g: Array, y: Array, axis: int) -> Array:
    """g − exp(y) Σ g along an axis."""
    if not _serves(y, axis) or (g.dtype, g.shape) != (y.dtype, y.shape):
        return reference.log_softmax_input(g, y, axis)
    if not (g.flags.writeable and alike(y, g)):
        laid = np.empty_like(y)
        laid[...] = g
        g = laid
    dx = np.empty_like(y)
    run(log_softmax_input_call(g, y, dx, axis))
    return dx


def _serves(x: Array, axis: int) -> bool:
    return x.size > 0 and readable(x) and -x.ndim <= axis < x.ndim


def along(axis: int, *arrays: Array) -> tuple[list[Array], list[int]]:
    """Arrays that lie alike and in one piece, flat, and how an axis lies in them: how many
    blocks there are, how many values the axis has, and how many lie beside each other in
    each step along it. What is at [block, k, beside] is at (block · K + k) · besides.
    """
    x = arrays[0]
    axis %= x.ndim
    shape = x.shape
    if not x.flags.c_contiguous:  # the batch innermost
        arrays = tuple([v.transpose(*range(1, v.ndim), 0) for v in arrays])
        shape, axis = (*shape[1:], shape[0]), (axis - 1) % x.ndim
    blocks, besides = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    return [v.reshape(-1) for v in arrays], [blocks, shape[axis], besides]


def log_softmax_call(x: Array, y: Array, axis: int = 1) -> Call:
    """Write y, the log-softmax of x along an axis; both lie alike and in one piece."""
    arrays, lying = along(axis, x, y)
    return log_softmax_rows.call(32 * x.size, *arrays, *lying)


def log_softmax_input_call(g: Array, y: Array, dx: Array, axis: int = 1) -> Call:
    """Write dx; all lie alike and in one piece."""
    arrays, lying = along(axis, g, y, dx)
    return log_softmax_back.call(32 * y.size, *arrays, *lying)


WIDE, MOST = 16, 256
"""How many values beside each other a kernel takes at once: one, or at least and at most
so many.
"""


@compiled
def width_of(besides: int) -> int:
    """How many values beside each other are taken at once."""
    return MOST if besides >= WIDE else 1


@InParts
def log_softmax_rows(
    part: int, parts: int, x: Array, y: Array, blocks: int, count: int, besides: int
) -> None:
    """y = z − ln Σ exp(z), z = x − max x, over the k; see `along`."""
    width = width_of(besides)
    pieces = -(-besides // width)
    most, total = np.empty(width, x.dtype), np.empty(width, x.dtype)
    count_of = blocks * pieces
    for piece in range(part * count_of // parts, (part + 1) * count_of // parts):
        start = piece % pieces * width
        first = piece // pieces * count * besides + start
        if width == 1:
            log_softmax_of_one(x, y, first, count, besides)
        else:
            some = min(width, besides - start)
            log_softmax_of_some(x, y, first, count, besides, most[:some], total[:some])


@compiled
def log_softmax_of_one(x: Array, y: Array, first: int, count: int, step: int) -> None:
    """One row, whose values are `step` apart."""
    behind = first + count * step
    most, total = x.dtype.type(-np.inf), x.dtype.type(0)
    for at in range(first, behind, step):
        most = x[at] if x[at] > most or x[at] != x[at] else most
    if step == 1:
        values, z = x[first:behind], y[first:behind]
        for k in range(count):
            z[k] = values[k] - most
        # A loop of its own: one that also writes adds up in another order where the two
        # arrays happen to lie close to each other.
        for k in range(count):
            total += exp(z[k])
    else:
        for at in range(first, behind, step):
            y[at] = x[at] - most
        for at in range(first, behind, step):
            total += exp(y[at])
    total = np.log(total)
    for at in range(first, behind, step):
        y[at] -= total


@compiled
def log_softmax_of_some(
    x: Array, y: Array, first: int, count: int, step: int, most: Array, total: Array
) -> None:
    """As many rows beside each other as there is memory for, which is written."""
    most[:], total[:] = x.dtype.type(-np.inf), x.dtype.type(0)
    for at in range(first, first + count * step, step):
        values = x[at : at + most.size]
        for m in range(most.size):
            larger = values[m] > most[m] or values[m] != values[m]
            most[m] = values[m] if larger else most[m]
    for at in range(first, first + count * step, step):
        values, z = x[at : at + most.size], y[at : at + most.size]
        for m in range(most.size):
            z[m] = values[m] - most[m]
            total[m] += exp(z[m])
    for m in range(most.size):
        total[m] = np.log(total[m])
    for at in range(first, first + count * step, step):
        z = y[at : at + most.size]
        for m in range(most.size):
            z[m] -= total[m]


@InParts
def log_softmax_back(
    part: int,
    parts: int,
    g: Array,
    y: Array,
    dx: Array,
    blocks: int,
    count: int,
    besides: int,
) -> None:
    """dx = g − exp(y) Σ g over the k; see `along`."""
    width = width_of(besides)
    pieces = -(-besides // width)
    pool = np.empty(width, y.dtype)
    count_of = blocks * pieces
    for piece in range(part * count_of // parts, (part + 1) * count_of // parts):
        start = piece % pieces * width
        first = piece // pieces * count * besides + start
        total = pool[: min(width, besides - start)]
        total[:] = y.dtype.type(0)
        for at in range(first, first + count * besides, besides):
            given = g[at : at + total.size]
            for m in range(total.size):
                total[m] += given[m]
        if besides == 1:  # one row, value after value
            stop = first + count
            given, values, out = g[first:stop], y[first:stop], dx[first:stop]
            for k in range(count):
                out[k] = given[k] - exp(values[k]) * total[0]
            continue
        for at in range(first, first + count * besides, besides):
            stop = at + total.size
            given, values, out = g[at:stop], y[at:stop], dx[at:stop]
            for m in range(total.size):
                out[m] = given[m] - exp(values[m]) * total[m]


def mean_nll(x: Array, target: Array) -> tuple[Any, Array, Array] | None:
    """−Σ_n x[n, target[n]] / N for x (N, C), −1 / N for each n, and a copy of the target;
    None if a target is not in 0 … C − 1, or N = 0.
    """
    if not readable(x) or target.dtype != np.int64 or not target.flags.carray:
        return reference.mean_nll(x, target)
    y, scale = np.empty((), x.dtype), np.empty(len(x), x.dtype)
    label = np.empty_like(target)
    run(mean_nll_call(x, target, len(x), y, scale, label))
    if y != y:  # of values that are NaN, or because a target is no class
        return reference.mean_nll(x, target)
    return y, scale, label


def mean_nll_call(
    x: Array, target: Array, n: int, y: Array, scale: Array, label: Array
) -> Call:
    """Write all that `mean_nll` returns; y is NaN if a target is not in 0 … C − 1.

    n: the images of the whole batch, of which these may be a slice.
    """
    given = x.ravel("K"), target, n, y.reshape(1), scale, label
    return find_mean_nll.call(len(x), *given, *_steps(x), most=1)


def _steps(x: Array) -> tuple[int, int]:
    """How far rows and columns of a matrix are apart in its memory."""
    return x.strides[0] // x.itemsize, x.strides[1] // x.itemsize


@InParts
def find_mean_nll(
    part: int,
    parts: int,
    x: Array,
    target: Array,
    n: int,
    y: Array,
    scale: Array,
    label: Array,
    row: int,
    column: int,
) -> None:
    """One part does it all, slice by slice; x[i, k] is at i · row + k · column."""
    of, count = x.dtype.type, target.size
    classes, cuts, loss = x.size // max(count, 1), max(1, count // SLICE), of(0)
    for cut in range(cuts):
        total = of(0)
        for i in range(
            slice_start(cut, cuts, count), slice_start(cut + 1, cuts, count)
        ):
            k = target[i]
            total += x[i * row + k * column] if 0 <= k < classes else of(np.nan)
        loss += -total / of(n)
    for i in range(count):
        label[i] = target[i] if 0 <= target[i] < classes else 0
        scale[i] = of(-1) / of(n)
    y[0] = loss


def place(x: Array, label: Array, classes: int) -> Array:
    """y[n, k] = x[n] where k = label[n], else 0; (N, classes), the batch innermost."""
    plain = x.ndim == 1 and x.flags.carray and x.dtype.char in FLOATS
    if not plain or label.dtype != np.int64 or not label.flags.carray:
        return reference.place(x, label, classes)
    y = np.empty((len(x), classes), x.dtype, "F")
    run(place_call(x, label, y))
    return y


def place_call(x: Array, label: Array, y: Array) -> Call:
    """Write y (N, classes), which lies in one piece; labels are classes."""
    return place_at_labels.call(y.size, x, label, y.ravel("K"), *_steps(y))


@InParts
def place_at_labels(
    part: int, parts: int, x: Array, label: Array, y: Array, row: int, column: int
) -> None:
    """y[n · row + label[n] · column] = x[n], and 0 between them."""
    count, zero = label.size, y.dtype.type(0)
    classes = y.size // max(count, 1)
    for n in range(part * count // parts, (part + 1) * count // parts):
        for k in range(classes):
            y[n * row + k * column] = zero
        y[n * row + label[n] * column] = x[n]
