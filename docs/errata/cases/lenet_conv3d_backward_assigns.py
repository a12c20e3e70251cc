"""lenet, Conv3d.backward: assignments inside the loops over images and filters.

A weight is used for every image, a pixel by every filter; their gradients are sums over
both. With an assignment the last turn of the loop wins. (The padding is the right one here,
to show one mistake at a time.)
"""

import numpy as np

WHERE = "`lenet` listing `Conv3d.backward`, accumulation"
STATES = (
    r"for each image and filter: $dF = x \ast g$ and $dX = g \ast F$ rotated, "
    "assigned"
)
RIGHT = (
    r"$dF \mathrel{+}= x \ast g$ over the images, $dX \mathrel{+}= g \ast F$ "
    "rotated over the filters"
)
EXPECTED = {"x": "last channel", "w": "last image"}


def correlate(a, b):
    """The sum of products of b with each window of a."""
    y = np.zeros([m - n + 1 for m, n in zip(a.shape, b.shape, strict=True)])
    for i, j in np.ndindex(*y.shape):
        y[i, j] = np.sum(a[i : i + len(b), j : j + len(b)] * b)
    return y


def convolution(x, w):
    y = np.zeros((len(x), len(w), 3, 3))
    for n, o, c in np.ndindex(len(x), *w.shape[:2]):
        y[n, o] += correlate(x[n, c], w[o, c])
    return y


def backward_stated(g, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for n, o, c in np.ndindex(len(x), *w.shape[:2]):
        dw[o, c] = correlate(x[n, c], g[n, o])
        dx[n, c] = correlate(np.pad(g[n, o], 1), np.rot90(w[o, c], 2))
    return dx, dw


def backward_right(g, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for n, o, c in np.ndindex(len(x), *w.shape[:2]):
        dw[o, c] += correlate(x[n, c], g[n, o])
        dx[n, c] += correlate(np.pad(g[n, o], 1), np.rot90(w[o, c], 2))
    return dx, dw


rng = np.random.default_rng(0)
forward_stated = forward_right = convolution
inputs = {
    "x": rng.normal(size=(3, 2, 4, 4)),
    "w": rng.normal(size=(3, 2, 2, 2)),
}
