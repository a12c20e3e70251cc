"""numpy-cnn eq. (11): a summation index is left over outside of its sum.

∂Z′[x, y]/∂W[x*, y*, c*] is said to be Z[x* + x′, y* + y′, c*]. Nothing in it depends on the
output position x, y, so that each output would have met the same pixel. What x′ is, nobody
can say; 0 is taken here, and another value is as wrong.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WHERE = "`numpy-cnn` eq. (11)"
STATES = (
    r"$\frac{\partial Z'_{x, y}}{\partial W_{x^\ast, y^\ast, c^\ast}} = Z_{x^\ast "
    r"+ x', y^\ast + y', c^\ast}$"
)
RIGHT = (
    r"$Z_{x + x^\ast, y + y^\ast, c^\ast}$: the output position, not a summation "
    "index"
)
EXPECTED = {"W": "one for all"}


def convolution(Z, W):
    return np.einsum("xycuv,uvc->xy", sliding_window_view(Z, (3, 3), (0, 1)), W)


def input_gradient(g, Z, W):
    dZ = np.zeros_like(Z)
    for x, y in np.ndindex(*g.shape):
        dZ[x : x + 3, y : y + 3] += g[x, y] * W
    return dZ


def backward_stated(g, Z, W):
    return input_gradient(g, Z, W), np.sum(g) * Z[:3, :3]


def backward_right(g, Z, W):
    windows = sliding_window_view(Z, (3, 3), (0, 1))
    return input_gradient(g, Z, W), np.einsum("xy,xycuv->uvc", g, windows)


rng = np.random.default_rng(0)
forward_stated = forward_right = convolution
inputs = {
    "Z": rng.normal(size=(5, 5, 2)),
    "W": rng.normal(size=(3, 3, 2)),
}
