"""autograd (HIPS): NumPy's functions differentiated, with its own convolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..cases import NORM_EPSILON, NORM_MOMENTUM, Case
from ..counting import multiply_adds
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

LIBRARY = "autograd.scipy.signal"
MOST = 2e9
"""Multiply-adds of a step."""


def available() -> str | None:
    """The version, or None."""
    return version("autograd")


def build(case: Case) -> Program:
    """The program of a case."""
    if multiply_adds(case) > MOST:
        raise Unsupported("its convolution would take half a minute for a step")
    kinds: dict[str, Callable[[Case], Program]] = {
        "training": Training,
        "inference": Inference,
    }
    return kinds.get(case.kind, Gradients)(case)


class Training:
    """A training step; the update is plain NumPy."""

    def __init__(self, case: Case) -> None:
        from autograd import value_and_grad

        self.weights = case.weights()
        self.data = case.images(), case.labels()
        self.update = Updates(case, self.weights)
        self.norms: dict[int, list[Array]] = {}
        logits = not case.from_log_probabilities

        def loss_of(weights: Any, images: Array, labels: Array) -> Any:
            y = forward(case.layers, weights, images, self.norms)
            return nll_loss(log_softmax(y) if logits else y, labels)

        self.gradient = value_and_grad(loss_of)

    def step(self) -> None:
        """Forward, loss, backward, update."""
        self.last, gradients = self.gradient(self.weights, *self.data)
        self.update(self.weights, gradients)

    def loss(self) -> float:
        """Of the last step."""
        return float(self.last)

    def arrays(self) -> list[Array]:
        """The weights."""
        return self.weights


class Inference:
    """The output."""

    def __init__(self, case: Case) -> None:
        self.layers, self.weights, self.images = (
            *(case.layers, case.weights()),
            case.images(),
        )

    def step(self) -> None:
        """Forward, nothing recorded."""
        self.output = forward(self.layers, self.weights, self.images)

    def loss(self) -> None:
        """None."""

    def arrays(self) -> list[Array]:
        """The output."""
        return [self.output]


class Gradients:
    """An operation or a chain, forward and back to all its inputs."""

    def __init__(self, case: Case) -> None:
        import numpy as np
        from autograd import make_vjp

        self.is_loss = case.from_log_probabilities
        labels = case.labels() if self.is_loss else None
        self.inputs = [case.images(), *case.weights()]
        self.given: Any = np.float32(1)
        if not self.is_loss:
            ones = np.ones_like(self.inputs[0])
            self.given = ones if case.kind == "chain" else case.gradient()

        def value(inputs: Any) -> Any:
            x, *weights = inputs
            if case.kind == "chain":
                for _ in range(case.length):
                    x = x * weights[0]
                return x
            y = forward(case.layers, weights, x)
            return y if labels is None else nll_loss(y, labels)

        self.record = make_vjp(value)

    def step(self) -> None:
        """Forward, backward."""
        back, self.y = self.record(self.inputs)
        self.gradients = back(self.given)

    def loss(self) -> float | None:
        """Of the last step."""
        return float(self.y) if self.is_loss else None

    def arrays(self) -> list[Array]:
        """The output, unless it is the loss, and the gradients."""
        return [*([] if self.is_loss else [self.y]), *self.gradients]


def forward(
    layers: Sequence[Layer], weights: Sequence[Any], x: Any, norms: Any = None
) -> Any:
    """The result; norms: where the running figures of batch normalisation are kept."""
    import autograd.numpy as np

    for place, (layer, own) in enumerate(with_weights(layers, weights)):
        if isinstance(layer, Conv):
            x = convolved(x, own[0], layer.padding) + own[1][:, None, None]
        elif isinstance(layer, Linear):
            x = np.dot(x, own[0].T) + own[1]
        elif isinstance(layer, BatchNorm):
            kept = {} if norms is None else norms
            scale, shift = own
            x = normalised(x, scale, shift, kept.setdefault(place, [0, 1]))
        elif isinstance(layer, Relu):
            x = np.maximum(x, 0)
        elif isinstance(layer, Pool):
            n, c, h, w = x.shape
            k = layer.size
            windows = x[:, :, : h // k * k, : w // k * k]
            x = windows.reshape(n, c, h // k, k, w // k, k).max(axis=(3, 5))
        elif isinstance(layer, Flatten):
            x = x.reshape(len(x), -1)
        else:
            x = log_softmax(x)
    return x


def convolved(x: Any, w: Any, padding: int) -> Any:
    """By autograd's `convolve`, which turns the kernel round; so it is turned first."""
    import autograd.numpy as np
    from autograd.scipy.signal import convolve

    if padding:
        sides = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
        x = np.pad(x, sides, "constant")
    turned = w[:, :, ::-1, ::-1]
    return convolve(x, turned, axes=([2, 3], [2, 3]), dot_axes=([1], [1]), mode="valid")


def normalised(x: Any, scale: Any, shift: Any, running: list[Any]) -> Any:
    """Batch normalisation, and the running figures moved."""
    import autograd.numpy as np
    from autograd.tracer import getval

    axes = (0, *range(2, x.ndim))
    along = [1, -1, *[1] * (x.ndim - 2)]
    mean = np.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    count = x.size // x.shape[1]
    found = getval(mean), getval(variance) * (count / (count - 1))
    running[:] = [
        r + NORM_MOMENTUM * (b - r) for r, b in zip(running, found, strict=True)
    ]
    y = centred / np.sqrt(variance + np.float32(NORM_EPSILON))
    return y * scale.reshape(along) + shift.reshape(along)


def log_softmax(x: Any) -> Any:
    """Log-probabilities, without overflow."""
    import autograd.numpy as np

    shifted = x - np.max(x, axis=1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))


def nll_loss(y: Any, labels: Array) -> Any:
    """The mean of −y at the labels."""
    import autograd.numpy as np

    return -np.mean(y[np.arange(len(labels)), labels])
