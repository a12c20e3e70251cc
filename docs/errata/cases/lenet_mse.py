"""lenet, fnn.py: the MSE is a mean over all N · K entries, its gradient one over N.

It has no 2 either. With K = 1 output and half of the mean it would be right.
"""

import numpy as np

WHERE = "`lenet` listing `fnn.py`, MSE"
STATES = (
    r"$L$ = mean over all entries of $(\hat y - y)^2$, $\frac{\partial "
    r"L}{\partial \hat y} = \frac{\hat y - y}{N}$"
)
RIGHT = (
    r"$\frac{\partial L}{\partial \hat y} = \frac{2 (\hat y - y)}{N K}$ for $K$ "
    "outputs"
)
EXPECTED = {"prediction": "factor"}
TARGET = np.eye(10)[[3, 0, 6, 2]]


def mse(prediction):
    return np.mean((prediction - TARGET) ** 2)


def backward_stated(g, prediction):
    return g * (prediction - TARGET) / len(TARGET)


def backward_right(g, prediction):
    return g * 2 * (prediction - TARGET) / TARGET.size


forward_stated = forward_right = mse
inputs = {
    "prediction": np.random.default_rng(0).normal(size=(4, 10)),
}
