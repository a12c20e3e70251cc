"""Wrong gradients of batch normalisation and dropout."""

from functools import partial

import numpy as np

from ...ops.normalization import BatchNorm, Dropout, per_channel
from ..subject import Array
from .mutant import Example, values, wrong

NORM = Example(BatchNorm(), (values(4, 3, 2, 5), values(3), values(3)))
MASK = (values(4, 6) > 0) / 0.7
RUNNING_VARIANCE = values(3, low=0.5)


def mean(x: Array) -> Array:
    """Per channel, over images, rows and columns."""
    return np.mean(x, axis=(0, 2, 3), keepdims=True)


def mean_term(g: Array, x: Array, mu: Array, r: Array) -> Array:
    """x̂ · mean of g x̂."""
    normal = (x - mu) * r
    return normal * mean(g * normal)


norm_x = partial(wrong, NORM, "grad_x")
norm_x("mean and variance as constants", "batch statistics")(
    lambda op, g, gamma, r: g * per_channel(gamma, 4) * r
)
norm_x("running statistics in training", "batch statistics")(
    lambda op, g, gamma: g * per_channel(gamma / np.sqrt(RUNNING_VARIANCE), 4)
)
norm_x("the variance as a constant", "batch variance")(
    lambda op, g, gamma, r: per_channel(gamma, 4) * r * (g - mean(g))
)


@norm_x("the mean as a constant", "batch mean")
def _(op: BatchNorm, g: Array, x: Array, gamma: Array, mu: Array, r: Array) -> Array:
    return per_channel(gamma, 4) * r * (g - mean_term(g, x, mu, r))


@norm_x("plus x̂ where minus belongs", "sign of a term")
def _(op: BatchNorm, g: Array, x: Array, gamma: Array, mu: Array, r: Array) -> Array:
    return per_channel(gamma, 4) * r * (g - mean(g) + mean_term(g, x, mu, r))


norm_x("gamma forgotten", "missing factor: factor gamma")(
    lambda op, g, x, mu, r: r * (g - mean(g) - mean_term(g, x, mu, r))
)

norm_gamma = partial(wrong, NORM, "grad_gamma")
norm_gamma("with y in the place of x̂", "wrong operand")(
    lambda op, g, y: (g * y).sum(axis=(0, 2, 3))
)

norm_beta = partial(wrong, NORM, "grad_beta")
norm_beta("the mean, not the sum", "factor: images × ")(
    lambda op, g: g.mean(axis=(0, 2, 3))
)
norm_beta("not summed over the images", "not summed")(lambda op, g: g.sum(axis=(2, 3)))

dropout = partial(wrong, Example(Dropout(0.3), (values(4, 6), MASK)), "grad_x")
dropout("mask missing", "mask missing")(lambda op, g: g)
dropout("the scale 1 / (1 − p) missing", "factor: 1 − p")(lambda op, g, m: g * (m > 0))
