"""What is measured, by name: training steps, inference, and single operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .layers import (
    Array,
    BatchNorm,
    Conv,
    Flatten,
    Layer,
    Linear,
    LogSoftmax,
    Pool,
    Relu,
    Shape,
    initial_weights,
    with_shapes,
)

LEARNING_RATES = {"sgd": 0.01, "adam": 0.001}
MOMENTUM = 0.9
BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Of Adam."""
NORM_EPSILON, NORM_MOMENTUM = 1e-5, 0.1
"""Of batch normalisation."""

KINDS = {
    "training": "zero the gradients, forward, loss, backward, update of all weights",
    "inference": "forward without a graph, in evaluation mode",
    "operation": "forward, then the gradient of all inputs for a given gradient",
    "chain": "forward, then the gradient of both factors",
    "model": "the same as training, of a user's file",
}


@dataclass(frozen=True)
class Case:
    """One thing to measure; every peer builds it from this.

    kind: one of KINDS. image: the shape of one image. optimizer: sgd (momentum 0.9) or
    adam, of training. length: multiplications of a chain. options: of a user's model.
    """

    name: str
    kind: str
    what: str
    batch: int = 1
    image: Shape = ()
    layers: tuple[Layer, ...] = ()
    optimizer: str = "sgd"
    length: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def from_log_probabilities(self) -> bool:
        """Whether the loss is nll_loss, not cross_entropy: the layers end so."""
        return bool(self.layers) and isinstance(self.layers[-1], LogSoftmax)

    @property
    def output(self) -> Shape:
        """The shape of the result of one image."""
        return [after for _, _, after in with_shapes(self.layers, self.image)][-1]

    def weights(self) -> list[Array]:
        """The initial weights, float32; of a chain the factor, close to 1."""
        if self.kind == "chain":
            return [np.linspace(0.999, 1.001, self.image[0], dtype=np.float32)]
        return initial_weights(self.layers, self.image, seed=1)

    def images(self) -> Array:
        """float32 (batch, *image), normal: no two values of a pool are the same."""
        rng = np.random.default_rng(2)
        return rng.normal(size=(self.batch, *self.image)).astype(np.float32)

    def labels(self) -> Array:
        """int64 (batch,): a class for each image."""
        rng = np.random.default_rng(3)
        return rng.integers(0, self.output[0], self.batch)

    def gradient(self) -> Array:
        """float32 (batch, *output): ∂L/∂output, which an operation is given."""
        rng = np.random.default_rng(4)
        return rng.normal(size=(self.batch, *self.output)).astype(np.float32)


def lenet5(norm: bool = False) -> tuple[Layer, ...]:
    """`models/lenet5.py`, optionally with batch normalisation after each ReLU."""
    after = (BatchNorm(),) if norm else ()
    return (
        *(Conv(6, 5), Relu(), *after, Pool()),
        *(Conv(16, 5), Relu(), *after, Pool()),
        *(Flatten(), Linear(120), Relu(), *after, Linear(84), Relu(), *after),
        *(Linear(10), LogSoftmax()),
    )


MNIST_NET = (Conv(8, 3), Pool(), Flatten(), Linear(10))
"""`models/mnist_net.py`."""
NUMPY_CNN = (
    *(Conv(8, 5), Relu(), Conv(8, 5), Relu(), Pool()),
    *(Flatten(), Linear(128), Relu(), Linear(10)),
)
"""`models/numpy_cnn.py`."""
VGG: tuple[Layer, ...] = (
    *(*(Conv(32, 3, 1), Relu()) * 2, Pool()),
    *(*(Conv(64, 3, 1), Relu()) * 2, Pool()),
    *(*(Conv(128, 3, 1), Relu()) * 2, Pool()),
    *(Flatten(), Linear(10)),
)
"""Pairs of 3x3 convolutions that keep the size, as in VGG, for CIFAR-10."""

GREY, SMALL, COLOUR = (1, 32, 32), (1, 28, 28), (3, 32, 32)


def _network(
    name: str, what: str, image: Shape, layers: tuple[Layer, ...], **more: Any
) -> Case:
    kind = "inference" if "inference" in name else "training"
    batch = int(name.rpartition("-b")[2])
    return Case(name, kind, f"{what}, batch {batch}", batch, image, layers, **more)


def _operation(name: str, what: str, image: Shape, layer: Layer) -> Case:
    return Case(name, "operation", f"{what}, batch 64", 64, image, (layer,))


CASES = {
    case.name: case
    for case in (
        _network("lenet5-b64", "LeNet-5 on 1x32x32", GREY, lenet5()),
        _network("lenet5-colour-b64", "LeNet-5 on 3x32x32", COLOUR, lenet5()),
        _network("mnist-net-b64", "the MNIST net on 1x28x28", SMALL, MNIST_NET),
        _network("numpy-cnn-b64", "the Numpy-CNN on 1x28x28", SMALL, NUMPY_CNN),
        _network("numpy-cnn-b256", "the Numpy-CNN on 1x28x28", SMALL, NUMPY_CNN),
        _network("lenet5-b1", "LeNet-5 on 1x32x32", GREY, lenet5()),
        _network("lenet5-inference-b1", "LeNet-5 on 1x32x32", GREY, lenet5()),
        _network("lenet5-inference-b256", "LeNet-5 on 1x32x32", GREY, lenet5()),
        _network(
            "lenet5-batchnorm-adam-b64",
            "LeNet-5 on 1x32x32 with batch normalisation and Adam",
            *(GREY, lenet5(norm=True)),
            optimizer="adam",
        ),
        _network("vgg-b64", "a VGG-style net on 3x32x32", COLOUR, VGG),
        Case(
            *("multiply-1000", "chain", "1,000 multiplications of 10 numbers"),
            image=(10,),
            length=1000,
        ),
        _operation("conv2d", "conv 6@5x5 on 1x32x32", GREY, Conv(6, 5)),
        _operation("conv2d-deep", "conv 16@5x5 on 6x14x14", (6, 14, 14), Conv(16, 5)),
        _operation("max-pool2d", "max pool 2 on 6x28x28", (6, 28, 28), Pool()),
        _operation("relu", "ReLU on 6x28x28", (6, 28, 28), Relu()),
        _operation("linear", "dense 400 to 120", (400,), Linear(120)),
        _operation("log-softmax-nll", "log-softmax and its loss", (10,), LogSoftmax()),
        _operation("batch-norm", "batch norm of 6x28x28", (6, 28, 28), BatchNorm()),
    )
}
"""Every case by its name."""

GROUPS = {
    "all": list(CASES),
    "networks": [n for n, c in CASES.items() if c.layers and c.kind != "operation"],
    "training": [n for n, c in CASES.items() if c.kind == "training"],
    "inference": [n for n, c in CASES.items() if c.kind == "inference"],
    "operations": [n for n, c in CASES.items() if c.kind in ("operation", "chain")],
}
"""Names that stand for several cases."""


def chosen(names: Sequence[str]) -> list[Case]:
    """The cases, and those of the groups, of these names, each once, in order.

    Raises ArgumentError for a name that is neither.
    """
    found: dict[str, Case] = {}
    for name in names:
        if name not in CASES and name not in GROUPS:
            raise ArgumentError(
                f"there is no case {name!r}; the cases are {', '.join(CASES)}, "
                f"and the groups {', '.join(GROUPS)}"
            )
        found |= {each: CASES[each] for each in GROUPS.get(name, [name])}
    return list(found.values())
