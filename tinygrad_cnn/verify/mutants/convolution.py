"""Wrong gradients of the convolutions. Sizes differ, so that none is taken for another."""

from dataclasses import replace
from typing import Any

import numpy as np

from ...ops.convolution import Conv2d, Conv2dInput
from .mutant import Example, values, wrong

CONV = Example(
    Conv2d(padding=(1, 1)), (values(4, 3, 5, 6), values(5, 3, 3, 2), values(5))
)
STRIDED = Example(
    Conv2d(stride=(2, 2), padding=(1, 1)),
    (values(4, 3, 6, 7), values(5, 3, 3, 2), values(5)),
)
DILATED = Example(
    Conv2d(dilation=(2, 2)), (values(4, 3, 6, 7), values(5, 3, 3, 2), None)
)
GROUPED = Example(Conv2d(groups=2), (values(3, 4, 5, 6), values(6, 2, 3, 2), None))
TRANSPOSED = Example(
    Conv2dInput(stride=(2, 2), size=(7, 8)),
    (values(4, 5, 3, 4), values(5, 3, 3, 2), values(3)),
)


@wrong(CONV, "grad_w", "only the last image", "last image")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    return Conv2d.grad_w(op, g[-1:], x[-1:], w_shape)


@wrong(
    CONV, "grad_w", "the mean over the images", "factor", says="1 / 4 (the batch size"
)
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    return Conv2d.grad_w(op, g, x, w_shape) / len(x)


@wrong(CONV, "grad_w", "only the last filter", "last channel")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    dw = Conv2d.grad_w(op, g, x, w_shape)
    dw[:-1] = 0
    return dw


@wrong(CONV, "grad_w", "rotated by 180°", "rotated")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    return Conv2d.grad_w(op, g, x, w_shape)[..., ::-1, ::-1]


@wrong(CONV, "grad_w", "rows and columns exchanged", "transposed")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    return Conv2d.grad_w(op, g, x, w_shape).swapaxes(2, 3).reshape(w_shape)


@wrong(
    CONV, "grad_w", "the last row of positions left out", "off by one", says="last row"
)
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    return Conv2d.grad_w(op, g[:, :, :-1], x, w_shape)


@wrong(CONV, "grad_w", "the window one column too far left", "shifted", says="x were")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    x = np.pad(x, [(0, 0), (0, 0), (0, 0), (1, 0)])[..., :-1]
    return Conv2d.grad_w(op, g, x, w_shape)


@wrong(CONV, "grad_w", "the images of the last step kept for all", "stale input")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    return Conv2d.grad_w(op, g, np.broadcast_to(x[-1:], x.shape), w_shape)


@wrong(CONV, "grad_x", "the kernel not rotated", "not rotated", says="w were rotated")
def _(op: Any, g: Any, w: Any, x_shape: Any) -> Any:
    return Conv2d.grad_x(op, g, w[..., ::-1, ::-1], x_shape)


@wrong(CONV, "grad_x", "wrong sign", "sign")
def _(op: Any, g: Any, w: Any, x_shape: Any) -> Any:
    return -Conv2d.grad_x(op, g, w, x_shape)


@wrong(CONV, "grad_x", "only the last filter, not their sum", "last channel")
def _(op: Any, g: Any, w: Any, x_shape: Any) -> Any:
    return Conv2d.grad_x(op, g[:, -1:], w[-1:], x_shape)


@wrong(CONV, "grad_x", "the padding cut off at one side only", "padding")
def _(op: Any, g: Any, w: Any, x_shape: Any) -> Any:
    n, c, height, width = x_shape
    padded = (n, c, height + 2, width + 2)
    dx = Conv2d.grad_x(replace(op, padding=(0, 0)), g, w, padded)
    return dx[:, :, :height, :width]


@wrong(CONV, "grad_x", "assigned where windows overlap", "assigned")
def _(op: Any, g: Any, w: Any, x_shape: Any) -> Any:
    n, c, height, width = x_shape
    dx = np.zeros((n, c, height + 2, width + 2))
    for i, j in np.ndindex(g.shape[2:]):
        dx[:, :, i : i + 3, j : j + 2] = np.einsum("no,ocuv->ncuv", g[:, :, i, j], w)
    return dx[:, :, 1:-1, 1:-1]


@wrong(
    CONV, "grad_b", "counted for each input channel", "factor", says="input channels"
)
def _(op: Any, g: Any) -> Any:
    return 3 * Conv2d.grad_b(op, g)


@wrong(CONV, "grad_b", "not summed over the batch", "not summed")
def _(op: Any, g: Any) -> Any:
    return g.sum(axis=(2, 3))


@wrong(STRIDED, "grad_x", "stride forgotten", "stride")
def _(op: Any, g: Any, w: Any, x_shape: Any) -> Any:
    return Conv2d.grad_x(replace(op, stride=(1, 1)), g, w, x_shape)


@wrong(STRIDED, "grad_w", "stride forgotten", "stride")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    return Conv2d.grad_w(replace(op, stride=(1, 1)), g, x, w_shape)


@wrong(STRIDED, "grad_w", "padding forgotten", "padding")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    rows, columns = (6 - 3) // 2 + 1, (7 - 2) // 2 + 1
    inside = g[:, :, :rows, :columns]
    return Conv2d.grad_w(replace(op, padding=(0, 0)), inside, x, w_shape)


@wrong(DILATED, "grad_w", "dilation forgotten", "dilation")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    return Conv2d.grad_w(replace(op, dilation=(1, 1)), g, x, w_shape)


@wrong(DILATED, "grad_x", "dilation forgotten", "dilation")
def _(op: Any, g: Any, w: Any, x_shape: Any) -> Any:
    return Conv2d.grad_x(replace(op, dilation=(1, 1)), g, w, x_shape)


@wrong(GROUPED, "grad_w", "every group took the first one's channels", "groups")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    first = x[:, : w_shape[1]]
    return Conv2d.grad_w(op, g, np.concatenate([first, first], axis=1), w_shape)


@wrong(
    GROUPED, "grad_x", "groups forgotten: every filter reached every group", "groups"
)
def _(op: Any, g: Any, w: Any, x_shape: Any) -> Any:
    n, c, *size = x_shape
    dx = Conv2d.grad_x(replace(op, groups=1), g, w, (n, c // 2, *size))
    return np.concatenate([dx, dx], axis=1)


@wrong(TRANSPOSED, "grad_x", "the kernel rotated, and it should not be", "not rotated")
def _(op: Any, g: Any, w: Any, x_shape: Any) -> Any:
    return Conv2dInput.grad_x(op, g, w[..., ::-1, ::-1], x_shape)


@wrong(TRANSPOSED, "grad_w", "stride forgotten", "stride")
def _(op: Any, g: Any, x: Any, w_shape: Any) -> Any:
    return Conv2dInput.grad_w(replace(op, stride=(1, 1)), g, x, w_shape)


@wrong(TRANSPOSED, "grad_b", "of the last image only", "last image")
def _(op: Any, g: Any) -> Any:
    return g[-1].sum(axis=(1, 2))
