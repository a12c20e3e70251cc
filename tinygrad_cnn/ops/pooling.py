"""Pooling over windows. Index letters as in `convolution`: output position (i, j), tap
(u, v), input pixel (q, r), stride s, padding p, dilation d.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from ..errors import ShapeError
from ..kernels import Pair, Window, active
from .base import Inputs, Op, Position, Value
from .words import named, number


def check_images(x: Value, name: str) -> None:
    """Refuse what is not (N, C, H, W)."""
    if x.ndim != 4:
        raise ShapeError(f"{name} takes images (N, C, H, W), got {list(x.shape)}")


def letters_of(window: Window) -> dict[str, Any]:
    """Those of the formulas of this file."""
    (k_y, k_x), s, p, d = (
        window.kernel,
        window.stride,
        window.padding,
        window.dilation,
    )
    return {"s": s, "p": p, "d": d, "k": k_x, "u": range(k_y), "v": range(k_x)}


class MaxPool2d(Op):
    """y[n,c,i,j] = max_{u,v} x[n, c, s i + d u − p, s j + d v − p]; −∞ outside.

    Only the winning tap reaches y, so g goes to its place, *added* where windows overlap
    (`lenet` §3.0.2; `numpy-cnn` listing assigns instead):
    ∂L/∂x[n,c,q,r] = Σ_{i,j} g[n,c,i,j] where x[n,c,q,r] won the window (i, j).
    Ties go to the first tap in row-major order, a NaN wins, as in PyTorch. The tap that won
    is constant near x: the gradient is MaxPoolPut, whose own gradient is MaxPoolPick.
    """

    window: Window
    ceil_mode: bool = False
    keeps = ("tap",)
    flat_slope = True
    compiled = "max_pool2d"
    keeps_channels = True
    index_formulas: ClassVar = {
        "x": "∂L/∂x[n,c,q,r] = Σ_{i,j,u,v} g[n,c,i,j] · [tap[n,c,i,j] = k u + v] "
        "where (q, r) = (s i + d u − p, s j + d v − p)",
    }

    def letters(self) -> dict[str, Any]:
        return letters_of(self.window)

    def forward(self, x: Value) -> tuple[Value, Value]:
        check_images(x, "max_pool2d")
        return active.max_pool2d(x, self.window, self.ceil_mode)

    def grad_x(self, g: Value, tap: Value, x_shape: tuple[int, ...]) -> Value:
        return MaxPoolPut(self.window, (x_shape[2], x_shape[3]))(g, tap)

    def branch(self, tap: Value) -> Value:
        return tap

    def margin(self, x: Value, y: Value, tap: Value) -> Value:
        pick, inside = MaxPoolPick(self.window), np.ones_like(x)
        second = np.full_like(y, -np.inf)
        for t in range(self.window.kernel[0] * self.window.kernel[1]):
            at = np.full_like(tap, t)
            value = np.where((tap != t) & (pick(inside, at) > 0), pick(x, at), -np.inf)
            second = np.maximum(second, value)
        return y - second

    def ties(self, x: Value, y: Value, tap: Value) -> Value:
        return self.margin(x, y, tap) == 0

    def reached(self, inputs: Inputs, i: int, index: Position) -> Value:
        one = np.zeros(inputs[0].shape)
        one[index] = 1
        return SumPool2d(self.window, self.ceil_mode)(one) > 0

    def note(self, inputs: Inputs, i: int, index: Position, at: Position) -> str:
        """How x[index] fared in the window of this output."""
        x, w, taps = inputs[0], self.window, {}
        for tap in np.ndindex(w.kernel):
            axes = zip(at[2:], tap, w.stride, w.padding, w.dilation, strict=True)
            q, r = [s * i + d * u - p for i, u, s, p, d in axes]
            if 0 <= q < x.shape[2] and 0 <= r < x.shape[3]:
                taps[*at[:2], q, r] = tap
        places = list(taps)
        best = places[int(np.argmax([x[place] for place in places]))]
        if best == index:
            return f"won at tap {taps[index]}: x = {number(x[best])}"
        verb = "ties with the earlier" if x[best] == x[index] else "lost to"
        by = f"{named('x', best)} = {number(x[best])}"
        return f"tap {taps[index]}: x = {number(x[index])} {verb} {by}"


class MaxPoolPut(Op):
    """y[n,c,q,r] = Σ_{i,j} x[n,c,i,j] where the tap that won (i, j) lies on (q, r).

    Linear, and the transposed matrix of picking, MaxPoolPick:
    ∂L/∂x[n,c,i,j] = g[n, c, s i + d u − p, s j + d v − p] for the tap (u, v) that won.
    """

    window: Window
    size: Pair
    constant = ("tap",)
    compiled = "max_pool2d_put"

    def forward(self, x: Value, tap: Value) -> Value:
        return active.max_pool2d_put(x, tap, self.size, self.window)

    def grad_x(self, g: Value, tap: Value) -> Value:
        return MaxPoolPick(self.window)(g, tap)

    def branch(self, tap: Value) -> Value:
        return tap


class MaxPoolPick(Op):
    """y[n,c,i,j] = x[n, c, s i + d u − p, s j + d v − p] for the tap (u, v) that won.

    Linear, and the transposed matrix of putting back, MaxPoolPut:
    ∂L/∂x[n,c,q,r] = Σ_{i,j} g[n,c,i,j] where the tap that won (i, j) lies on (q, r).
    """

    window: Window
    constant = ("tap",)

    def forward(self, x: Value, tap: Value) -> Value:
        return active.max_pool2d_pick(x, tap, self.window)

    def grad_x(self, g: Value, tap: Value, x_shape: tuple[int, ...]) -> Value:
        return MaxPoolPut(self.window, (x_shape[2], x_shape[3]))(g, tap)

    def branch(self, tap: Value) -> Value:
        return tap


class SumPool2d(Op):
    """y[n,c,i,j] = Σ_{u,v} x[n, c, s i + d u − p, s j + d v − p]; 0 outside.

    The numerator of average pooling (`day2` §4). A pixel counts once in each window on it:
    ∂L/∂x[n,c,q,r] = Σ_{i,j,u,v} g[n,c,i,j] where (q, r) = (s i + d u − p, s j + d v − p):
    SumPoolInput.
    """

    window: Window
    ceil_mode: bool = False
    flat_slope = True

    def letters(self) -> dict[str, Any]:
        return letters_of(self.window)

    def forward(self, x: Value) -> Value:
        check_images(x, "avg_pool2d")
        size = (x.shape[2], x.shape[3])
        return active.sum_pool2d(
            x, self.window, self.window.output_size(size, self.ceil_mode)
        )

    def grad_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        return SumPoolInput(self.window, (x_shape[2], x_shape[3]), self.ceil_mode)(g)


class SumPoolInput(Op):
    """y[n,c,q,r] = Σ_{i,j,u,v} x[n,c,i,j] where (q, r) = (s i + d u − p, s j + d v − p).

    The adjoint of SumPool2d:
    ∂L/∂x[n,c,i,j] = Σ_{u,v} g[n, c, s i + d u − p, s j + d v − p].
    """

    window: Window
    size: Pair
    ceil_mode: bool = False

    def forward(self, x: Value) -> Value:
        return active.sum_pool2d_input(x, self.size, self.window)

    def grad_x(self, g: Value) -> Value:
        return SumPool2d(self.window, self.ceil_mode)(g)


class AdaptiveMaxPool(Op):
    """y[n,c,i,j] = max x[n,c,q,r] over the window (i, j).

    `size` windows cover the image, of any number of axes: i of o covers the rows
    ⌊i h / o⌋ … ⌈(i + 1) h / o⌉ − 1, and columns alike. g goes to the largest value, added
    where windows overlap:
    ∂L/∂x[n,c,q,r] = Σ_{i,j} g[n,c,i,j] where x[n,c,q,r] won the window (i, j).
    `place` is where it stood, row-major in the image: the first of equal ones.
    """

    size: tuple[int, ...]
    keeps = ("place",)
    flat_slope = True
    keeps_channels = True

    def forward(self, x: Value) -> tuple[Value, Value]:
        lead = x.shape[: -len(self.size)]
        y = np.empty((*lead, *self.size), x.dtype)
        place = np.empty(y.shape, np.int64)
        for at, values, places in self._windows(x):
            best = values.argmax(-1)[..., None]
            y[(..., *at)] = np.take_along_axis(values, best, -1)[..., 0]
            place[(..., *at)] = places[best[..., 0]]
        return y, place

    def _windows(self, x: Value) -> Iterator[tuple[Any, Value, Value]]:
        """For each position: the values of its window, and the place of each."""
        lead, lengths = x.shape[: -len(self.size)], x.shape[-len(self.size) :]
        every = np.arange(math.prod(lengths)).reshape(lengths)
        for at in np.ndindex(self.size):
            axes = zip(at, lengths, self.size, strict=True)
            window = tuple(
                [slice(i * n // o, -(-(i + 1) * n // o)) for i, n, o in axes]
            )
            places = every[window].reshape(-1)
            yield at, x[(..., *window)].reshape(*lead, len(places)), places

    def grad_x(self, g: Value, place: Value, x_shape: tuple[int, ...]) -> Value:
        return PutAtPlace(x_shape[-len(self.size) :])(g, place)

    def branch(self, place: Value) -> Value:
        return place

    def margin(self, x: Value, y: Value) -> Value:
        lead = np.full_like(y, np.inf)
        for at, values, places in self._windows(x):
            if len(places) > 1:
                second = np.partition(values, -2, -1)[..., -2]
                lead[(..., *at)] = y[(..., *at)] - second
        return lead


class PutAtPlace(Op):
    """y[n,c,q,r] = Σ_{i,j} x[n,c,i,j] where the place of (i, j) is (q, r).

    Linear, and the transposed matrix of PickAtPlace: ∂L/∂x[n,c,i,j] = g[n,c,q,r] for that
    place.
    """

    size: tuple[int, ...]
    constant = ("place",)

    def forward(self, x: Value, place: Value) -> Value:
        axes = len(self.size)
        y = np.zeros((*x.shape[:-axes], *self.size), x.dtype)
        flat = y.reshape(math.prod(x.shape[:-axes]), math.prod(self.size))
        rows = place.reshape(len(flat), math.prod(place.shape[-axes:]))
        np.add.at(flat, (np.arange(len(flat))[:, None], rows), x.reshape(rows.shape))
        return y

    def grad_x(self, g: Value, place: Value) -> Value:
        return PickAtPlace(len(self.size))(g, place)

    def branch(self, place: Value) -> Value:
        return place


class PickAtPlace(Op):
    """y[n,c,i,j] = x[n,c,q,r] for the place (q, r) of (i, j).

    Linear, and the transposed matrix of PutAtPlace:
    ∂L/∂x[n,c,q,r] = Σ_{i,j} g[n,c,i,j] where the place of (i, j) is (q, r).
    """

    axes: int
    constant = ("place",)

    def forward(self, x: Value, place: Value) -> Value:
        lead, size = x.shape[: -self.axes], x.shape[-self.axes :]
        flat = x.reshape(*lead, math.prod(size))
        rows = place.reshape(*lead, math.prod(place.shape[-self.axes :]))
        return np.take_along_axis(flat, rows, -1).reshape(place.shape)

    def grad_x(self, g: Value, place: Value, x_shape: tuple[int, ...]) -> Value:
        return PutAtPlace(x_shape[-self.axes :])(g, place)

    def branch(self, place: Value) -> Value:
        return place
