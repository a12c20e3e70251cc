"""The recurrent nets of `day2` §1: many to one and many to many.

A sequence of any length T is read step by step into a state h, always by the same weights:

    h_t = tanh(W_xh x_t + W_hh h_{t-1} + b_h)        t = 1 … T, h_0 = 0
    y_t = W_hy h_t + b_y

x_t is one-hot: 1 at its word, else 0. Shorter sequences of a batch begin with zeros.

Deviations
- The document has words and a figure, no formulas; these are J. Elman's (1990).
- y_t comes with x_t; the document's example, translation, reads all of x first.
- `forward` returns the values before the softmax, which is a part of the loss.
"""

from typing import ClassVar

import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor, stack, tanh, zeros


class Recurrent(nn.Module):
    """What both nets share: the weights, and the states that they make of a sequence."""

    defaults: ClassVar = {"epochs": 100, "batch_size": 16, "lr": 0.01}

    def __init__(self, vocabulary: int, num_classes: int, hidden: int = 16) -> None:
        super().__init__()
        self.xh = nn.Linear(vocabulary, hidden)  # W_xh and b_h
        self.hh = nn.Linear(hidden, hidden, bias=False)  # W_hh
        self.hy = nn.Linear(hidden, num_classes)  # W_hy and b_y

    def states(self, x: Tensor, h: Tensor | None = None) -> list[Tensor]:
        """One-hot floats x (N, T, vocabulary) to h_1 … h_T, each (N, hidden); h is h_0."""
        states, size = [], self.hh.in_features
        h = zeros(len(x), size, dtype=x.dtype) if h is None else h
        for x_t in x.unbind(dim=1):
            h = tanh(self.xh(x_t) + self.hh(h))
            states.append(h)
        return states

    @staticmethod
    def loss(y: Tensor, labels: Tensor) -> Tensor:
        """The mean cross-entropy over sequences and steps; labels (N) or (N, T)."""
        return F.cross_entropy(y.flatten(0, -2), labels.flatten())


class ManyToOne(Recurrent):
    """A sequence (N, T, vocabulary) to one value for each class: y_T (N, num_classes)."""

    def forward(self, x: Tensor) -> Tensor:
        return self.hy(self.states(x)[-1])


class ManyToMany(Recurrent):
    """A sequence to such values at every step: y_1 … y_T (N, T, num_classes)."""

    def forward(self, x: Tensor) -> Tensor:
        return self.hy(stack(self.states(x), dim=1))
