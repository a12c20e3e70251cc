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
class Conv:
    """`out` filters of kernel x kernel pixels, stride 1, zeros around, with a bias."""

    out: int
    kernel: int
    padding: int = 0

    def result(self, image: Shape) -> Shape:
        """The shape of the result of one image."""
        _, height, width = image
        lost = self.kernel - 1 - 2 * self.padding
        return self.out, height - lost, width - lost

    def weights(self, image: Shape) -> list[Shape]:
        """The shapes of the weight and of the bias."""
        return [(self.out, image[0], self.kernel, self.kernel), (self.out,)]


@dataclass(frozen=True)
class Linear:
    """y = W x + b, to `out` features."""

    out: int

    def result(self, image: Shape) -> Shape:
        """The shape of the result of one image."""
        return (self.out,)

    def weights(self, image: Shape) -> list[Shape]:
        """The shapes of the weight and of the bias."""
        return [(self.out, image[0]), (self.out,)]


@dataclass(frozen=True)
class BatchNorm:
    """Each channel to mean 0 and variance 1 over the batch, then scaled and shifted."""

    def result(self, image: Shape) -> Shape:
        """The shape of the result of one image."""
        return image

    def weights(self, image: Shape) -> list[Shape]:
        """The shapes of the scale and of the shift."""
        return [(image[0],), (image[0],)]


@dataclass(frozen=True)
class Plain:
    """A layer without weights that keeps the shape."""

    def result(self, image: Shape) -> Shape:
        """The shape of the result of one image."""
        return image

    def weights(self, image: Shape) -> list[Shape]:
        """None."""
        return []


class Relu(Plain):
    """max(0, x)."""


class LogSoftmax(Plain):
    """Log-probabilities of the classes."""


class Flatten(Plain):
    """(C, H, W) to C·H·W features."""

    def result(self, image: Shape) -> Shape:
        """The shape of the result of one image."""
        return (math.prod(image),)


class Pool(Plain):
    """The maximum of each 2 x 2 pixels."""

    size = 2

    def result(self, image: Shape) -> Shape:
        """The shape of the result of one image."""
        channels, height, width = image
        return channels, height // self.size, width // self.size


Layer = Conv | Linear | BatchNorm | Plain


def with_shapes(
    layers: Sequence[Layer], image: Shape
) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Each layer, and the shapes of one image before and after it."""
    for layer in layers:
        result = layer.result(image)
        yield layer, image, result
        image = result


def initial_weights(layers: Sequence[Layer], image: Shape, seed: int) -> list[Array]:
    """float32: of each layer that has weights the weight and the bias, in order.

    Uniform within ±1/√(inputs of a cell), as PyTorch's; of batch normalisation 1 and 0,
    moved a little, so that mistaking one for the other is seen.
    """
    rng = np.random.default_rng(seed)
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


def with_weights(
    layers: Sequence[Layer], weights: Sequence[Any]
) -> Iterator[tuple[Layer, Sequence[Any]]]:
    """Each layer with its weight and bias, or with none."""
    taken = 0
    for layer in layers:
        count = 0 if isinstance(layer, Plain) else 2
        yield layer, weights[taken : taken + count]
        taken += count
