"""Wrong gradients of reductions, and of what moves values."""

from functools import partial
from typing import Any

import numpy as np

from ...ops.reduction import LogSumExp, Max, Mean, Norm, Var, spread
from ...ops.shape import Concatenate, Expand, Index, Pad, Permute, Put, Reshape
from ..subject import Array
from .mutant import Example, values, wrong

TIED = Example(
    Max((1,)), (values(4, 1),), compose=lambda op: lambda x: op(Expand((4, 3))(x))
)
REPEATED = Example(Index((np.array([0, 2, 2, 4, 0, 0]),)), (values(5, 3),))
JOINED = Example(Concatenate(1), (values(3, 4), values(3, 4, draw=1)))
REPLACED = Example(Put((slice(1, 3),)), (values(4, 3), values(2, 3)))


def to_all(op: Any, g: Array, x_shape: tuple[int, ...]) -> Array:
    """The whole of g to every value that one output is made of."""
    return spread(g, x_shape, op.axis)


mean = partial(wrong, Example(Mean((1,)), (values(3, 4, 5),)), "grad_x")
mean("not divided", "factor: that one output is made of")(to_all)
mean("divided by the number of all values", "factor")(
    lambda op, g, x_shape: spread(g / np.prod(x_shape), x_shape, op.axis)
)

variance = partial(wrong, Example(Var((2,)), (values(3, 4, 5),)), "grad_x")


@variance("divided by n instead of n − 1", "correction")
def _(op: Var, g: Array, x: Array) -> Array:
    d = x - x.mean(axis=2, keepdims=True)
    return 2 * spread(g, x.shape, op.axis) * d / x.shape[2]


variance("the mean not subtracted", "mean term")(
    lambda op, g, x: 2 * spread(g, x.shape, op.axis) * x / (x.shape[2] - 1)
)

largest = partial(wrong, Example(Max((1,)), (values(4, 6),)), "grad_x")
largest("to all values, not to the largest", "mask missing")(to_all)

tied = partial(wrong, TIED, "grad_x")
tied("the whole of g to each of three that tie", "factor: times 3")(
    lambda op, g, y, x: spread(g, x.shape, op.axis) * (x == spread(y, x.shape, op.axis))
)

log_sum_exp = partial(wrong, Example(LogSumExp((0,)), (values(4, 5),)), "grad_x")
log_sum_exp("the softmax forgotten", "derivative missing")(to_all)
log_sum_exp("not divided by the sum", "extra factor: exp(y)")(
    lambda op, g, x: spread(g, x.shape, op.axis) * np.exp(x)
)

length = partial(wrong, Example(Norm(), (values(4, 5),)), "grad_x")
length("not divided by the length", "factor: the result y")(lambda op, g, x: g * x)

expanded = partial(wrong, Example(Expand((4, 3, 5)), (values(4, 1, 5),)), "grad_x")
expanded("only the last copy", "last slice")(lambda op, g: g[:, -1:])
expanded("the mean of the copies", "factor: 1 / 3")(
    lambda op, g: g.mean(axis=1, keepdims=True)
)
expanded("copies not summed", "not summed")(lambda op, g: g)

joined = partial(wrong, JOINED, "grad_xs")
joined("the slice of the first for each", "swapped", tensor="xs[1]")(
    lambda op, g: g[:, :4]
)


@wrong(REPEATED, "grad_x", "assigned where indices repeat", "assigned")
def _(op: Index, g: Array, x_shape: tuple[int, ...]) -> Array:
    dx = np.zeros(x_shape)
    dx[op.key] = g
    return dx


padded = partial(wrong, Example(Pad(((0, 0), (2, 1))), (values(3, 5),)), "grad_x")
padded("cut off one place too early", "shifted")(lambda op, g: g[:, 1:-2])

ordered = partial(wrong, Example(Permute((1, 2, 0)), (values(2, 3, 4),)), "grad_x")
ordered("the same order again, not its inverse", "transposed")(
    lambda op, g: g.transpose(op.axes)
)

reshaped = partial(wrong, Example(Reshape((3, 8)), (values(4, 6),)), "grad_x")
reshaped("read column by column", "transposed")(
    lambda op, g, x_shape: g.reshape(-1).reshape(x_shape[::-1]).T
)

replaced = partial(wrong, REPLACED, "grad_x")
replaced("passed on where x was replaced", "mask missing")(lambda op, g: g)
