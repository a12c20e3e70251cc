"""PyTorch, and this package: the same code runs under both.

Each peer is a function that imports the library and returns what builds a case with it.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, Self

from .. import layers
from ..cases import BETAS, EPSILON, MOMENTUM, Case
from ..layers import Array, Layer, Shape
from .base import Build, Program, Unsupported


def ours() -> Build:
    """This package, one operation after the other."""
    import tinygrad_cnn.optim

    def program(case: Case) -> Program:
        return Fitted(case) if case.epoch else build(Style(tinygrad_cnn), case)

    return program


def planned() -> Build:
    """This package, with the step or the forward pass planned once and then replayed."""
    import tinygrad_cnn.optim

    def planned_program(case: Case) -> Program:
        if case.epoch:
            return Fitted(case, planned=True)
        if case.kind == "training":
            return PlannedTraining.of_case(Style(tinygrad_cnn), case)
        if case.kind == "inference":
            return Inference(Style(tinygrad_cnn, tinygrad_cnn.planned), case)
        raise Unsupported("only training steps and inference are planned here")

    return planned_program


def eager() -> Build:
    """PyTorch, one operation after the other."""
    return partial(build, Style(import_torch()))


def compiled() -> Build:
    """PyTorch with `torch.compile`: forward with backward, and the update."""
    torch = import_torch()

    def compiled_program(case: Case) -> Program:
        if case.kind == "chain":
            raise Unsupported("compiling a thousand operations takes minutes")
        return build(Style(torch, torch.compile), case)

    return compiled_program


def import_torch() -> ModuleType:
    """PyTorch, with as many threads as the process is given."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return torch


@dataclass(frozen=True)
class Style:
    """A namespace with PyTorch's names, and what is done to speed a function up."""

    torch: Any
    faster: Callable[..., Callable[..., Any]] = lambda function: function


def build(style: Style, case: Case) -> Program:
    """The program of a case."""
    if case.kind == "training":
        return (Loaded if case.epoch else Training).of_case(style, case)
    return (Inference if case.kind == "inference" else Gradients)(style, case)


class Training(Program):
    """A training step of a network on images and labels."""

    def __init__(
        self, style: Style, case: Case, net: Any, loss_of: Any, data: tuple[Any, Any]
    ) -> None:
        self.net, self.loss_of, self.data = net, loss_of, data
        self.no_grad = style.torch.no_grad
        self.start = [p.detach().clone() for p in net.parameters()]
        self.forward = style.faster(lambda x, y: self.loss_of(self.net(x), y))
        self.optimizer = optimizer_of(style.torch, case, net)
        self.update = style.faster(self.optimizer.step)

    @classmethod
    def of_case(cls, style: Style, case: Case) -> Self:
        """The network of the case."""
        torch, losses = style.torch, style.torch.nn.functional
        loss_of = (
            losses.nll_loss if case.from_log_probabilities else losses.cross_entropy
        )
        data = torch.from_numpy(case.images()), torch.from_numpy(case.labels())
        return cls(style, case, network(torch, case), loss_of, data)

    def step(self) -> None:
        """Zero the gradients, forward, loss, backward, update."""
        self.optimizer.zero_grad()
        self.last = self.forward(*self.data)
        self.last.backward()
        self.update()

    def begin(self) -> None:
        """The first weights, and no momenta."""
        with self.no_grad():
            for parameter, values in zip(
                self.net.parameters(), self.start, strict=True
            ):
                parameter.copy_(values)
        self.optimizer.state.clear()

    def loss(self) -> float:
        """Of the last step."""
        return float(self.last.item())

    def arrays(self) -> list[Array]:
        """The weights."""
        return [p.detach().numpy() for p in self.net.parameters()]


class PlannedTraining(Training):
    """A training step: all but the update is replayed."""

    def __init__(self, style: Style, *parts: Any) -> None:
        super().__init__(style, *parts)
        self.planned = style.torch.planned(self.net, self.loss_of)

    def step(self) -> None:
        """The gradients are set, not added; update."""
        self.last, _ = self.planned(*self.data)
        self.update()


class Loaded(Training):
    """A training step on the next batch of a DataLoader; the loss is read, as users do."""

    def __init__(self, style: Style, case: Case, *parts: Any) -> None:
        super().__init__(style, case, *parts)
        self.batches = endless(style.torch, case)

    def step(self) -> None:
        """The next batch, and all that is done with it."""
        self.data = next(self.batches)
        super().step()
        self.read = self.loss()


def endless(torch: Any, case: Case) -> Iterator[Any]:
    """Batches of float images in 0..1, epoch after epoch."""
    images, labels, order = case.epoch_data()
    floats = torch.from_numpy(images.astype("float32") / 255)
    dataset = torch.utils.data.TensorDataset(floats, torch.from_numpy(labels))
    loader = torch.utils.data.DataLoader(dataset, case.batch, sampler=order)
    while True:
        yield from loader


