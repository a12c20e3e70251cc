"""numpy-cnn eq. (13), (14), (20), (21): the bias stands inside the sum over the kernel.

It is then added once for each kernel cell, though the text wants it once for each output.
Eq. (12) and the listing take its derivative for 1: the forward and the backward pass of the
document do not belong together. This is (21), with channels and a stride of 2, for two
images and four filters.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WHERE = "`numpy-cnn` eq. (13), (14), (20), (21)"
STATES = r"$F_{x, y} = \sum_{x', y'} \left(\sum_c K M + b\right)$"
RIGHT = r"$F_{x, y} = \left(\sum_{x', y', c} K M\right) + b$: once for each output"
EXPECTED = {"b": "forward"}
STRIDE = 2


def windows(M):
    return sliding_window_view(M, (3, 3), (2, 3))[:, :, ::STRIDE, ::STRIDE]


def forward_stated(M, K, b):
    products = np.einsum("ncxyuv,ocuv->noxyuv", windows(M), K)
    return (products + b[:, None, None, None, None]).sum(axis=(4, 5))


def forward_right(M, K, b):
    return np.einsum("ncxyuv,ocuv->noxy", windows(M), K) + b[:, None, None]


def backward(g, M, K, b):
    dM = np.zeros_like(M)
    for x, y in np.ndindex(*g.shape[2:]):
        top, left = STRIDE * x, STRIDE * y
        dM[:, :, top : top + 3, left : left + 3] += np.einsum(
            "no,ocuv->ncuv", g[:, :, x, y], K
        )
    return dM, np.einsum("noxy,ncxyuv->ocuv", g, windows(M)), g.sum(axis=(0, 2, 3))


rng = np.random.default_rng(0)
backward_stated = backward_right = backward
inputs = {
    "M": rng.normal(size=(2, 2, 5, 5)),
    "K": rng.normal(size=(4, 2, 3, 3)),
    "b": rng.normal(size=4),
}
