"""numpy-cnn eq. (13), (14), (20), (21): the bias stands inside the sum over the kernel.

It is then added once for each kernel cell, though the text wants it once for each output.
Eq. (12) and the listing take its derivative for 1: the forward and the backward pass of the
document do not belong together. This is (21), with channels and a stride of 2.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WHERE = "`numpy-cnn` eq. (13), (14), (20), (21)"
STATES = "F[x, y] = Σ over x′, y′ of (Σ over c of K M + b)"
RIGHT = "F[x, y] = (Σ over x′, y′, c of K M) + b: once for each output"
EXPECTED = {"b": "factor"}
STRIDE = 2


def windows(M):
    return sliding_window_view(M, (3, 3), (1, 2))[:, ::STRIDE, ::STRIDE]


def forward_stated(M, K, b):
    products = np.einsum("cxyuv,cuv->xyuv", windows(M), K)
    return (products + b).sum(axis=(2, 3))


def forward_right(M, K, b):
    return np.einsum("cxyuv,cuv->xy", windows(M), K) + b


def backward(g, M, K, b):
    dM = np.zeros_like(M)
    for x, y in np.ndindex(*g.shape):
        dM[:, 2 * x : 2 * x + 3, 2 * y : 2 * y + 3] += g[x, y] * K
    return dM, np.einsum("xy,cxyuv->cuv", g, windows(M)), np.array([np.sum(g)])


rng = np.random.default_rng(0)
backward_stated = backward_right = backward
inputs = {
    "M": rng.normal(size=(2, 9, 9)),
    "K": rng.normal(size=(2, 3, 3)),
    "b": np.array([0.5]),
}
