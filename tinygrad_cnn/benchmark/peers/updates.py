"""The updates of PyTorch's SGD and Adam in NumPy, for libraries that bring none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cases import BETAS, EPSILON, LEARNING_RATES, MOMENTUM, Case
from ..layers import Array


class Updates:
    """Changes weights in place, step after step."""

    def __init__(self, case: Case, weights: Sequence[Array]) -> None:
        self.adam, self.count = case.optimizer == "adam", 0
        self.rate = LEARNING_RATES[case.optimizer]
        self.first = [np.zeros_like(w) for w in weights]
        self.second = [np.zeros_like(w) for w in weights]

    def __call__(self, weights: Sequence[Array], gradients: Sequence[Array]) -> None:
        """One update."""
        self.count += 1
        states = zip(weights, gradients, self.first, self.second, strict=True)
        for w, g, m, v in states:
            if self.adam:
                self._adam(w, g, m, v)
            else:
                m *= MOMENTUM
                m += g
                w -= self.rate * m

    def _adam(self, w: Array, g: Array, m: Array, v: Array) -> None:
        (beta1, beta2), t = BETAS, self.count
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        scale = np.sqrt(v) / (1 - beta2**t) ** 0.5 + EPSILON
        w -= self.rate / (1 - beta1**t) * m / scale
