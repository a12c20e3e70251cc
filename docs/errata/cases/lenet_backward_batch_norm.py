"""lenet, CNN.backward: past the batch normalisation, whose derivative is nowhere.

y = (x − μ) / σ, with mean and deviation of the batch, for each entry of an image. Both
depend on every image, which is where the two means below come from.
"""

import numpy as np

WHERE = "`lenet` listing `CNN.backward`, batch normalisation"
STATES = "$dx = g$"
RIGHT = (
    r"$dx = (g - \mathrm{mean}(g) - y \cdot \mathrm{mean}(g y)) / \sigma$, means "
    "over the batch"
)
EXPECTED = {"x": "batch statistics"}


def batch_norm(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


def backward_stated(g, x):
    return g


def backward_right(g, x):
    y = batch_norm(x)
    return (g - g.mean(axis=0) - y * (g * y).mean(axis=0)) / x.std(axis=0)


forward_stated = forward_right = batch_norm
inputs = {
    "x": np.random.default_rng(0).normal(size=(6, 5)),
}
