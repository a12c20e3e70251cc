"""Wrong gradients of the convolutions. Sizes differ, so that none is taken for another."""

from dataclasses import replace
from functools import partial

import numpy as np

from ...ops.convolution import Conv2d, Conv2dInput
from ..subject import Array
from .mutant import Example, changed, having, values, wrong

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
Shape = tuple[int, ...]
right_w, right_x = Conv2d.grad_w, Conv2d.grad_x

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
