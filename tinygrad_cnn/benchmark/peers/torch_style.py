"""Programs in PyTorch's style, for PyTorch and for us: the same code runs under both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..cases import BETAS, EPSILON, LEARNING_RATES, MOMENTUM, Case
from ..layers import Array, BatchNorm, Conv, Flatten, Linear, Pool, Relu, with_shapes
from .base import Program


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function."""
    return function


@dataclass(frozen=True)
class Style:
    """A namespace with PyTorch's names, and what is done to speed its functions up.

    forward: of a function of tensors that returns the loss or the output. update: of the
    optimizer's step.
    """

    torch: Any
    forward: Callable[..., Any] = as_it_is
    update: Callable[..., Any] = as_it_is


def build(case: Case, style: Style) -> Program:
    """The program of a case."""
    kinds: dict[str, Callable[[Case, Style], Program]] = {
        "training": Training,
        "inference": Inference,
        "operation": Operation,
        "chain": Chain,
    }
    return kinds[case.kind](case, style)


class Training:
    """A training step."""

    def __init__(self, case: Case, style: Style) -> None:
        torch = style.torch
        self.net = network(case, torch)
        self.data = torch.from_numpy(case.images()), torch.from_numpy(case.labels())
        losses = torch.nn.functional
        self.loss_of = (
            losses.nll_loss if case.from_log_probabilities else losses.cross_entropy
        )
        self.forward = style.forward(lambda x, y: self.loss_of(self.net(x), y))
        self.optimizer = optimizer_of(case, torch, self.net)
        self.update = style.update(self.optimizer.step)

    def whole(self, images: Any, labels: Any) -> Any:
        """One step; the loss before it."""
        self.optimizer.zero_grad()
        loss = self.forward(images, labels)
        loss.backward()
        self.update()
        return loss

    def step(self) -> None:
        """Zero the gradients, forward, loss, backward, update."""
        self.last = self.whole(*self.data)

    def loss(self) -> float:
        """Of the last step."""
        return float(self.last.item())

    def arrays(self) -> list[Array]:
        """The weights."""
        return [p.detach().numpy() for p in self.net.parameters()]


class Inference:
    """The output, in evaluation mode."""

    def __init__(self, case: Case, style: Style) -> None:
        torch = style.torch
        self.no_grad = torch.no_grad
        self.net = network(case, torch).eval()
        self.forward = style.forward(self.net)
        self.images = torch.from_numpy(case.images())

    def step(self) -> None:
        """Forward, nothing recorded."""
        with self.no_grad():
            self.output = self.forward(self.images)

    def loss(self) -> None:
        """None."""

    def arrays(self) -> list[Array]:
        """The output."""
        return [self.output.numpy()]


class Operation:
    """One layer, or the loss, forward and back to all its inputs."""

    def __init__(self, case: Case, style: Style) -> None:
        torch, self.is_loss = style.torch, case.from_log_probabilities
        self.net = network(case, torch)
        self.x = torch.from_numpy(case.images()).requires_grad_()
        self.forward = style.forward(self.net)
        self.given = None if self.is_loss else torch.from_numpy(case.gradient())
        if self.is_loss:
            labels, nll_loss = case.labels(), torch.nn.functional.nll_loss
            labels = torch.from_numpy(labels)
            self.forward = style.forward(lambda x: nll_loss(self.net(x), labels))

    def step(self) -> None:
        """Zero the gradients, forward, backward."""
        self.x.grad = None
        self.net.zero_grad()
        self.y = self.forward(self.x)
        self.y.backward(self.given)

    def loss(self) -> float | None:
        """Of the last step."""
        return float(self.y.item()) if self.is_loss else None

    def arrays(self) -> list[Array]:
        """The output, unless it is the loss, and the gradients."""
        outputs = [] if self.is_loss else [self.y.detach()]
        leaves = [self.x, *self.net.parameters()]
        return [t.numpy() for t in (*outputs, *[leaf.grad for leaf in leaves])]


class Chain:
    """x · w · w · … · w, forward and back."""

    def __init__(self, case: Case, style: Style) -> None:
        torch = style.torch
        self.x = torch.from_numpy(case.images()).requires_grad_()
        self.w = torch.from_numpy(case.weights()[0]).requires_grad_()

        def product(x: Any, w: Any) -> Any:
            for _ in range(case.length):
                x = x * w
            return x

        self.forward = style.forward(product)
        self.given = torch.ones(*self.x.shape)

    def step(self) -> None:
        """Zero the gradients, forward, backward."""
        self.x.grad = self.w.grad = None
        self.y = self.forward(self.x, self.w)
        self.y.backward(self.given)

    def loss(self) -> None:
        """None."""

    def arrays(self) -> list[Array]:
        """The product, and the gradients of x and w."""
        return [t.numpy() for t in (self.y.detach(), self.x.grad, self.w.grad)]


def network(case: Case, torch: Any) -> Any:
    """A Sequential with the initial weights of the case, in training mode."""
    net = torch.nn.Sequential(*modules(case, torch.nn))
    with torch.no_grad():
        for parameter, weight in zip(net.parameters(), case.weights(), strict=True):
            parameter.copy_(torch.from_numpy(weight))
    return net


def modules(case: Case, nn: Any) -> Iterator[Any]:
    """The layers as modules."""
    for layer, before, after in with_shapes(case.layers, case.image):
        if isinstance(layer, Conv):
            yield nn.Conv2d(before[0], layer.out, layer.kernel, padding=layer.padding)
        elif isinstance(layer, Linear):
            yield nn.Linear(before[0], after[0])
        elif isinstance(layer, BatchNorm):
            yield (nn.BatchNorm2d if len(before) == 3 else nn.BatchNorm1d)(before[0])
        elif isinstance(layer, Relu):
            yield nn.ReLU()
        elif isinstance(layer, Pool):
            yield nn.MaxPool2d(layer.size)
        else:
            yield nn.Flatten() if isinstance(layer, Flatten) else nn.LogSoftmax(1)


def optimizer_of(case: Case, torch: Any, net: Any) -> Any:
    """SGD with momentum, or Adam, otherwise with the defaults of the library."""
    rate = LEARNING_RATES[case.optimizer]
    if case.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), lr=rate, betas=BETAS, eps=EPSILON)
    return torch.optim.SGD(net.parameters(), lr=rate, momentum=MOMENTUM)
