"""lenet, layer.py: log-softmax subtracts the maximum inside the sum only.

log Σ exp(z − m) is less than log Σ exp(z) by m: the m has to be subtracted from z too, or
added back. As it is, the "probabilities" exp(y) sum to exp(m).
"""

import numpy as np

WHERE = "`lenet` listing `layer.py`, log-softmax"
STATES = r"$y = z - \log \sum \exp(z - \max z)$"
RIGHT = r"$y = z - \max z - \log \sum \exp(z - \max z)$"
EXPECTED = {"z": "wrong"}


def forward_stated(z):
    m = z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z - m).sum(axis=1, keepdims=True))


def forward_right(z):
    m = z.max(axis=1, keepdims=True)
    return z - m - np.log(np.exp(z - m).sum(axis=1, keepdims=True))


def backward_stated(g, z):
    return g - np.exp(forward_stated(z)) * g.sum(axis=1, keepdims=True)


def backward_right(g, z):
    return g - np.exp(forward_right(z)) * g.sum(axis=1, keepdims=True)


def shows():
    z = np.array([[3.0, 1.0, 0.0]])
    sums = [np.exp(y(z)).sum() for y in (forward_stated, forward_right)]
    return "for z = (3, 1, 0) exp(y) sums to {:.2f} = e³, and should to {:.2f}".format(
        *sums
    )


inputs = {"z": np.random.default_rng(0).normal(size=(4, 5))}
