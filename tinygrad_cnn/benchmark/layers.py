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
    """`out` filters of kernel x kernel pixels, with zeros around the image.

    groups: so many parts of the channels, each seen by its share of the filters alone.
    """

    out: int
    kernel: int
    padding: int = 0
    stride: int = 1
    groups: int = 1
    bias: bool = True

    def result(self, image: Shape) -> Shape:
        """A pixel for each place of the kernel."""
        _, *sides = image
        room = 2 * self.padding - self.kernel
        height, width = ((side + room) // self.stride + 1 for side in sides)
        return self.out, height, width

    def weights(self, image: Shape) -> list[Shape]:
        """Filters, and a number for each."""
        filters = (self.out, image[0] // self.groups, self.kernel, self.kernel)
        return [filters, (self.out,)] if self.bias else [filters]


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


class Average(Layer):
    """The mean of each channel over its pixels."""

    def result(self, image: Shape) -> Shape:
        """One pixel."""
        return image[0], 1, 1


@dataclass(frozen=True)
class Residual(Layer):
    """What `layers` make of x, plus what `shortcut` makes of it; without any: plus x."""

    layers: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()

    def result(self, image: Shape) -> Shape:
        """That of the layers, and of the shortcut."""
        for layer in self.layers:
            image = layer.result(image)
        return image


LAYERS = {kind.__name__: kind for kind in Layer.__subclasses__()}
"""By name, as they travel between processes."""


def to_json(layers: Sequence[Layer]) -> list[tuple[str, dict[str, Any]]]:
    """Each layer as the name of its class and its fields."""
    found = []
    for layer in layers:
        fields = vars(layer)
        inner = {k: to_json(v) for k, v in fields.items() if isinstance(v, tuple)}
        found.append((type(layer).__name__, fields | inner))
    return found


def from_json(values: Any) -> tuple[Layer, ...]:
    """The layers that `to_json` made these of."""
    found = []
    for name, fields in values:
        inner = {
            k: from_json(v) for k, v in fields.items() if isinstance(v, list | tuple)
        }
        found.append(LAYERS[name](**fields | inner))
    return tuple(found)


def with_shapes(
    layers: Sequence[Layer], image: Shape
) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Each layer, and the shapes of one image before and after it.

    In the order of the weights; the layers of a Residual come before it.
    """
    for layer in layers:
        if isinstance(layer, Residual):
            yield from with_shapes(layer.layers, image)
            yield from with_shapes(layer.shortcut, image)
        result = layer.result(image)
        yield layer, image, result
        image = result


def initial_weights(layers: Sequence[Layer], image: Shape) -> list[Array]:
    """float32: of each layer that has weights the weight and the bias, if it has one.

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
