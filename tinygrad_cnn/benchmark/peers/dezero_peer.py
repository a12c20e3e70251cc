"""DeZero: a small framework in the style of Chainer, on NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..cases import BETAS, EPSILON, LEARNING_RATES, MOMENTUM, NORM_EPSILON, Case
from ..layers import (
    Array,
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    LogSoftmax,
    Pool,
    Relu,
    with_weights,
)
from .base import Program, version

LIBRARY = "tinygrad_cnn.benchmark.peers.dezero_import"


def available() -> str | None:
    """The version, or None."""
    return version("dezero")


def build(case: Case) -> Program:
    """The program of a case."""
    kinds: dict[str, Callable[[Case], Program]] = {
        "training": Training,
        "inference": Inference,
        "chain": Chain,
    }
    return kinds.get(case.kind, Operation)(case)


class Training:
    """A training step."""

    def __init__(self, case: Case) -> None:
        from dezero.functions import softmax_cross_entropy

        self.net, self.loss_of = Net(case), softmax_cross_entropy
        self.images, self.labels = case.images(), case.labels()
        self.optimizer = optimizer_of(case).setup(self.net)

    def step(self) -> None:
        """Zero the gradients, forward, loss, backward, update."""
        self.net.cleargrads()
        self.last = self.loss_of(self.net(self.images), self.labels)
        self.last.backward()
        self.optimizer.update()

    def loss(self) -> float:
        """Of the last step."""
        return float(self.last.data)

    def arrays(self) -> list[Array]:
        """The weights."""
        return self.net.arrays([p.data for p in self.net.weights])


class Inference:
    """The output, in evaluation mode."""

    def __init__(self, case: Case) -> None:
        self.net, self.images = Net(case, log_softmax=True), case.images()

    def step(self) -> None:
        """Forward, nothing recorded."""
        import dezero

        with dezero.no_grad(), dezero.test_mode():
            self.output = self.net(self.images)

    def loss(self) -> None:
        """None."""

    def arrays(self) -> list[Array]:
        """The output."""
        return [self.output.data]


class Operation:
    """One layer, or the loss, forward and back to all its inputs."""

    def __init__(self, case: Case) -> None:
        from dezero import Variable
        from dezero.functions import softmax_cross_entropy

        self.loss_of, self.is_loss = softmax_cross_entropy, case.from_log_probabilities
        self.net, self.x = Net(case), Variable(case.images())
        self.labels = case.labels() if self.is_loss else None
        self.given = None if self.is_loss else Variable(case.gradient())

    def step(self) -> None:
        """Zero the gradients, forward, backward."""
        self.net.cleargrads()
        self.x.cleargrad()
        if self.is_loss:
            self.y = self.loss_of(self.x, self.labels)
        else:
            self.y = self.net(self.x)
            self.y.grad = self.given
        self.y.backward()

    def loss(self) -> float | None:
        """Of the last step."""
        return float(self.y.data) if self.is_loss else None

    def arrays(self) -> list[Array]:
        """The output, unless it is the loss, and the gradients."""
        gradients = self.net.arrays([p.grad.data for p in self.net.weights])
        outputs = [] if self.is_loss else [self.y.data]
        return [*outputs, self.x.grad.data, *gradients]


class Chain:
    """x · w · w · … · w, forward and back."""

    def __init__(self, case: Case) -> None:
        from dezero import Variable

        self.x, self.w = Variable(case.images()), Variable(case.weights()[0])
        self.length = case.length

    def step(self) -> None:
        """Zero the gradients, forward, backward."""
        self.x.cleargrad()
        self.w.cleargrad()
        self.y = self.x
        for _ in range(self.length):
            self.y = self.y * self.w
        self.y.backward()

    def loss(self) -> None:
        """None."""

    def arrays(self) -> list[Array]:
        """The product, and the gradients of x and w."""
        return [self.y.data, self.x.grad.data, self.w.grad.data]


class Net:
    """The layers, with what an optimizer of DeZero asks of a model.

    log_softmax: compute it where the case has it; its loss takes the totals.
    """

    def __init__(self, case: Case, log_softmax: bool = False) -> None:
        import numpy as np
        from dezero import Parameter

        self.case, self.log_softmax = case, log_softmax
        # Dense weights lie the other way round here: (in, out).
        self.weights = [Parameter(a) for a in self.arrays(case.weights())]
        self.norms = [
            (np.zeros_like(own[0].data), np.ones_like(own[0].data))
            for layer, own in with_weights(case.layers, self.weights)
            if isinstance(layer, BatchNorm)
        ]

    def __call__(self, x: Any) -> Any:
        """The result."""
        from dezero import functions as F

        norms = iter(self.norms)
        for layer, own in with_weights(self.case.layers, self.weights):
            if isinstance(layer, Conv):
                x = F.conv2d(x, *own, pad=layer.padding)
            elif isinstance(layer, Linear):
                x = F.linear(x, *own)
            elif isinstance(layer, BatchNorm):
                x = F.batch_nrom(x, *own, *next(norms), eps=NORM_EPSILON)
            elif isinstance(layer, Relu):
                x = F.relu(x)
            elif isinstance(layer, Pool):
                x = F.pooling(x, layer.size, layer.size)
            elif isinstance(layer, Flatten):
                x = F.flatten(x)
            elif isinstance(layer, LogSoftmax) and self.log_softmax:
                x = F.log_softmax(x)
        return x

    def params(self) -> list[Any]:
        """The weights, for the optimizer."""
        return self.weights

    def cleargrads(self) -> None:
        """Forget the gradients."""
        for weight in self.weights:
            weight.cleargrad()

    def arrays(self, arrays: list[Array]) -> list[Array]:
        """Weights, or their gradients, in our order of axes; and back."""
        return [a.T.copy() if a.ndim == 2 else a for a in arrays]


def optimizer_of(case: Case) -> Any:
    """SGD with momentum, or Adam."""
    from dezero import optimizers

    rate = LEARNING_RATES[case.optimizer]
    if case.optimizer == "adam":
        return optimizers.Adam(rate, *BETAS, eps=EPSILON)
    return optimizers.MomentumSGD(rate, MOMENTUM)
