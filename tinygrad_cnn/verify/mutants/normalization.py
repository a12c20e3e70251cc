"""Wrong gradients of batch normalisation and dropout."""

from typing import Any

import numpy as np

from ...ops.normalization import BatchNorm, Dropout, per_channel
from .mutant import Example, values, wrong

NORM = Example(BatchNorm(), (values(4, 3, 2, 5), values(3), values(3)))
MASK = (values(4, 6) > 0) / 0.7
DROPOUT = Example(Dropout(0.3), (values(4, 6), MASK))


def mean(x: Any) -> Any:
    """Per channel, over images, rows and columns."""
    return x.mean(axis=(0, 2, 3), keepdims=True)


@wrong(NORM, "grad_x", "mean and variance as constants", "batch statistics")
def _(op: Any, g: Any, gamma: Any, r: Any) -> Any:
    return g * per_channel(gamma, 4) * r


@wrong(NORM, "grad_x", "running statistics in training", "batch statistics")
def _(op: Any, g: Any, gamma: Any) -> Any:
    running_variance = values(3, low=0.5)
    return g * per_channel(gamma / np.sqrt(running_variance), 4)


@wrong(NORM, "grad_x", "the variance as a constant", "batch variance")
def _(op: Any, g: Any, gamma: Any, r: Any) -> Any:
    return per_channel(gamma, 4) * r * (g - mean(g))


@wrong(NORM, "grad_x", "the mean as a constant", "batch mean")
def _(op: Any, g: Any, x: Any, gamma: Any, mu: Any, r: Any) -> Any:
    normal = (x - mu) * r
    return per_channel(gamma, 4) * r * (g - normal * mean(g * normal))


@wrong(NORM, "grad_x", "plus x̂ where minus belongs", "sign of a term")
def _(op: Any, g: Any, x: Any, gamma: Any, mu: Any, r: Any) -> Any:
    normal = (x - mu) * r
    return per_channel(gamma, 4) * r * (g - mean(g) + normal * mean(g * normal))


@wrong(NORM, "grad_x", "gamma forgotten", "missing factor", says="factor gamma")
def _(op: Any, g: Any, x: Any, mu: Any, r: Any) -> Any:
    normal = (x - mu) * r
    return r * (g - mean(g) - normal * mean(g * normal))


@wrong(NORM, "grad_gamma", "with y in the place of x̂", "wrong operand")
def _(op: Any, g: Any, y: Any) -> Any:
    return (g * y).sum(axis=(0, 2, 3))


@wrong(NORM, "grad_beta", "the mean, not the sum", "factor", says="images × ")
def _(op: Any, g: Any) -> Any:
    return g.mean(axis=(0, 2, 3))


@wrong(NORM, "grad_beta", "not summed over the images", "not summed")
def _(op: Any, g: Any) -> Any:
    return g.sum(axis=(2, 3))


@wrong(DROPOUT, "grad_x", "mask missing", "mask missing")
def _(op: Any, g: Any) -> Any:
    return g


@wrong(DROPOUT, "grad_x", "the scale 1 / (1 − p) missing", "factor", says="1 − p")
def _(op: Any, g: Any, m: Any) -> Any:
    return g * (m > 0)
