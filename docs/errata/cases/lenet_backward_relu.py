"""lenet, CNN.backward: from pooling straight to the convolution, past the ReLU."""

import numpy as np

WHERE = "`lenet` listing `CNN.backward`, ReLU"
STATES = "$dx = g$"
RIGHT = r"$dx = g \cdot [x > 0]$: nothing passes where ReLU gave 0"
EXPECTED = {"x": "mask missing"}


def relu(x):
    return np.maximum(x, 0)


def backward_stated(g, x):
    return g


def backward_right(g, x):
    return g * (x > 0)


forward_stated = forward_right = relu
inputs = {
    "x": np.random.default_rng(0).normal(size=(4, 2, 3, 3)),
}
