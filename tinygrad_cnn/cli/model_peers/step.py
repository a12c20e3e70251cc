"""A training step of a user's model, the same code under both packages."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...benchmark.cases import LEARNING_RATES, MOMENTUM, Case
from ...benchmark.layers import Array
from ..batch import Batch, opened


def batch_of(case: Case) -> Batch:
    """The model with its initial weights, and its images; each time the same."""
    options = case.options
    settings = tuples(options["settings"])
    return opened(options["spec"], settings, case.batch, options["data"])


def tuples(value: Any) -> Any:
    """JSON values with tuples where they have lists."""
    if isinstance(value, dict):
        return {key: tuples(each) for key, each in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value


class Training:
    """A model in training mode, with SGD and momentum.

    torch: PyTorch, or what has its names. Dropout is off until the numbers are checked,
    since each package draws random numbers of its own.
    """

    def __init__(self, torch: Any, model: Any, images: Any, labels: Any) -> None:
        self.model, self.data = model, (images, labels)
        self.loss_of = getattr(model, "loss", torch.nn.functional.cross_entropy)
        rate = LEARNING_RATES["sgd"]
        parameters = list(model.parameters())
        self.optimizer = torch.optim.SGD(parameters, lr=rate, momentum=MOMENTUM)
        self.starts = self._weights()
        parts = [m for m in model.modules() if "Dropout" in type(m).__name__]
        self.dropouts = [(m, m.p) for m in parts if hasattr(m, "p")]
        for part, _ in self.dropouts:
            part.p = 0.0

    def step(self) -> None:
        """Zero the gradients, forward, loss, backward, update."""
        images, labels = self.data
        self.optimizer.zero_grad()
        self.last = self.loss_of(self.model(images), labels)
        self.last.backward()
        self.optimizer.step()

    def checked(self) -> None:
        """From now on only the time matters."""
        for part, p in self.dropouts:
            part.p = p

    def loss(self) -> float:
        """Of the last step."""
        return float(self.last.item())

    def arrays(self) -> list[Array]:
        """What the steps have added to the weights."""
        return [w - s for w, s in zip(self._weights(), self.starts, strict=True)]

    def _weights(self) -> list[Array]:
        return [np.array(p.detach().numpy()) for p in self.model.parameters()]
