"""Resampling: along each axis, every value of the result is a weighted sum of a few.

What a pixel of a larger or smaller image is made of does not depend on its value, and is
found for rows and columns apart: a matrix for each axis, with few entries in a row. So
interpolation, adaptive means and padding with what the image holds are one operation, whose
gradient goes back by the transposed matrices and is the same operation again.

Index letters: n image, c channel, (i, j) output position, (q, r) input pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from .base import Op, Value

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Taps:
    """A matrix with few entries in a row, of the shape (outputs, inputs).

    rows, columns, weights: its entries, in the order of the rows; no place twice.
    """

    shape: tuple[int, int]
    rows: Array
    columns: Array
    weights: Array

    def __repr__(self) -> str:
        return f"{self.shape[1]}→{self.shape[0]}"

    @cached_property
    def transposed(self) -> Taps:
        """The matrix with rows and columns exchanged."""
        order = np.argsort(self.columns, kind="stable")
        entries = self.columns[order], self.rows[order], self.weights[order]
        return Taps((self.shape[1], self.shape[0]), *entries)

    @cached_property
    def _passes(self) -> list[list[tuple[Any, Any, Array]]]:
        """The first entries of all rows, the second ones, and so on."""
        place = np.arange(len(self.rows)) - np.searchsorted(self.rows, self.rows)
        chosen = [place == k for k in range(place.max(initial=-1) + 1)]
        return [_runs(self.rows[k], self.columns[k], self.weights[k]) for k in chosen]

    @cached_property
    def _common(self) -> float | None:
        """The weight of all entries, if they have one."""
        weights = np.unique(self.weights)
        return float(weights[0]) if len(weights) == 1 else None

    def along(self, axis: int, x: Array) -> Array:
        """The matrix times x, along one axis; x keeps its order in memory."""
        order = np.argsort([-abs(stride) for stride in x.strides], kind="stable")
        y = self._times(int(np.flatnonzero(order == axis)[0]), x.transpose(order))
        return y.transpose(np.argsort(order))

    def _times(self, axis: int, x: Array) -> Array:
        before, after = (slice(None),) * axis, (1,) * (x.ndim - axis - 1)
        y = np.zeros((*x.shape[:axis], self.shape[0], *x.shape[axis + 1 :]), x.dtype)
        for number, entries in enumerate(self._passes):
            for rows, columns, weights in entries:
                part = x[(*before, columns)]
                if self._common is None:
                    part = part * weights.astype(x.dtype).reshape(-1, *after)
                if number == 0:
                    y[(*before, rows)] = part
                else:
                    y[(*before, rows)] += part
        if self._common not in (None, 1.0):
            y *= self._common
        return y


def _runs(rows: Array, columns: Array, weights: Array) -> list[tuple[Any, Any, Array]]:
    """The entries, a few slices at a time where they can be: these copy nothing.

    Twice as large, say, the even rows read one column after the other, and the odd ones.
    """
    best: list[tuple[Any, Any, Array]] = [(rows, columns, weights)]
    fewest = len(rows) // 4 + 8
    for period in range(1, min(len(rows), 4) + 1):
        pieces = []
        for phase in range(period):
            r, c, w = (part[phase::period] for part in (rows, columns, weights))
            for start, stop in _evenly_spaced(r, c):
                run = slice(start, stop)
                pieces.append((_slice(r[run]), _slice(c[run]), w[run]))
        if len(pieces) <= fewest:
            best, fewest = pieces, len(pieces) - 1
    return best


def _evenly_spaced(rows: Array, columns: Array) -> Iterator[tuple[int, int]]:
    """Where the steps from each to the next stay the same, no two columns being one."""
    steps = list(zip(np.diff(rows), np.diff(columns), strict=True))
    start, step = 0, None
    for k, here in enumerate(steps, 1):
        if step is None and here[1]:
            step = here
        elif here != step:
            yield start, k
            start, step = k, None
    yield start, len(rows)


def _slice(index: Array) -> slice:
    step = int(index[1] - index[0]) if len(index) > 1 else 1
    stop = int(index[-1]) + (1 if step > 0 else -1)
    return slice(int(index[0]), None if stop < 0 else stop, step)


def _matrix(inputs: int, columns: Array, weights: Array | None = None) -> Taps:
    """Of the columns (outputs, taps) and their weights; what meets is added up."""
    outputs = len(columns)
    places = (np.arange(outputs)[:, None] * inputs + columns).ravel()
    found, entry = np.unique(places, return_inverse=True)
    given = np.ones(len(places)) if weights is None else weights.ravel()
    summed = np.bincount(entry, given, len(found))
    return Taps((outputs, inputs), found // inputs, found % inputs, summed)


# --------------------------------------------------------------- the matrix of one axis


@lru_cache
def averages(inputs: int, outputs: int) -> Taps:
    """Output i is the mean of the inputs ⌊i n / o⌋ … ⌈(i + 1) n / o⌉ − 1."""
    i = np.arange(outputs)
    start, count = i * inputs // outputs, -(-(i + 1) * inputs // outputs)
    count -= start
    rows = np.repeat(i, count)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count - start, count)
    return Taps((outputs, inputs), rows, columns, 1 / count[rows])


@lru_cache
def around(inputs: int, before: int, after: int, mode: str) -> Taps:
    """Padding from within, by the modes of `numpy.pad`; negative widths crop."""
    places = np.arange(inputs)
    crop = slice(max(-before, 0), inputs - max(-after, 0))
    if mode == "wrap":  # around what is left
        places, crop = places[crop], slice(None)
    kind: Any = mode
    source = np.pad(places, (max(before, 0), max(after, 0)), mode=kind)
    stop = len(source) - max(-after, 0)
    source = source if mode == "wrap" else source[max(-before, 0) : stop]
    return _matrix(inputs, source[:, None])


@lru_cache
def nearest(inputs: int, outputs: int, scale: float | None, half: float) -> Taps:
    """Output i is input ⌊(i + half) n / o⌋; `scale` in the place of o / n.

    In float32 whatever the image is, as in PyTorch: where it rounds decides.
    """
    ratio = np.float32(1 / scale if scale else inputs / outputs)
    at = np.floor((np.arange(outputs, dtype=np.float32) + np.float32(half)) * ratio)
    return _matrix(inputs, np.minimum(at.astype(int), inputs - 1)[:, None])


def _positions(
    inputs: int, outputs: int, scale: float | None, align_corners: bool
) -> Array:
    """Where each output lies among the inputs."""
    i = np.arange(outputs)
    if align_corners:  # the first and the last of both lie on each other
        return i * ((inputs - 1) / (outputs - 1) if outputs > 1 else 0.0)
    ratio = 1 / scale if scale else inputs / outputs
    return ratio * (i + 0.5) - 0.5


@lru_cache
def linear(inputs: int, outputs: int, scale: float | None, align_corners: bool) -> Taps:
    """Output i lies between two inputs, which count the more the nearer they are."""
    at = _positions(inputs, outputs, scale, align_corners).clip(0, inputs - 1)
    first = at.astype(int)
    t = at - first
    columns = np.stack([first, np.minimum(first + 1, inputs - 1)], 1)
    return _matrix(inputs, columns, np.stack([1 - t, t], 1))


@lru_cache
def cubic(inputs: int, outputs: int, scale: float | None, align_corners: bool) -> Taps:
    """Output i from two inputs on either side, by Keys' cubic convolution, a = −3/4."""
    at = _positions(inputs, outputs, scale, align_corners)
    first = np.floor(at).astype(int)[:, None] + np.arange(-1, 3)
    d, a = np.abs(at[:, None] - first), -0.75
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    weights = np.where(d <= 1, near, far)
    return _matrix(inputs, first.clip(0, inputs - 1), weights)


