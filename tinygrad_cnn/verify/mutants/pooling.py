"""Wrong gradients of the poolings; the windows of OVERLAPPING share rows and columns."""

from dataclasses import replace
from functools import partial

import numpy as np

from ...kernels import Window
from ...ops.pooling import MaxPool2d, MaxPoolPut, SumPool2d, SumPoolInput
from ..subject import Array
from .mutant import Example, changed, values, wrong

OVERLAPPING = Example(MaxPool2d(Window((3, 3), (2, 2))), (values(2, 3, 7, 9),))
PADDED = Example(
    MaxPool2d(Window((2, 3), (2, 3), padding=(1, 1))), (values(2, 4, 6, 7),)
)
SUMMED = Example(SumPool2d(Window((3, 2), (2, 1))), (values(3, 4, 7, 5),))
Shape = tuple[int, int, int, int]

overlapping = partial(wrong, OVERLAPPING, "grad_x")


@overlapping("assigned where windows overlap", "assigned")
def _(op: MaxPool2d, g: Array, tap: Array, x_shape: Shape) -> Array:
    dx = np.zeros(x_shape)
    for n, c, i, j in np.ndindex(g.shape):
        u, v = divmod(int(tap[n, c, i, j]), 3)
        dx[n, c, 2 * i + u, 2 * j + v] = g[n, c, i, j]
    return dx


@overlapping("a window wipes out its neighbours", "assigned")
def _(op: MaxPool2d, g: Array, tap: Array, x_shape: Shape) -> Array:
    dx = np.zeros(x_shape)
    for n, c, i, j in np.ndindex(g.shape):
        mask = np.arange(9).reshape(3, 3) == tap[n, c, i, j]
        dx[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] = mask * g[n, c, i, j]
    return dx


overlapping("to every entry of the window", "mask missing")(
    lambda op, g, tap, x_shape: SumPoolInput(op.window, x_shape[2:])(g)
)
overlapping("one column too far right", "shifted")(
    changed(MaxPool2d.grad_x, lambda dx: np.roll(dx, 1, axis=3))
)


@overlapping("stride forgotten", "stride")
def _(op: MaxPool2d, g: Array, tap: Array, x_shape: Shape) -> Array:
    window = replace(op.window, stride=(1, 1))
    return MaxPoolPut(window, x_shape[2:])(g, tap)


overlapping("divided by the cells, as a mean", "factor: window")(
    changed(MaxPool2d.grad_x, lambda dx: dx / 9)
)

padded = partial(wrong, PADDED, "grad_x")


@padded("the padding left on", "padding")
def _(op: MaxPool2d, g: Array, tap: Array, x_shape: Shape) -> Array:
    height, width = x_shape[2:]
    window = replace(op.window, padding=(0, 0))
    return MaxPoolPut(window, (height + 2, width + 2))(g, tap)[:, :, :height, :width]


padded("zero", "zero")(lambda op, g, tap, x_shape: np.zeros(x_shape))

summed = partial(wrong, SUMMED, "grad_x")


@summed("assigned where windows overlap", "assigned")
def _(op: SumPool2d, g: Array, x_shape: Shape) -> Array:
    dx = np.zeros(x_shape)
    for i, j in np.ndindex(g.shape[2:]):
        dx[:, :, 2 * i : 2 * i + 3, j : j + 2] = g[:, :, i : i + 1, j : j + 1]
    return dx


summed("divided by the cells twice", "factor: cells of a window")(
    changed(SumPool2d.grad_x, lambda dx: dx / 6)
)


@summed("only to the corner of each window", "kernel")
def _(op: SumPool2d, g: Array, x_shape: Shape) -> Array:
    window = replace(op.window, kernel=(1, 1))
    return SumPoolInput(window, x_shape[2:])(g)
