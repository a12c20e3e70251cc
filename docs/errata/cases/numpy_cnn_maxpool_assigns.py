"""numpy-cnn §3.2, maxpoolBackward: the gradient is assigned to the maximum, not added.

Where the stride is less than the window, one pixel may be the maximum of several windows,
and only the last of them would count.
"""

import numpy as np

WHERE = "`numpy-cnn` listing `maxpoolBackward`"
STATES = "dx[position of the maximum] = g"
RIGHT = "dx[position of the maximum] += g"
EXPECTED = {"x": "assigned"}
WINDOW, STRIDE = 3, 1


def places(x):
    """Each output's index with the index of its maximum in x."""
    size = (x.shape[1] - WINDOW) // STRIDE + 1
    for c, i, j in np.ndindex(len(x), size, size):
        top, left = STRIDE * i, STRIDE * j
        window = x[c, top : top + WINDOW, left : left + WINDOW]
        u, v = divmod(int(np.argmax(window)), WINDOW)
        yield (c, i, j), (c, top + u, left + v)


def max_pool(x):
    size = (x.shape[1] - WINDOW) // STRIDE + 1
    y = np.zeros((len(x), size, size))
    for at, maximum in places(x):
        y[at] = x[maximum]
    return y


def backward_stated(g, x):
    dx = np.zeros_like(x)
    for at, maximum in places(x):
        dx[maximum] = g[at]
    return dx


def backward_right(g, x):
    dx = np.zeros_like(x)
    for at, maximum in places(x):
        dx[maximum] += g[at]
    return dx


forward_stated = forward_right = max_pool
inputs = {"x": np.random.default_rng(0).normal(size=(2, 5, 5))}