# ---------------------------------------------------------------------- the operations


class Resample(Op):
    """y[n,c,i,j] = Σ_{q,r} a[i,q] · b[j,r] · x[n,c,q,r].

    A matrix for each of the last axes: `maps` = (a, b). First the axis that shrinks most.
    The same products, read from the other side:
    ∂L/∂x[n,c,q,r] = Σ_{i,j} a[i,q] · b[j,r] · g[n,c,i,j]: Resample with aᵀ and bᵀ.
    """

    maps: tuple[Taps, ...]
    kind: str = ""

    def forward(self, x: Value) -> Value:
        axes = range(x.ndim - len(self.maps), x.ndim)
        steps = sorted(
            zip(axes, self.maps, strict=True),
            key=lambda step: step[1].shape[0] / max(step[1].shape[1], 1),
        )
        for axis, taps in steps:
            x = taps.along(axis, x)
        return x

    def grad_x(self, g: Value) -> Value:
        back = tuple([taps.transposed for taps in self.maps])
        return Resample(back, self.kind)(g)


class AdaptiveAvgPool(Resample):
    """y[n,c,i,j] = Σ_{q,r} a[i,q] · b[j,r] · x[n,c,q,r] with the weights of a mean.

    Window i of o covers the rows ⌊i h / o⌋ … ⌈(i + 1) h / o⌉ − 1, each with the weight 1
    over how many they are; columns alike. Where h is no multiple of o, windows overlap.
    Each pixel gets its share of every mean that it is in:
    ∂L/∂x[n,c,q,r] = Σ_{i,j} a[i,q] · b[j,r] · g[n,c,i,j].
    """

    flat_slope = True


class PadWithin(Resample):
    """y[…, i, …] = x[…, a[i], …]: around x, values of x, reflected or repeated.

    Along each of the last axes. A value gets back what came to all its copies:
    ∂L/∂x[…, q, …] = Σ_i g[…, i, …] where a[i] = q.
    """

    flat_slope = True
    moves = True
