"""day2 §5, day3 §1.1: softmax as exp(t) / Σ exp(t) of the raw totals.

exp overflows in float64 above 709, and inf / inf is not a number. The quotient is the same
when the largest total is subtracted from all of them first.
"""

import numpy as np

WHERE = "`day2`, `day3`, listing of softmax"
STATES = r"$p_i = \frac{\exp t_i}{\sum_j \exp t_j}$, computed so"
RIGHT = (
    r"$p_i = \frac{\exp(t_i - \max t)}{\sum_j \exp(t_j - \max t)}$: equal, and "
    "never overflows"
)
EXPECTED = {"t": "failed"}


def forward_stated(t):
    return np.exp(t) / np.sum(np.exp(t))


def forward_right(t):
    e = np.exp(t - np.max(t))
    return e / np.sum(e)


def backward_stated(g, t):
    p = forward_stated(t)
    return p * (g - np.sum(g * p))


def backward_right(g, t):
    p = forward_right(t)
    return p * (g - np.sum(g * p))


inputs = {"t": np.array([1000.0, 1001.0, 999.0])}
