"""Wrong gradients of convolutions, dense layers, poolings, normalisation and losses.

Sizes differ, so that none is taken for another; the windows of OVERLAPPING share rows and
columns.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from ...kernels import Window
from ...ops.classification import LogSoftmax, NLLLoss, Softmax
from ...ops.convolution import Conv2d, Conv2dInput
from ...ops.linear import Linear, Matmul
from ...ops.normalization import BatchNorm, Dropout, per_channel
from ...ops.pooling import MaxPool2d, MaxPoolPut, SumPool2d, SumPoolInput
from ..subject import Array
from .mutant import Example, changed, having, values, wrong

Shape = tuple[int, int, int, int]
right_w, right_x, right_nll = Conv2d.grad_w, Conv2d.grad_x, NLLLoss.grad_x


# ------------------------------------------------------------------------- convolution

KERNEL = values(5, 3, 3, 2)
CONV = Example(Conv2d(padding=(1, 1)), (values(4, 3, 5, 6), KERNEL, values(5)))
STRIDED = Example(
    Conv2d(stride=(2, 2), padding=(1, 1)), (values(4, 3, 6, 7), KERNEL, values(5))
)
DILATED = Example(Conv2d(dilation=(2, 2)), (values(4, 3, 6, 7), KERNEL, None))
GROUPED = Example(Conv2d(groups=2), (values(3, 4, 5, 6), values(6, 2, 3, 2), None))
TRANSPOSED = Example(
    Conv2dInput(stride=(2, 2), size=(7, 8)), (values(4, 5, 3, 4), KERNEL, values(3))
)

conv_w = partial(wrong, CONV, "grad_w")
conv_w("only the last image", "last image")(
    lambda op, g, x, w_shape: right_w(op, g[-1:], x[-1:], w_shape)
)
conv_w("the mean over the images", "factor: 1 / 4 (the batch size")(
    changed(right_w, lambda dw: dw / 4)
)
conv_w("only the last filter", "last channel")(
    changed(right_w, lambda dw: np.concatenate([0 * dw[:-1], dw[-1:]]))
)
conv_w("rotated by 180°", "rotated")(changed(right_w, lambda dw: dw[..., ::-1, ::-1]))
conv_w("rows and columns exchanged", "transposed")(
    changed(right_w, lambda dw: dw.swapaxes(2, 3).reshape(dw.shape))
)
conv_w("the last row of positions left out", "off by one: last row")(
    lambda op, g, x, w_shape: right_w(op, g[:, :, :-1], x, w_shape)
)


@conv_w("the window one column too far left", "shifted: x were")
def _(op: Conv2d, g: Array, x: Array, w_shape: Shape) -> Array:
    x = np.pad(x, [(0, 0), (0, 0), (0, 0), (1, 0)])[..., :-1]
    return right_w(op, g, x, w_shape)


conv_w("the images of the last step kept for all", "stale input")(
    lambda op, g, x, w_shape: right_w(op, g, np.broadcast_to(x[-1:], x.shape), w_shape)
)

conv_x = partial(wrong, CONV, "grad_x")
conv_x("the kernel not rotated", "not rotated: w were rotated")(
    lambda op, g, w, x_shape: right_x(op, g, w[..., ::-1, ::-1], x_shape)
)
conv_x("wrong sign", "sign")(changed(right_x, lambda dx: -dx))
conv_x("only the last filter, not their sum", "last channel")(
    lambda op, g, w, x_shape: right_x(op, g[:, -1:], w[-1:], x_shape)
)


@conv_x("the padding cut off at one side only", "padding")
def _(op: Conv2d, g: Array, w: Array, x_shape: Shape) -> Array:
    n, c, height, width = x_shape
    padded = (n, c, height + 2, width + 2)
    dx: Array = right_x(replace(op, padding=(0, 0)), g, w, padded)
    return dx[:, :, :height, :width]


@conv_x("assigned where windows overlap", "assigned")
def _(op: Conv2d, g: Array, w: Array, x_shape: Shape) -> Array:
    n, c, height, width = x_shape
    dx = np.zeros((n, c, height + 2, width + 2))
    for i, j in np.ndindex(g.shape[2:]):
        dx[:, :, i : i + 3, j : j + 2] = np.einsum("no,ocuv->ncuv", g[:, :, i, j], w)
    return dx[:, :, 1:-1, 1:-1]


conv_b = partial(wrong, CONV, "grad_b")
conv_b("counted for each input channel", "factor: input channels")(
    changed(Conv2d.grad_b, lambda db: 3 * db)
)
conv_b("not summed over the batch", "not summed")(lambda op, g: g.sum(axis=(2, 3)))

strided_x = partial(wrong, STRIDED, "grad_x")
strided_x("stride forgotten", "stride")(having(right_x, stride=(1, 1)))

strided_w = partial(wrong, STRIDED, "grad_w")
strided_w("stride forgotten", "stride")(having(right_w, stride=(1, 1)))


@strided_w("padding forgotten", "padding")
def _(op: Conv2d, g: Array, x: Array, w_shape: Shape) -> Array:
    rows, columns = (6 - 3) // 2 + 1, (7 - 2) // 2 + 1
    inside = g[:, :, :rows, :columns]
    return right_w(replace(op, padding=(0, 0)), inside, x, w_shape)


dilated_w = partial(wrong, DILATED, "grad_w")
dilated_w("dilation forgotten", "dilation")(having(right_w, dilation=(1, 1)))

dilated_x = partial(wrong, DILATED, "grad_x")
dilated_x("dilation forgotten", "dilation")(having(right_x, dilation=(1, 1)))

grouped_w = partial(wrong, GROUPED, "grad_w")
grouped_w("every group took the first one's channels", "groups")(
    lambda op, g, x, w_shape: right_w(op, g, np.tile(x[:, :2], (1, 2, 1, 1)), w_shape)
)


@wrong(
    GROUPED, "grad_x", "groups forgotten: every filter reached every group", "groups"
)
def _(op: Conv2d, g: Array, w: Array, x_shape: Shape) -> Array:
    n, c, *size = x_shape
    dx = right_x(replace(op, groups=1), g, w, (n, c // 2, *size))
    return np.concatenate([dx, dx], axis=1)


transposed_x = partial(wrong, TRANSPOSED, "grad_x")
transposed_x("the kernel rotated, and it should not be", "not rotated")(
    lambda op, g, w, x_shape: Conv2dInput.grad_x(op, g, w[..., ::-1, ::-1], x_shape)
)

transposed_w = partial(wrong, TRANSPOSED, "grad_w")
transposed_w("stride forgotten", "stride")(having(Conv2dInput.grad_w, stride=(1, 1)))

transposed_b = partial(wrong, TRANSPOSED, "grad_b")
transposed_b("of the last image only", "last image")(
    lambda op, g: g[-1].sum(axis=(1, 2))
)


# ------------------------------------------------------------------------ dense layers

DENSE = Example(Linear(), (values(4, 3), values(5, 3), values(5)))
SQUARE_DENSE = Example(Linear(), (values(4, 3), values(3, 3), values(3)))
SEQUENCE = Example(Linear(), (values(2, 4, 3), values(5, 3), values(5)))
BATCHED = Example(Matmul(), (values(2, 4, 3), values(3, 5)))

dense_w = partial(wrong, DENSE, "grad_w")
dense_w("only the last image", "last image")(lambda op, g, x: g[-1:].T @ x[-1:])
dense_w("the mean over the batch", "factor: 1 / 4 (the batch size")(
    lambda op, g, x: g.T @ x / len(x)
)
dense_w("xᵀ g read as if it were gᵀ x", "transposed")(
    lambda op, g, x, w_shape: (x.T @ g).reshape(w_shape)
)
dense_w("xᵀ g, in the wrong shape", "transposed")(lambda op, g, x: x.T @ g)

dense_b = partial(wrong, DENSE, "grad_b")
dense_b("not summed over the batch", "not summed")(lambda op, g: g)
dense_b("summed over the features as well", "summed too far")(lambda op, g: g.sum())
dense_b("wrong sign", "sign")(lambda op, g: -g.sum(axis=0))

dense_x = partial(wrong, DENSE, "grad_x")
dense_x("zero", "zero")(lambda op, g, w: 0 * (g @ w))

square_x = partial(wrong, SQUARE_DENSE, "grad_x")
square_x("w not transposed", "transposed: w were transposed")(lambda op, g, w: g @ w.T)

sequence_w = partial(wrong, SEQUENCE, "grad_w")
sequence_w("only the last position of each sequence", "last slice")(
    lambda op, g, x: g[:, -1].T @ x[:, -1]
)

product_a = partial(wrong, Example(Matmul(), (values(4, 3), values(3, 5))), "grad_a")
product_a("rows of b in the wrong order", "flipped")(lambda op, g, b: g @ b[::-1].T)

batched_b = partial(wrong, BATCHED, "grad_b")
batched_b("the first of the broadcast products only", "first slice")(
    lambda op, g, a: a[0].T @ g[0]
)
batched = partial(wrong, BATCHED, "broadcasts", tensor="b")
batched("broadcast not summed", "not summed")(False)


# ----------------------------------------------------------------------------- pooling

OVERLAPPING = Example(MaxPool2d(Window((3, 3), (2, 2))), (values(2, 3, 7, 9),))
PADDED_POOL = Example(
    MaxPool2d(Window((2, 3), (2, 3), padding=(1, 1))), (values(2, 4, 6, 7),)
)
SUMMED = Example(SumPool2d(Window((3, 2), (2, 1))), (values(3, 4, 7, 5),))

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

padded = partial(wrong, PADDED_POOL, "grad_x")


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


# ----------------------------------------------------------------------- normalisation

NORM = Example(BatchNorm(), (values(4, 3, 2, 5), values(3), values(3)))
MASK = (values(4, 6) > 0) / 0.7
RUNNING_VARIANCE = values(3, low=0.5)


def mean(x: Array) -> Array:
    """Per channel, over images, rows and columns."""
    return np.mean(x, axis=(0, 2, 3), keepdims=True)


def mean_term(g: Array, x: Array, mu: Array, r: Array) -> Array:
    """x̂ · mean of g x̂."""
    normal = (x - mu) * r
    return normal * mean(g * normal)


norm_x = partial(wrong, NORM, "grad_x")
norm_x("mean and variance as constants", "batch statistics")(
    lambda op, g, gamma, r: g * per_channel(gamma, 4) * r
)
norm_x("running statistics in training", "batch statistics")(
    lambda op, g, gamma: g * per_channel(gamma / np.sqrt(RUNNING_VARIANCE), 4)
)
norm_x("the variance as a constant", "batch variance")(
    lambda op, g, gamma, r: per_channel(gamma, 4) * r * (g - mean(g))
)


@norm_x("the mean as a constant", "batch mean")
def _(op: BatchNorm, g: Array, x: Array, gamma: Array, mu: Array, r: Array) -> Array:
    return per_channel(gamma, 4) * r * (g - mean_term(g, x, mu, r))


@norm_x("plus x̂ where minus belongs", "sign of a term")
def _(op: BatchNorm, g: Array, x: Array, gamma: Array, mu: Array, r: Array) -> Array:
    return per_channel(gamma, 4) * r * (g - mean(g) + mean_term(g, x, mu, r))


norm_x("gamma forgotten", "missing factor: factor gamma")(
    lambda op, g, x, mu, r: r * (g - mean(g) - mean_term(g, x, mu, r))
)

norm_gamma = partial(wrong, NORM, "grad_gamma")
norm_gamma("with y in the place of x̂", "wrong operand")(
    lambda op, g, y: (g * y).sum(axis=(0, 2, 3))
)

norm_beta = partial(wrong, NORM, "grad_beta")
norm_beta("the mean, not the sum", "factor: images × ")(
    lambda op, g: g.mean(axis=(0, 2, 3))
)
norm_beta("not summed over the images", "not summed")(lambda op, g: g.sum(axis=(2, 3)))

dropout = partial(wrong, Example(Dropout(0.3), (values(4, 6), MASK)), "grad_x")
dropout("mask missing", "mask missing")(lambda op, g: g)
dropout("the scale 1 / (1 − p) missing", "factor: 1 − p")(lambda op, g, m: g * (m > 0))


# ------------------------------------------------------------------ softmax and losses

SCORES, LABELS = values(4, 5), np.array([3, 0, 4, 1])

softmax = partial(wrong, Example(Softmax(1), (SCORES,)), "grad_x")
softmax("only p (1 − p), the diagonal", "diagonal")(lambda op, g, y: g * y * (1 - y))
softmax("without the mean", "softmax mean: without the mean Σ g p")(
    lambda op, g, y: y * g
)
softmax("g passed on", "derivative missing")(lambda op, g: g)
softmax("Σ g where Σ g p belongs", "term: wrong factor")(
    lambda op, g, y: y * (g - g.sum(axis=1, keepdims=True))
)
softmax("summed over the images, not the classes", "axis")(
    lambda op, g, y: y * (g - (g * y).sum(axis=0))
)

log_softmax = partial(wrong, Example(LogSoftmax(1), (SCORES,)), "grad_x")
log_softmax("without the term p Σ g", "softmax mean: p Σ g")(lambda op, g: g)
log_softmax("plus where minus belongs", "sign of a term")(
    lambda op, g, y: g + np.exp(y) * g.sum(axis=1, keepdims=True)
)
log_softmax("the mean of g, not its sum", "factor of a term: 1 / 5")(
    lambda op, g, y: g - np.exp(y) * g.mean(axis=1, keepdims=True)
)

nll = partial(wrong, Example(NLLLoss(), (SCORES, LABELS, None)), "grad_x")
nll("wrong sign", "sign")(changed(right_nll, lambda dx: -dx))
nll("not divided by the batch", "factor: 4 (the batch size")(
    changed(right_nll, lambda dx: 4 * dx)
)
nll("divided by the classes", "factor: 4 / 5")(
    changed(right_nll, lambda dx: 4 / 5 * dx)
)
nll("labels counted from 1", "shifted: axis 1")(
    lambda op, g, scale, label, x_shape: right_nll(
        op, g, scale, (label + 1) % 5, x_shape
    )
)
