"""Wrong gradients of the poolings; the windows of OVERLAPPING share rows and columns."""

from dataclasses import replace
from typing import Any

import numpy as np

from ...kernels import Window
from ...ops.pooling import MaxPool2d, MaxPoolPut, SumPool2d, SumPoolInput
from .mutant import Example, values, wrong

OVERLAPPING = Example(MaxPool2d(Window((3, 3), (2, 2))), (values(2, 3, 7, 9),))
PADDED = Example(
    MaxPool2d(Window((2, 3), (2, 3), padding=(1, 1))), (values(2, 4, 6, 7),)
)
SUMMED = Example(SumPool2d(Window((3, 2), (2, 1))), (values(3, 4, 7, 5),))


@wrong(OVERLAPPING, "grad_x", "assigned where windows overlap", "assigned")
def _(op: Any, g: Any, tap: Any, x_shape: Any) -> Any:
    dx = np.zeros(x_shape)
    for n, c, i, j in np.ndindex(g.shape):
        u, v = divmod(int(tap[n, c, i, j]), 3)
        dx[n, c, 2 * i + u, 2 * j + v] = g[n, c, i, j]
    return dx


@wrong(OVERLAPPING, "grad_x", "a window wipes out its neighbours", "assigned")
def _(op: Any, g: Any, tap: Any, x_shape: Any) -> Any:
    dx = np.zeros(x_shape)
    for n, c, i, j in np.ndindex(g.shape):
        mask = np.arange(9).reshape(3, 3) == tap[n, c, i, j]
        dx[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] = mask * g[n, c, i, j]
    return dx


@wrong(OVERLAPPING, "grad_x", "to every entry of the window", "mask missing")
def _(op: Any, g: Any, tap: Any, x_shape: Any) -> Any:
    return SumPoolInput(op.window, x_shape[2:])(g)


@wrong(OVERLAPPING, "grad_x", "one column too far right", "shifted")
def _(op: Any, g: Any, tap: Any, x_shape: Any) -> Any:
    return np.roll(MaxPool2d.grad_x(op, g, tap, x_shape), 1, axis=3)


@wrong(OVERLAPPING, "grad_x", "stride forgotten", "stride")
def _(op: Any, g: Any, tap: Any, x_shape: Any) -> Any:
    window = replace(op.window, stride=(1, 1))
    return MaxPoolPut(window, x_shape[2:])(g, tap)


@wrong(
    OVERLAPPING, "grad_x", "divided by the cells, as a mean", "factor", says="window"
)
def _(op: Any, g: Any, tap: Any, x_shape: Any) -> Any:
    return MaxPool2d.grad_x(op, g / 9, tap, x_shape)


@wrong(PADDED, "grad_x", "the padding left on", "padding")
def _(op: Any, g: Any, tap: Any, x_shape: Any) -> Any:
    height, width = x_shape[2:]
    window = replace(op.window, padding=(0, 0))
    return MaxPoolPut(window, (height + 2, width + 2))(g, tap)[:, :, :height, :width]


@wrong(PADDED, "grad_x", "zero", "zero")
def _(op: Any, g: Any, tap: Any, x_shape: Any) -> Any:
    return np.zeros(x_shape)


@wrong(SUMMED, "grad_x", "assigned where windows overlap", "assigned")
def _(op: Any, g: Any, x_shape: Any) -> Any:
    dx = np.zeros(x_shape)
    for i, j in np.ndindex(g.shape[2:]):
        dx[:, :, 2 * i : 2 * i + 3, j : j + 2] = g[:, :, i : i + 1, j : j + 1]
    return dx


@wrong(
    SUMMED, "grad_x", "divided by the cells twice", "factor", says="cells of a window"
)
def _(op: Any, g: Any, x_shape: Any) -> Any:
    return SumPool2d.grad_x(op, g, x_shape) / 6


@wrong(SUMMED, "grad_x", "only to the corner of each window", "kernel")
def _(op: Any, g: Any, x_shape: Any) -> Any:
    window = replace(op.window, kernel=(1, 1))
    return SumPoolInput(window, x_shape[2:])(g)
