"""day3 §3.1, last display: the derivative of which output?

The two cases are those of ∂out(c)/∂tₖ, but the display calls them ∂out(k)/∂tₖ. Whoever
takes it at its word multiplies each by ∂L/∂out(k), which is 0 for all k but c.
"""

import numpy as np

WHERE = "`day3` §3.1, last display"
STATES = (
    r"$\frac{\partial \mathrm{out}(k)}{\partial t_k} = -\frac{e^{t_c} "
    r"e^{t_k}}{S^2}$ for $k \ne c$, $\frac{e^{t_c} (S - e^{t_c})}{S^2}$ for $k = "
    "c$"
)
RIGHT = r"these are $\frac{\partial \mathrm{out}(c)}{\partial t_k}$"
EXPECTED = {"t": "partly zero"}
CORRECT_CLASS = c = 2


def cross_entropy(t):
    return -np.log(np.exp(t[c]) / np.sum(np.exp(t)))


def both_cases(t):
    e, s = np.exp(t), np.sum(np.exp(t))
    return np.where(np.arange(t.size) == c, e[c] * (s - e[c]), -e[c] * e) / s**2


def loss_by_output(t):
    """∂L/∂out: −1 / p at c, 0 elsewhere."""
    d = np.zeros_like(t)
    d[c] = -np.sum(np.exp(t)) / np.exp(t[c])
    return d


def backward_stated(g, t):
    return g * loss_by_output(t) * both_cases(t)


def backward_right(g, t):
    return g * loss_by_output(t)[c] * both_cases(t)


forward_stated = forward_right = cross_entropy
inputs = {"t": np.array([0.3, -1.0, 0.8, 0.1, -0.4])}
