"""MyGrad: NumPy with gradients, with its own convolution, pooling and losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..cases import NORM_EPSILON, Case
from ..layers import (
    Array,
    BatchNorm,
    Conv,
    Flatten,
    Layer,
    Linear,
    Pool,
    Relu,
    with_weights,
)
from .base import Program, Unsupported, version
from .updates import Updates

LIBRARY = "mygrad.nnet.layers"


def available() -> str | None:
    """The version, or None."""
    return version("mygrad")


def build(case: Case) -> Program:
    """The program of a case."""
    import mygrad

    # As its documentation says to do where speed counts.
    mygrad.turn_memory_guarding_off()
    if case.kind == "training" and BatchNorm() in case.layers:
        raise Unsupported("its batch normalisation keeps no running statistics")
    kinds: dict[str, Callable[[Case], Program]] = {
        "training": Training,
        "inference": Inference,
    }
    return kinds.get(case.kind, Gradients)(case)


class Training:
    """A training step; the update is plain NumPy."""

    def __init__(self, case: Case) -> None:
        import mygrad

        self.case, self.images, self.labels = case, case.images(), case.labels()
        self.weights = [mygrad.tensor(w) for w in case.weights()]
        self.update = Updates(case, self.arrays())

    def step(self) -> None:
        """Zero the gradients, forward, loss, backward, update."""
        for weight in self.weights:
            weight.null_grad()
        y = forward(self.case.layers, self.weights, self.images)
        self.last = loss_of(self.case, y, self.labels)
        self.last.backward()
        self.update(self.arrays(), [w.grad for w in self.weights])

    def loss(self) -> float:
        """Of the last step."""
        return float(self.last.data)

    def arrays(self) -> list[Array]:
        """The weights."""
        return [w.data for w in self.weights]


class Inference:
    """The output."""

    def __init__(self, case: Case) -> None:
        import mygrad

        self.case, self.images = case, case.images()
        self.weights = [mygrad.tensor(w) for w in case.weights()]

    def step(self) -> None:
        """Forward, nothing recorded."""
        import mygrad

        with mygrad.no_autodiff:
            self.output = forward(self.case.layers, self.weights, self.images)

    def loss(self) -> None:
        """None."""

    def arrays(self) -> list[Array]:
        """The output."""
        return [self.output.data]


class Gradients:
    """An operation or a chain, forward and back to all its inputs."""

    def __init__(self, case: Case) -> None:
        import mygrad

        self.case, self.is_loss = case, case.from_log_probabilities
        self.leaves = [mygrad.tensor(a) for a in (case.images(), *case.weights())]
        self.labels = case.labels() if self.is_loss else None
        plain = self.is_loss or case.kind == "chain"
        self.given = None if plain else case.gradient()

    def step(self) -> None:
        """Zero the gradients, forward, backward."""
        for leaf in self.leaves:
            leaf.null_grad()
        x, *weights = self.leaves
        if self.case.kind == "chain":
            for _ in range(self.case.length):
                x = x * weights[0]
            self.y = x
        elif self.is_loss:
            self.y = loss_of(self.case, forward(self.case.layers, [], x), self.labels)
        else:
            self.y = forward(self.case.layers, weights, x)
        self.y.backward(self.given)

    def loss(self) -> float | None:
        """Of the last step."""
        return float(self.y.data) if self.is_loss else None

    def arrays(self) -> list[Array]:
        """The output, unless it is the loss, and the gradients."""
        outputs = [] if self.is_loss else [self.y.data]
        return [*outputs, *[leaf.grad for leaf in self.leaves]]


def forward(layers: Sequence[Layer], weights: Sequence[Any], x: Any) -> Any:
    """The result."""
    import mygrad
    from mygrad.nnet import activations
    from mygrad.nnet import layers as functions

    for layer, own in with_weights(layers, weights):
        if isinstance(layer, Conv):
            x = functions.conv_nd(x, own[0], stride=1, padding=layer.padding)
            x = x + own[1].reshape(1, -1, 1, 1)
        elif isinstance(layer, Linear):
            x = mygrad.matmul(x, own[0].T) + own[1]
        elif isinstance(layer, BatchNorm):
            x = functions.batchnorm(x, gamma=own[0], beta=own[1], eps=NORM_EPSILON)
        elif isinstance(layer, Relu):
            x = activations.relu(x)
        elif isinstance(layer, Pool):
            x = functions.max_pool(x, (layer.size, layer.size), layer.size)
        elif isinstance(layer, Flatten):
            x = x.reshape(len(x), -1)
        else:
            x = activations.logsoftmax(x)
    return x


def loss_of(case: Case, y: Any, labels: Any) -> Any:
    """The mean loss of log-probabilities, or of totals."""
    from mygrad.nnet import losses

    if case.from_log_probabilities:
        return losses.negative_log_likelihood(y, labels)
    return losses.softmax_crossentropy(y, labels)
