"""Wrong gradients of softmax and of the losses behind it."""

from typing import Any

import numpy as np

from ...ops.classification import LogSoftmax, NLLLoss, Softmax
from .mutant import Example, values, wrong

SCORES, LABELS = values(4, 5), np.array([3, 0, 4, 1])
SOFTMAX, LOGS = Example(Softmax(1), (SCORES,)), Example(LogSoftmax(1), (SCORES,))
LOSS = Example(NLLLoss(), (SCORES, LABELS, None))


@wrong(SOFTMAX, "grad_x", "only p (1 − p), the diagonal", "diagonal")
def _(op: Any, g: Any, y: Any) -> Any:
    return g * y * (1 - y)


@wrong(
    SOFTMAX, "grad_x", "without the mean", "softmax mean", says="without the mean Σ g p"
)
def _(op: Any, g: Any, y: Any) -> Any:
    return y * g


@wrong(SOFTMAX, "grad_x", "g passed on", "derivative missing")
def _(op: Any, g: Any) -> Any:
    return g


@wrong(SOFTMAX, "grad_x", "Σ g where Σ g p belongs", "term", says="wrong factor")
def _(op: Any, g: Any, y: Any) -> Any:
    return y * (g - g.sum(axis=1, keepdims=True))


@wrong(SOFTMAX, "grad_x", "summed over the images, not the classes", "axis")
def _(op: Any, g: Any, y: Any) -> Any:
    return y * (g - (g * y).sum(axis=0))


@wrong(LOGS, "grad_x", "without the term p Σ g", "softmax mean", says="p Σ g")
def _(op: Any, g: Any) -> Any:
    return g


@wrong(LOGS, "grad_x", "plus where minus belongs", "sign of a term")
def _(op: Any, g: Any, y: Any) -> Any:
    return g + np.exp(y) * g.sum(axis=1, keepdims=True)


@wrong(LOGS, "grad_x", "the mean of g, not its sum", "factor of a term", says="1 / 5")
def _(op: Any, g: Any, y: Any) -> Any:
    return g - np.exp(y) * g.mean(axis=1, keepdims=True)


@wrong(LOSS, "grad_x", "wrong sign", "sign")
def _(op: Any, g: Any, scale: Any, label: Any, x_shape: Any) -> Any:
    return -NLLLoss.grad_x(op, g, scale, label, x_shape)


@wrong(LOSS, "grad_x", "not divided by the batch", "factor", says="4 (the batch size")
def _(op: Any, g: Any, label: Any, x_shape: Any) -> Any:
    return NLLLoss.grad_x(op, g, -np.ones(len(label)), label, x_shape)


@wrong(LOSS, "grad_x", "divided by the classes", "factor", says="4 / 5")
def _(op: Any, g: Any, label: Any, x_shape: Any) -> Any:
    return NLLLoss.grad_x(op, g, -np.ones(len(label)) / 5, label, x_shape)


@wrong(LOSS, "grad_x", "labels counted from 1", "shifted", says="axis 1")
def _(op: Any, g: Any, scale: Any, label: Any, x_shape: Any) -> Any:
    return NLLLoss.grad_x(op, g, scale, (label + 1) % 5, x_shape)
