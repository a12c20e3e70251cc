"""lenet, Conv3d.backward: the gradients are correlations with the stride of the forward.

There the window moves by the stride; in the gradients it is g whose values lie a stride
apart. (Padding and accumulation are right here, to show one mistake at a time.)
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WHERE = "`lenet` listing `Conv3d.backward`, stride"
STATES = r"$dF = x \ast g$ and $dX = g \ast F$ rotated, both with stride $s$"
RIGHT = (
    "both with stride 1, and with $g$ dilated by $s$ ($s - 1$ zeros between its values)"
)
EXPECTED = {"x": "wrong shape", "w": "wrong"}
STRIDE = s = 2
PADDING = ((0, 0), (0, 0), (2, 2), (2, 2))


def correlate(a, b, subscripts, stride):
    """Sums of products of b with the windows of a, a stride apart."""
    windows = sliding_window_view(a, b.shape[2:], (2, 3))
    return np.einsum(subscripts, windows[:, :, ::stride, ::stride], b)


def convolution(x, w):
    return correlate(x, w, "ncijuv,ocuv->noij", s)


def gradients(g, x, w, stride):
    turned = w[:, :, ::-1, ::-1]
    dx = correlate(np.pad(g, PADDING), turned, "noijuv,ocuv->ncij", stride)
    return dx, correlate(x, g, "ncijuv,nouv->ocij", stride)


def backward_stated(g, x, w):
    return gradients(g, x, w, s)


def backward_right(g, x, w):
    n, o, height, width = g.shape
    dilated = np.zeros((n, o, s * (height - 1) + 1, s * (width - 1) + 1))
    dilated[:, :, ::s, ::s] = g
    return gradients(dilated, x, w, 1)


rng = np.random.default_rng(0)
forward_stated = forward_right = convolution
inputs = {
    "x": rng.normal(size=(2, 2, 7, 7)),
    "w": rng.normal(size=(3, 2, 3, 3)),
}
