"""Convolution, and why its gradients are convolutions.

    T(x, w, g) = Σ_{n,o,i,j} Σ_{c,u,v} g[n,o,i,j] x[n, c, s i + d u − p, …] w[o,c,u,v]

is linear in x, in w and in g. Its derivative with respect to each is one operation of this
file, and the gradient rules of each are the other two: one derivation, any order.

    ∂T/∂g = Conv2d(x, w)     ∂T/∂x = Conv2dInput(g, w)     ∂T/∂w = Conv2dWeight(x, g)

Index letters: n image, c input channel, o output channel, (i, j) output position, (u, v)
kernel tap, (q, r) input pixel; s stride, p zero padding, d dilation. With groups, c runs
over the channels of the group of o. This is the cross-correlation that the field calls
convolution (`numpy-cnn` eq. 9, §2.2.1); `nn.functional.true_conv2d` flips the kernel,
eq. 17.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..kernels import Pair, Window, active, pair
from .base import Op, Position, Shapes, Value
from .reduction import Sum
from .shape import Index

_window = lru_cache(Window)  # making and checking one takes longer than finding it


class Convolution(Op):
    """Base: where the windows lie, and how many groups the channels form.

    A stride, padding or dilation may be given as one int, which stands for both.
    """

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bilinear = True
    flat_slope = "alone"

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ArgumentError(f"groups must be a positive number, got {self.groups}")
        for name in ("stride", "padding", "dilation"):
            value = getattr(self, name)
            if type(value) is not tuple or [*map(type, value)] != [int, int]:
                object.__setattr__(self, name, pair(value, name))

    def window(self, kernel: tuple[int, ...]) -> Window:
        """The window of a kernel of this (k_y, k_x)."""
        return _window((kernel[0], kernel[1]), self.stride, self.padding, self.dilation)

    def letters(self) -> dict[str, Any]:
        if self.groups > 1:  # the formulas speak of the channels of one group
            return {"c": None}
        return {"s": self.stride, "d": self.dilation, "p": self.padding}

    _layout = property(attrgetter("stride", "padding", "dilation", "groups"))


class Conv2d(Convolution):
    """y[n,o,i,j] = b[o] + Σ_{c,u,v} x[n, c, s i + d u − p, s j + d v − p] · w[o,c,u,v].

    x (N, C, H, W), w (O, C/groups, k_y, k_x), b (O) or None; y (N, O, H', W').
    Sources: `numpy-cnn` eq. 9, 21; `lenet` §2.2.2. The bias stands outside the sum.

    Every output position used w[o,c,u,v] once, times the x that it met:
    ∂L/∂w[o,c,u,v] = Σ_{n,i,j} g[n,o,i,j] · x[n, c, s i + d u − p, s j + d v − p]
    (`numpy-cnn` eq. 11; `lenet` §3.0.1). To a pixel g comes back through the same weights:
    ∂L/∂x[n,c,q,r] = Σ_{o,i,j,u,v} g[n,o,i,j] · w[o,c,u,v]
    where (q, r) = (s i + d u − p, s j + d v − p): for s = d = 1 the full convolution of g,
    zero-padded by k − 1, with the kernel rotated by 180° (`numpy-cnn` eq. 10; `lenet`
    proof 2).
    ∂L/∂b[o] = Σ_{n,i,j} g[n,o,i,j] (`numpy-cnn` eq. 12).
    """

    compiled = "conv2d"
    bias = "b"

    def forward(self, x: Value, w: Value, b: Value) -> Value:
        self._check(x, w, b)
        window = _window(w.shape[2:], self.stride, self.padding, self.dilation)
        return active.conv2d(x, w, b, window, self.groups)

    def grad_x(self, g: Value, w: Value, x_shape: tuple[int, ...]) -> Value:
        return _conv2d_input(*self._layout, (x_shape[2], x_shape[3]))(g, w, None)

    def grad_w(self, g: Value, x: Value, w_shape: tuple[int, ...]) -> Value:
        return _conv2d_weight(*self._layout, (w_shape[2], w_shape[3]))(x, g)

    def grad_b(self, g: Value) -> Value:
        return Sum((0, 2, 3))(g)

    def _check(self, x: Value, w: Value, b: Value) -> None:
        if x.ndim != 4 or w.ndim != 4:
            raise ShapeError(
                "conv2d takes images (N, C, H, W) and kernels (O, C/groups, k_y, k_x); "
                f"got {x.ndim} and {w.ndim} axes"
            )
        o, c = w.shape[:2]
        if x.shape[1] != c * self.groups:
            raise ShapeError(
                f"the kernels take {c * self.groups} channels (weight {list(w.shape)}, "
                f"groups={self.groups}), but the images have {x.shape[1]} channels: "
                f"use in_channels={x.shape[1]}"
            )
        _check_channels(self.groups, x, w, b, o)

    def multiply_adds(self, shapes: Shapes, y_shape: Position) -> int:
        # Each output meets the taps of all channels of a group.
        return math.prod(y_shape) * math.prod(shapes[1][1:])


def _first(y: Value, shape: tuple[int, ...]) -> Value:
    """The first positions of y: where the size leaves room for more, nobody used them."""
    if y.shape == shape:
        return y
    return Index((..., slice(shape[2]), slice(shape[3])))(y)


def _check_channels(groups: int, x: Value, w: Value, b: Value, channels: int) -> None:
    if 0 in w.shape[:2]:
        raise ShapeError(f"kernels {list(w.shape)} hold no values")
    if w.shape[0] % groups:
        raise ShapeError(f"{w.shape[0]} channels do not divide into {groups} groups")
    if b is not None and b.shape != (channels,):
        raise ShapeError(
            f"the bias is {list(b.shape)}, expected [{channels}]: one a channel"
        )
    if not x.dtype == w.dtype == (w.dtype if b is None else b.dtype):
        raise ShapeError(f"images are {x.dtype}, kernels {w.dtype}: make them the same")


class Conv2dInput(Convolution):
    """y[n,c,q,r] = b[c] + Σ_{o,i,j,u,v} x[n,o,i,j] · w[o,c,u,v]
    where (q, r) = (s i + d u − p, s j + d v − p).

    The adjoint of Conv2d in its images, `size` being theirs.
    x (N, O, i, j), w (O, C/groups, k_y, k_x), b (C) or None; y (N, C, H, W).
    With T as above, Conv2d(g, w), Conv2dWeight(g, x) and a sum:
    ∂L/∂x[n,o,i,j] = Σ_{c,u,v} g[n, c, s i + d u − p, s j + d v − p] · w[o,c,u,v];
    ∂L/∂w[o,c,u,v] = Σ_{n,i,j} x[n,o,i,j] · g[n, c, s i + d u − p, s j + d v − p];
    ∂L/∂b[c] = Σ_{n,q,r} g[n,c,q,r].
    """

    size: Pair = (0, 0)
    compiled = "conv2d_input"
    bias = "b"

    def forward(self, x: Value, w: Value, b: Value) -> Value:
        if x.ndim != 4 or w.ndim != 4 or x.shape[1] != w.shape[0]:
            raise ShapeError(
                "conv_transpose2d takes images (N, C, H, W) and kernels (C, O/groups, "
                f"k_y, k_x) of the same C; got {list(x.shape)} and {list(w.shape)}"
            )
        _check_channels(self.groups, x, w, b, w.shape[1] * self.groups)
        if min(self.size) < 1:
            raise ShapeError(f"the output would have the size {self.size}: pad less")
        window = _window(w.shape[2:], self.stride, self.padding, self.dilation)
        y = active.conv2d_input(x, w, self.size, window, self.groups)
        return y if b is None else y + b[:, None, None]

    def grad_x(self, g: Value, w: Value, x_shape: tuple[int, ...]) -> Value:
        return _first(_conv2d(*self._layout)(g, w, None), x_shape)

    def grad_w(self, g: Value, x: Value, w_shape: tuple[int, ...]) -> Value:
        return _conv2d_weight(*self._layout, (w_shape[2], w_shape[3]))(g, x)

    def grad_b(self, g: Value) -> Value:
        return Sum((0, 2, 3))(g)

    def multiply_adds(self, shapes: Shapes, y_shape: Position) -> int:
        return math.prod(shapes[0]) * math.prod(shapes[1][1:])


class ConvTranspose2d(Conv2dInput):
    """y[n,c,q,r] = b[c] + Σ_{o,i,j,u,v} x[n,o,i,j] · w[o,c,u,v]
    where (q, r) = (s i + d u − p, s j + d v − p).

    The transposed convolution: Conv2dInput, which takes a gradient back to the images of a
    convolution, used forward. Every x is spread over a window, times the kernel; so
    ∂L/∂x[n,o,i,j] = Σ_{c,u,v} g[n, c, s i + d u − p, s j + d v − p] · w[o,c,u,v];
    ∂L/∂w[o,c,u,v] = Σ_{n,i,j} x[n,o,i,j] · g[n, c, s i + d u − p, s j + d v − p];
    ∂L/∂b[c] = Σ_{n,q,r} g[n,c,q,r].
    """


class Conv2dWeight(Convolution):
    """y[o,c,u,v] = Σ_{n,i,j} h[n,o,i,j] · x[n, c, s i + d u − p, s j + d v − p].

    The adjoint of Conv2d in its kernels, `kernel` being their (k_y, k_x): dL/dF = X ∗ dL/dY
    (`lenet` §3.0.1). x (N, C, H, W), h (N, O, i, j); y (O, C/groups, k_y, k_x).
    With T as above, g in the place of w, Conv2dInput(h, g) and Conv2d(x, g):
    ∂L/∂x[n,c,q,r] = Σ_{o,i,j,u,v} h[n,o,i,j] · g[o,c,u,v]
    where (q, r) = (s i + d u − p, s j + d v − p);
    ∂L/∂h[n,o,i,j] = Σ_{c,u,v} x[n, c, s i + d u − p, s j + d v − p] · g[o,c,u,v].
    """

    kernel: Pair = (1, 1)
    gives = "kernels"
    compiled = "conv2d_weight"

    def forward(self, x: Value, h: Value) -> Value:
        if x.shape[1] % self.groups or h.shape[1] % self.groups:
            raise ShapeError(
                f"{x.shape[1]} and {h.shape[1]} channels do not divide into "
                f"{self.groups} groups"
            )
        window = _window(self.kernel, self.stride, self.padding, self.dilation)
        i, j = window.output_size((x.shape[2], x.shape[3]))
        if h.shape[2] > i or h.shape[3] > j:
            raise ShapeError(
                f"images {list(x.shape)} have {i}×{j} positions for this window, "
                f"the gradient {list(h.shape)} has more"
            )
        return active.conv2d_weight(x, h, window, self.groups)

    def grad_x(self, g: Value, h: Value, x_shape: tuple[int, ...]) -> Value:
        return _conv2d_input(*self._layout, (x_shape[2], x_shape[3]))(h, g, None)

    def grad_h(self, g: Value, x: Value, h_shape: tuple[int, ...]) -> Value:
        return _first(_conv2d(*self._layout)(x, g, None), h_shape)

    def multiply_adds(self, shapes: Shapes, y_shape: Position) -> int:
        return math.prod(shapes[1]) * math.prod(y_shape[1:])


def _under_taps(
    window: Window, positions: tuple[int, ...]
) -> Iterator[tuple[Any, ...]]:
    """For each tap (u, v): itself, and the padded pixels that it meets."""
    layout = window.stride, window.dilation, positions
    for tap in np.ndindex(window.kernel):
        axes = zip(tap, *layout, strict=True)
        met = [slice(d * u, d * u + s * (n - 1) + 1, s) for u, s, d, n in axes]
        yield tap, met


class Unfold(Op):
    """y[n,c,u,v,i,j] = x[n, c, s i + d u − p, s j + d v − p]; 0 outside.

    The window at each position (i, j), side by side: a convolution is a matrix product with
    them. A pixel stands once in each window that it is in:
    ∂L/∂x[n,c,q,r] = Σ_{i,j,u,v} g[n,c,u,v,i,j]
    where (q, r) = (s i + d u − p, s j + d v − p): Fold.
    """

    window: Window

    def forward(self, x: Value) -> Value:
        if x.ndim != 4:
            raise ShapeError(f"unfold takes images (N, C, H, W), got {list(x.shape)}")
        positions = self.window.output_size((x.shape[2], x.shape[3]))
        (py, px), shape = self.window.padding, (*self.window.kernel, *positions)
        padded = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)))
        y = np.empty((*x.shape[:2], *shape), x.dtype)
        for (u, v), (rows, columns) in _under_taps(self.window, positions):
            y[:, :, u, v] = padded[:, :, rows, columns]
        return y

    def grad_x(self, g: Value, x_shape: tuple[int, ...]) -> Value:
        return Fold(self.window, (x_shape[2], x_shape[3]))(g)


class Fold(Op):
    """y[n,c,q,r] = Σ_{i,j,u,v} x[n,c,u,v,i,j]
    where (q, r) = (s i + d u − p, s j + d v − p).

    The adjoint of Unfold: windows are added up where they lie on each other.
    ∂L/∂x[n,c,u,v,i,j] = g[n, c, s i + d u − p, s j + d v − p]; 0 outside.
    """

    window: Window
    size: Pair

    def forward(self, x: Value) -> Value:
        (h, w), (py, px) = self.size, self.window.padding
        y = np.zeros((*x.shape[:2], h + 2 * py, w + 2 * px), x.dtype)
        for (u, v), (rows, columns) in _under_taps(self.window, x.shape[4:]):
            y[:, :, rows, columns] += x[:, :, u, v]
        return y[:, :, py : py + h, px : px + w]

    def grad_x(self, g: Value) -> Value:
        return Unfold(self.window)(g)


# Made once for each layout: a rule asks for the same ones at every step.
_conv2d = lru_cache(Conv2d)
_conv2d_input = lru_cache(Conv2dInput)
_conv2d_weight = lru_cache(Conv2dWeight)
