"""lenet, backward_adam: for "cross_entropy" the loss stands where its gradient should."""

import numpy as np

WHERE = "`lenet` listing `backward_adam`, cross-entropy"
STATES = (
    r"$\frac{\partial L}{\partial \hat y} = -\frac{1}{N} \sum y \hat y$, which is "
    "$L$ itself"
)
RIGHT = r"$\frac{\partial L}{\partial \hat y} = -\frac{y}{N}$"
EXPECTED = {"prediction": "wrong shape"}
ONE_HOT = np.eye(5)[[3, 0, 2]]


def cross_entropy(prediction):
    return -np.sum(ONE_HOT * prediction) / len(ONE_HOT)


def backward_stated(g, prediction):
    return g * cross_entropy(prediction)


def backward_right(g, prediction):
    return -g * ONE_HOT / len(ONE_HOT)


forward_stated = forward_right = cross_entropy
inputs = {
    "prediction": np.log(np.random.default_rng(0).uniform(0.1, 0.9, (3, 5))),
}
