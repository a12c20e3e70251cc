"""Wrong gradients of softmax and of the losses behind it."""

from functools import partial

import numpy as np

from ...ops.classification import LogSoftmax, NLLLoss, Softmax
from .mutant import Example, changed, values, wrong

SCORES, LABELS = values(4, 5), np.array([3, 0, 4, 1])

softmax = partial(wrong, Example(Softmax(1), (SCORES,)), "grad_x")
softmax("only p (1 − p), the diagonal", "diagonal")(lambda op, g, y: g * y * (1 - y))
softmax("without the mean", "softmax mean: without the mean Σ g p")(
    lambda op, g, y: y * g
)
softmax("g passed on", "derivative missing")(lambda op, g: g)
softmax("Σ g where Σ g p belongs", "term: wrong factor")(
    lambda op, g, y: y * (g - g.sum(axis=1, keepdims=True))
)
softmax("summed over the images, not the classes", "axis")(
    lambda op, g, y: y * (g - (g * y).sum(axis=0))
)

log_softmax = partial(wrong, Example(LogSoftmax(1), (SCORES,)), "grad_x")
log_softmax("without the term p Σ g", "softmax mean: p Σ g")(lambda op, g: g)
log_softmax("plus where minus belongs", "sign of a term")(
    lambda op, g, y: g + np.exp(y) * g.sum(axis=1, keepdims=True)
)
log_softmax("the mean of g, not its sum", "factor of a term: 1 / 5")(
    lambda op, g, y: g - np.exp(y) * g.mean(axis=1, keepdims=True)
)

nll = partial(wrong, Example(NLLLoss(), (SCORES, LABELS, None)), "grad_x")
right = NLLLoss.grad_x
nll("wrong sign", "sign")(changed(right, lambda dx: -dx))
nll("not divided by the batch", "factor: 4 (the batch size")(
    changed(right, lambda dx: 4 * dx)
)
nll("divided by the classes", "factor: 4 / 5")(changed(right, lambda dx: 4 / 5 * dx))
nll("labels counted from 1", "shifted: axis 1")(
    lambda op, g, scale, label, x_shape: right(op, g, scale, (label + 1) % 5, x_shape)
)
