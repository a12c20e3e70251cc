"""lenet §5: exp(ŷ) − y is the gradient of the sum of the losses.

The loss that the document prints is the mean over the batch; then the gradient, and with it
each step, depends on the batch size unless it is divided by N.
"""

import numpy as np

WHERE = "`lenet` §5"
STATES = (
    r"$\frac{\partial L}{\partial z} = \exp(\hat y) - y$, for $L$ the mean of "
    r"$-\hat y$ at the label"
)
RIGHT = r"$\frac{\partial L}{\partial z} = \frac{\exp(\hat y) - y}{N}$"
EXPECTED = {"z": "factor"}
LABELS = np.array([3, 0, 6, 2, 3])
ONE_HOT = np.eye(7)[LABELS]


def log_softmax(z):
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def mean_nll(z):
    return -np.sum(ONE_HOT * log_softmax(z)) / len(z)


def backward_stated(g, z):
    return g * (np.exp(log_softmax(z)) - ONE_HOT)


def backward_right(g, z):
    return g * (np.exp(log_softmax(z)) - ONE_HOT) / len(z)


forward_stated = forward_right = mean_nll
inputs = {"z": np.random.default_rng(0).normal(size=(5, 7))}
