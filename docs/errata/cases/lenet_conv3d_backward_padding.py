"""lenet, Conv3d.backward: g is padded by (f − 1) / 2 before it meets the rotated kernel.

Proof 2 of the same document pads by f − 1, without which the result is smaller than the
input: the border of dX is missing.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WHERE = "`lenet` listing `Conv3d.backward`, padding"
STATES = r"$dX = g$, padded by $(f - 1) / 2$, $\ast F$ rotated"
RIGHT = "padded by $f - 1$, as in the document's own proof 2"
EXPECTED = {"x": "wrong shape"}
KERNEL = f = 3


def windows(x):
    return sliding_window_view(x, (f, f), (2, 3))


def convolution(x, w):
    return np.einsum("ncijuv,ocuv->noij", windows(x), w)


def backward(g, x, w, padding):
    sides = (padding, padding)
    padded = np.pad(g, ((0, 0), (0, 0), sides, sides))
    dx = np.einsum("noijuv,ocuv->ncij", windows(padded), w[:, :, ::-1, ::-1])
    return dx, np.einsum("noij,ncijuv->ocuv", g, windows(x))


def backward_stated(g, x, w):
    return backward(g, x, w, (f - 1) // 2)


def backward_right(g, x, w):
    return backward(g, x, w, f - 1)


rng = np.random.default_rng(0)
forward_stated = forward_right = convolution
inputs = {
    "x": rng.normal(size=(2, 2, 6, 6)),
    "w": rng.normal(size=(3, 2, f, f)),
}