class Fitted(Program):
    """A training step of this package's `fit`, on the next batch of a DataLoader."""

    def __init__(self, case: Case, planned: bool = False) -> None:
        import tinygrad_cnn.optim
        from tinygrad_cnn.data import DataLoader, ImageDataset
        from tinygrad_cnn.training import BatchRecord, fit

        images, labels, order = case.epoch_data()
        loader = DataLoader(ImageDataset(images, labels), case.batch, sampler=order)
        self.program = Training.of_case(Style(tinygrad_cnn), case)
        parts = self.program.net, self.program.optimizer, loader
        loss_of = self.program.loss_of
        told = fit(*parts, epochs=sys.maxsize, loss=loss_of, planned=planned)
        self.records = (r for r in told if isinstance(r, BatchRecord))

    def step(self) -> None:
        """The next batch, and all that is done with it and told of it."""
        self.last = next(self.records)

    def loss(self) -> float:
        """Of the last step."""
        return self.last.loss

    def arrays(self) -> list[Array]:
        """The weights."""
        return self.program.arrays()


class Inference(Program):
    """The output, in evaluation mode."""

    def __init__(self, style: Style, case: Case) -> None:
        self.no_grad = style.torch.no_grad
        self.forward = style.faster(network(style.torch, case).eval())
        self.images = style.torch.from_numpy(case.images())

    def step(self) -> None:
        """Forward, nothing recorded."""
        with self.no_grad():
            self.output = self.forward(self.images)

    def arrays(self) -> list[Array]:
        """The output."""
        return [self.output.numpy()]


class Gradients(Program):
    """An operation or a chain, forward and back to all its inputs."""

    def __init__(self, style: Style, case: Case) -> None:
        torch, self.is_loss = style.torch, case.from_log_probabilities
        x = torch.from_numpy(case.images()).requires_grad_()
        if case.kind == "chain":
            weights = [torch.from_numpy(w).requires_grad_() for w in case.weights()]
            # math.prod multiplies one after the other: x · w · w · … · w
            function: Any = lambda x: math.prod(weights * case.length, start=x)
        else:
            function = network(torch, case)
            weights = list(function.parameters())
        self.leaves, self.given = [x, *weights], None
        if self.is_loss:
            net, labels = function, torch.from_numpy(case.labels())
            function = lambda x: torch.nn.functional.nll_loss(net(x), labels)
        else:
            self.given = torch.from_numpy(case.gradient())
        self.forward = style.faster(function)

    def step(self) -> None:
        """Zero the gradients, forward, backward."""
        for leaf in self.leaves:
            leaf.grad = None
        self.y = self.forward(self.leaves[0])
        self.y.backward(self.given)

    def loss(self) -> float | None:
        """Of the last step."""
        return float(self.y.item()) if self.is_loss else None

    def arrays(self) -> list[Array]:
        """The output, unless it is the loss, and the gradients."""
        outputs = [] if self.is_loss else [self.y.detach()]
        return [t.numpy() for t in (*outputs, *[leaf.grad for leaf in self.leaves])]


def network(torch: Any, case: Case) -> Any:
    """A Sequential with the initial weights of the case, in training mode."""
    net = torch.nn.Sequential(*modules(torch, case.layers, case.image))
    with torch.no_grad():
        for parameter, weight in zip(net.parameters(), case.weights(), strict=True):
            parameter.copy_(torch.from_numpy(weight))
    return net


def modules(torch: Any, given: Sequence[Layer], image: Shape) -> Iterator[Any]:
    """The layers as modules of torch.nn, for images of this shape."""
    nn = torch.nn
    norms = {1: nn.BatchNorm1d, 3: nn.BatchNorm2d}
    kinds: dict[type[Layer], Callable[[Any, Shape], Any]] = {
        layers.Conv: lambda c, x: nn.Conv2d(
            x[0], c.out, c.kernel, c.stride, c.padding, groups=c.groups, bias=c.bias
        ),
        layers.Linear: lambda dense, x: nn.Linear(x[0], dense.out),
        layers.BatchNorm: lambda _, x: norms[len(x)](x[0]),
        layers.Relu: lambda *_: nn.ReLU(),
        layers.Pool: lambda pool, _: nn.MaxPool2d(pool.size),
        layers.Average: lambda *_: nn.AdaptiveAvgPool2d(1),
        layers.Flatten: lambda *_: nn.Flatten(),
        layers.LogSoftmax: lambda *_: nn.LogSoftmax(1),
        layers.Residual: partial(residual, torch),
    }
    for layer in given:
        yield kinds[type(layer)](layer, image)
        image = layer.result(image)


def residual(torch: Any, layer: layers.Residual, image: Shape) -> Any:
    """Its layers and its shortcut, added."""

    class Residual(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            branches = layer.layers, layer.shortcut
            self.branches = torch.nn.ModuleList(
                [torch.nn.Sequential(*modules(torch, b, image)) for b in branches]
            )

        def forward(self, x: Any) -> Any:
            inner, shortcut = self.branches
            return inner(x) + shortcut(x)

    return Residual()


def optimizer_of(torch: Any, case: Case, net: Any) -> Any:
    """SGD with momentum, or Adam, otherwise with the defaults of the library."""
    rate = case.learning_rate
    if case.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), lr=rate, betas=BETAS, eps=EPSILON)
    return torch.optim.SGD(net.parameters(), lr=rate, momentum=MOMENTUM)
