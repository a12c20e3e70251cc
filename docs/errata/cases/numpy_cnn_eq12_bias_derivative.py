"""numpy-cnn eq. (12): the derivative with respect to the bias ends in "− 1", not "= 1"."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WHERE = "`numpy-cnn` eq. (12)"
STATES = r"$\frac{\partial Z'}{\partial b} \ldots - 1$"
RIGHT = r"$\frac{\partial Z'}{\partial b} = 1$"
EXPECTED = {"b": "sign"}


def convolution(Z, W, b):
    return np.einsum("xyuv,uv->xy", sliding_window_view(Z, W.shape), W) + b


def backward(g, Z, W, b, derivative):
    dZ = np.zeros_like(Z)
    for x, y in np.ndindex(*g.shape):
        dZ[x : x + 3, y : y + 3] += g[x, y] * W
    dW = np.einsum("xy,xyuv->uv", g, sliding_window_view(Z, W.shape))
    return dZ, dW, np.array([np.sum(g * derivative)])


def backward_stated(g, Z, W, b):
    return backward(g, Z, W, b, -1)


def backward_right(g, Z, W, b):
    return backward(g, Z, W, b, 1)


rng = np.random.default_rng(0)
forward_stated = forward_right = convolution
inputs = {
    "Z": rng.normal(size=(5, 5)),
    "W": rng.normal(size=(3, 3)),
    "b": np.array([0.5]),
}
