"""Wrong gradients of reductions, and of what moves values."""

from typing import Any

import numpy as np

from ...ops.reduction import LogSumExp, Max, Mean, Norm, Var, spread
from ...ops.shape import Concatenate, Expand, Index, Pad, Permute, Put, Reshape
from .mutant import Example, values, wrong

MEAN, VARIANCE = (Example(op, (values(3, 4, 5),)) for op in (Mean((1,)), Var((2,))))
LARGEST = Example(Max((1,)), (values(4, 6),))
TIED = Example(
    Max((1,)), (values(4, 1),), compose=lambda op: lambda x: op(Expand((4, 3))(x))
)
EXPONENTIALS = Example(LogSumExp((0,)), (values(4, 5),))
LENGTH = Example(Norm(), (values(4, 5),))
EXPANDED = Example(Expand((4, 3, 5)), (values(4, 1, 5),))
JOINED = Example(Concatenate(1), (values(3, 4), values(3, 4, draw=1)))
REPEATED = Example(Index((np.array([0, 2, 2, 4, 0, 0]),)), (values(5, 3),))
PADDED = Example(Pad(((0, 0), (2, 1))), (values(3, 5),))
ORDERED = Example(Permute((1, 2, 0)), (values(2, 3, 4),))
RESHAPED = Example(Reshape((3, 8)), (values(4, 6),))
REPLACED = Example(Put((slice(1, 3),)), (values(4, 3), values(2, 3)))


@wrong(MEAN, "grad_x", "not divided", "factor", says="that one output is made of")
def _(op: Any, g: Any, x_shape: Any) -> Any:
    return spread(g, x_shape, op.axis)


@wrong(MEAN, "grad_x", "divided by the number of all values", "factor")
def _(op: Any, g: Any, x_shape: Any) -> Any:
    return spread(g / np.prod(x_shape), x_shape, op.axis)


@wrong(VARIANCE, "grad_x", "divided by n instead of n − 1", "correction")
def _(op: Any, g: Any, x: Any) -> Any:
    d = x - x.mean(axis=2, keepdims=True)
    return 2 * spread(g, x.shape, op.axis) * d / x.shape[2]


@wrong(VARIANCE, "grad_x", "the mean not subtracted", "mean term")
def _(op: Any, g: Any, x: Any) -> Any:
    return 2 * spread(g, x.shape, op.axis) * x / (x.shape[2] - 1)


@wrong(LARGEST, "grad_x", "to all values, not to the largest", "mask missing")
def _(op: Any, g: Any, x_shape: Any) -> Any:
    return spread(g, x_shape, op.axis)


@wrong(
    TIED, "grad_x", "the whole of g to each of three that tie", "factor", says="times 3"
)
def _(op: Any, g: Any, y: Any, x: Any) -> Any:
    return spread(g, x.shape, op.axis) * (x == spread(y, x.shape, op.axis))


@wrong(EXPONENTIALS, "grad_x", "the softmax forgotten", "derivative missing")
def _(op: Any, g: Any, x_shape: Any) -> Any:
    return spread(g, x_shape, op.axis)


@wrong(EXPONENTIALS, "grad_x", "not divided by the sum", "extra factor", says="exp(y)")
def _(op: Any, g: Any, x: Any) -> Any:
    return spread(g, x.shape, op.axis) * np.exp(x)


@wrong(LENGTH, "grad_x", "not divided by the length", "factor", says="the result y")
def _(op: Any, g: Any, x: Any) -> Any:
    return g * x


@wrong(EXPANDED, "grad_x", "only the last copy", "last slice")
def _(op: Any, g: Any) -> Any:
    return g[:, -1:]


@wrong(EXPANDED, "grad_x", "the mean of the copies", "factor", says="1 / 3")
def _(op: Any, g: Any) -> Any:
    return g.mean(axis=1, keepdims=True)


@wrong(EXPANDED, "grad_x", "copies not summed", "not summed")
def _(op: Any, g: Any) -> Any:
    return g


@wrong(JOINED, "grad_xs", "the slice of the first for each", "swapped", tensor="xs[1]")
def _(op: Any, g: Any) -> Any:
    return g[:, :4]


@wrong(REPEATED, "grad_x", "assigned where indices repeat", "assigned")
def _(op: Any, g: Any, x_shape: Any) -> Any:
    dx = np.zeros(x_shape)
    dx[op.key] = g
    return dx


@wrong(PADDED, "grad_x", "cut off one place too early", "shifted")
def _(op: Any, g: Any) -> Any:
    return g[:, 1:-2]


@wrong(ORDERED, "grad_x", "the same order again, not its inverse", "transposed")
def _(op: Any, g: Any) -> Any:
    return g.transpose(op.axes)


@wrong(RESHAPED, "grad_x", "read column by column", "transposed")
def _(op: Any, g: Any, x_shape: Any) -> Any:
    return g.reshape(-1).reshape(x_shape[::-1]).T


@wrong(REPLACED, "grad_x", "passed on where x was replaced", "mask missing")
def _(op: Any, g: Any) -> Any:
    return g
