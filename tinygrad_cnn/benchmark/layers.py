"""A network as plain data: its layers, its shapes, and its initial weights.

Every peer builds its own network from the same list and the same arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
"""Of one image: (C, H, W), or (features,) once it is flat."""


@dataclass(frozen=True)
class Layer:
    """A layer that keeps the shape and has no weights; others say what they do."""

    def result(self, image: Shape) -> Shape:
        """The shape of the result of one image."""
        return image

    def weights(self, image: Shape) -> list[Shape]:
        """The shapes of the weight and of the bias, if it has them."""
        return []


@dataclass(frozen=True)
class Conv(Layer):
    """`out` filters of kernel x kernel pixels, stride 1, zeros around, with a bias."""

    out: int
    kernel: int
    padding: int = 0

    def result(self, image: Shape) -> Shape:
        """Smaller by the kernel, larger by the padding."""
        _, height, width = image
        lost = self.kernel - 1 - 2 * self.padding
        return self.out, height - lost, width - lost

    def weights(self, image: Shape) -> list[Shape]:
        """Filters, and a number for each."""
        return [(self.out, image[0], self.kernel, self.kernel), (self.out,)]


@dataclass(frozen=True)
class Linear(Layer):
    """y = W x + b, to `out` features."""

    out: int

    def result(self, image: Shape) -> Shape:
        """The features."""
        return (self.out,)

    def weights(self, image: Shape) -> list[Shape]:
        """W and b."""
        return [(self.out, image[0]), (self.out,)]


class BatchNorm(Layer):
    """Each channel to mean 0 and variance 1 over the batch, then scaled and shifted."""

    epsilon, momentum = 1e-5, 0.1

    def weights(self, image: Shape) -> list[Shape]:
        """The scale and the shift of each channel."""
        return [(image[0],), (image[0],)]


class Relu(Layer):
    """max(0, x)."""


class LogSoftmax(Layer):
    """Log-probabilities of the classes."""


class Flatten(Layer):
    """(C, H, W) to C·H·W features."""

    def result(self, image: Shape) -> Shape:
        """One axis."""
        return (math.prod(image),)


class Pool(Layer):
    """The maximum of each 2 x 2 pixels."""

    size = 2

    def result(self, image: Shape) -> Shape:
        """Half as high and half as wide."""
        channels, height, width = image
        return channels, height // self.size, width // self.size


LAYERS = {kind.__name__: kind for kind in Layer.__subclasses__()}
"""By name, as they travel between processes."""


def with_shapes(
    layers: Sequence[Layer], image: Shape
) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Each layer, and the shapes of one image before and after it."""
    for layer in layers:
        result = layer.result(image)
        yield layer, image, result
        image = result


def with_weights(
    layers: Sequence[Layer], weights: Sequence[Any]
) -> Iterator[tuple[Layer, Sequence[Any]]]:
    """Each layer with its weight and bias, or with none."""
    left = iter(weights)
    for layer in layers:
        weighted = isinstance(layer, Conv | Linear | BatchNorm)
        yield layer, [next(left), next(left)] if weighted else []


def initial_weights(layers: Sequence[Layer], image: Shape) -> list[Array]:
    """float32: of each layer that has weights the weight and the bias, in order.

    Uniform within ±1/√(inputs of a cell), as PyTorch's; of batch normalisation 1 and 0,
    moved a little, so that mistaking one for the other is seen.
    """
    rng = np.random.default_rng(1)
    weights: list[Array] = []
    for layer, before, _ in with_shapes(layers, image):
        for place, shape in enumerate(layer.weights(before)):
            if isinstance(layer, BatchNorm):
                drawn = (1 - place) + rng.uniform(-0.1, 0.1, shape)
            else:
                bound = math.prod(layer.weights(before)[0][1:]) ** -0.5
                drawn = rng.uniform(-bound, bound, shape)
            weights.append(drawn.astype(np.float32))
    return weights
