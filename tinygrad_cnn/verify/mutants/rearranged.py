"""Right numbers in the wrong places, cut, or with something added; two mistakes at once."""

from functools import partial

import numpy as np

from ...kernels import Window
from ...ops.activation import LeakyReLU
from ...ops.classification import Softmax
from ...ops.convolution import Conv2d
from ...ops.cumulative import Recurrence, moved
from ...ops.linear import Linear
from ...ops.normalization import Dropout
from ...ops.pooling import MaxPool2d
from ..subject import Array
from .mutant import Example, changed, values, wrong

DENSE = Example(Linear(), (values(5, 4), values(3, 4), values(3)))
CONV = Example(Conv2d(), (values(2, 3, 5, 6), values(4, 3, 3, 3), None))
WIDE = Example(Conv2d((2, 2)), (values(2, 3, 7, 9), values(4, 3, 3, 3), None))
POOL = Example(MaxPool2d(Window((2, 2), (2, 2))), (values(2, 3, 6, 8),))
STEPS = Example(Recurrence(1), (values(3, 5), values(3, 5, draw=1)))
KEPT = np.random.default_rng(0).random((4, 6)) < 0.5
OTHERS = np.random.default_rng(1).random((4, 6)) < 0.5

dense_x = partial(wrong, DENSE, "grad_x")
dense_x("reshaped, not transposed", "transposed: w were transposed")(
    lambda op, g, w: g @ w.reshape(w.shape[::-1]).T
)
dense_x("that of the first feature for all", "one for all: first index along axis 1")(
    lambda op, g, w: np.repeat((g @ w)[:, :1], 4, axis=1)
)
dense_w = partial(wrong, DENSE, "grad_w")
dense_w("clipped", "clipped: ±0.8")(
    changed(Linear.grad_w, lambda dw: np.clip(dw, -0.8, 0.8))
)
dense_w("cut to integers", "cut to integers")(changed(Linear.grad_w, np.trunc))
dense_w("weight decay", "added: + 0.1 · w")(
    lambda op, g, x, w: Linear.grad_w(op, g, x, w.shape) + 0.1 * w
)
dense_w("g not used", "g changed: 1 in the place of g")(
    lambda op, g, x, w_shape: Linear.grad_w(op, np.ones_like(g), x, w_shape)
)
dense_w("sign and mean", "factor: −1 / 5 (the batch size")(
    changed(Linear.grad_w, lambda dw: -dw / 5)
)
dense_w("last image, and the sign", "last image and factor: times −1")(
    lambda op, g, x: -np.outer(g[-1], x[-1])
)
dense_w("sign of one row", "sign: index 1 of axis 0 only")(
    changed(Linear.grad_w, lambda dw: dw * [[1], [-1], [1]])
)

conv_w = partial(wrong, CONV, "grad_w")


@conv_w("g reshaped, not transposed", "g transposed: read under the wrong shape")
def _(op: Conv2d, g: Array, x: Array, w_shape: tuple[int, ...]) -> Array:
    n, o, rows, columns = g.shape
    g = g.reshape(o, n, rows, columns).transpose(1, 0, 2, 3)
    return Conv2d.grad_w(op, g, x, w_shape)


@partial(wrong, WIDE, "grad_x")("stride forgotten in the columns", "window: columns")
def _(op: Conv2d, g: Array, w: Array, x_shape: tuple[int, ...]) -> Array:
    dx = np.zeros(x_shape)
    for n, o, i, j in np.ndindex(g.shape):
        dx[n, :, 2 * i : 2 * i + 3, j : j + 3] += g[n, o, i, j] * w[o]
    return dx


pool = partial(wrong, POOL, "grad_x")
pool("first window only", "first output: a return inside")(
    lambda op, g, tap, x_shape: MaxPool2d.grad_x(
        op, g * (np.indices(g.shape)[2:] == 0).all(axis=0), tap, x_shape
    )
)
pool("row and column in the window exchanged", "window: within a window")(
    lambda op, g, tap, x_shape: MaxPool2d.grad_x(op, g, tap % 2 * 2 + tap // 2, x_shape)
)
pool("the place of the first channel", "one for all: the place of its maximum")(
    lambda op, g, tap, x_shape: MaxPool2d.grad_x(
        op, g, np.repeat(tap[:, :1], 3, axis=1), x_shape
    )
)

leaky = partial(wrong, Example(LeakyReLU(0.1), (values(4, 5),)), "grad_x")
leaky("branches exchanged", "branches exchanged")(
    lambda op, g, x: g * np.where(x > 0, 0.1, 1)
)

dropout = partial(wrong, Example(Dropout(0.5), (values(4, 6), KEPT)), "grad_x")
dropout("mask drawn anew", "other mask")(lambda op, g: g * OTHERS)

softmax = partial(wrong, Example(Softmax(1), (values(4, 5),)), "grad_x")
softmax("the inputs for the outputs", "wrong operand: x stands where p")(
    lambda op, g, x: x * (g - (g * x).sum(axis=1, keepdims=True))
)
softmax("taken for a loss", "label term: p − g")(lambda op, g, y: y - g)


@softmax("right for one entry of g", "one-hot")
def _(op: Softmax, g: Array, y: Array) -> Array:
    k = np.abs(g).argmax(axis=1)[:, None]
    rest, p = [np.take_along_axis(a, k, axis=1) for a in (g, y)]
    return rest * p * (np.equal(np.arange(g.shape[1]), k) - y)


partial(wrong, STEPS, "grad_a")("of each step alone", "diagonal")(
    lambda op, g, y: g * moved(y, op.axis, 1, 0.0)
)
