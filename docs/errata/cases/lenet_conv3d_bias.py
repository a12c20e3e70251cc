"""lenet, conv3d: the bias is added in the convolution of each input channel.

The results for the channels are then summed, and with them as many biases. The backward
pass takes Σ g for the gradient of the bias, which is that of a bias added once.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WHERE = "`lenet` listing `conv3d`"
STATES = r"$y_{n, o} = \sum_c (x_{n, c} \ast w_{o, c} + b_o)$"
RIGHT = r"$y_{n, o} = \left(\sum_c x_{n, c} \ast w_{o, c}\right) + b_o$"
EXPECTED = {"b": "forward"}


def windows(x):
    return sliding_window_view(x, (2, 2), (2, 3))


def forward_stated(x, w, b):
    by_channel = np.einsum("ncijuv,ocuv->nocij", windows(x), w)
    return (by_channel + b[:, None, None, None]).sum(axis=2)


def forward_right(x, w, b):
    return np.einsum("ncijuv,ocuv->noij", windows(x), w) + b[:, None, None]


def backward(g, x, w, b):
    padded = np.pad(g, ((0, 0), (0, 0), (1, 1), (1, 1)))
    dx = np.einsum("noijuv,ocuv->ncij", windows(padded), w[:, :, ::-1, ::-1])
    return dx, np.einsum("noij,ncijuv->ocuv", g, windows(x)), g.sum(axis=(0, 2, 3))


rng = np.random.default_rng(0)
backward_stated = backward_right = backward
inputs = {
    "x": rng.normal(size=(2, 3, 5, 5)),
    "w": rng.normal(size=(4, 3, 2, 2)),
    "b": rng.normal(size=4),
}
