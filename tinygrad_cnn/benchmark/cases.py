"""What is measured, by name: training steps, inference, and single operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .layers import (
    Array,
    Average,
    BatchNorm,
    Conv,
    Flatten,
    Layer,
    Linear,
    LogSoftmax,
    Pool,
    Relu,
    Residual,
    Shape,
    from_json,
    initial_weights,
    to_json,
    with_shapes,
)

LEARNING_RATES = {"sgd": 0.01, "adam": 0.001}
MOMENTUM = 0.9
BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Of Adam."""


@dataclass(frozen=True)
class Case:
    """One thing to measure; every peer builds it from this.

    kind:
        training    zero the gradients, forward, loss, backward, update of all weights
        inference   forward without a graph, in evaluation mode
        operation   forward, then the gradient of all inputs for a given gradient
        chain       forward, then the gradient of both factors
        model       the same as training, of a user's file

    image: the shape of one image. optimizer: sgd (momentum 0.9) or adam, of training.
    rate: its learning rate; by default that of LEARNING_RATES. tolerance: how far arrays
    may be apart, by default as `checking` has it.
    epoch: so many batches, of uint8 images, come one after the other through a DataLoader,
    in a random order that is the same each time; 0: the batch is in memory.
    length: multiplications of a chain. options: of a user's model.
    """

    name: str
    kind: str
    what: str
    batch: int = 1
    image: Shape = ()
    layers: tuple[Layer, ...] = ()
    optimizer: str = "sgd"
    rate: float | None = None
    tolerance: float | None = None
    epoch: int = 0
    length: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def learning_rate(self) -> float:
        """Of training."""
        return self.rate or LEARNING_RATES[self.optimizer]

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
        return initial_weights(self.layers, self.image)

    def images(self) -> Array:
        """float32 (batch, *image), normal: no two values of a pool are the same."""
        rng = np.random.default_rng(2)
        return rng.normal(size=(self.batch, *self.image)).astype(np.float32)

    def labels(self) -> Array:
        """int64 (batch,): a class for each image."""
        rng = np.random.default_rng(3)
        return rng.integers(0, self.output[0], self.batch)

    def epoch_data(self) -> tuple[Array, Array, list[int]]:
        """uint8 images, int64 labels, and the order in which all of them are taken."""
        rng, count = np.random.default_rng(5), self.batch * self.epoch
        images = rng.integers(0, 256, (count, *self.image), np.uint8)
        labels = rng.integers(0, self.output[0], count)
        return images, labels, rng.permutation(count).tolist()

    def gradient(self) -> Array:
        """float32 (batch, *output): ∂L/∂output, which an operation is given."""
        if self.kind == "chain":
            return np.ones((self.batch, *self.image), np.float32)
        rng = np.random.default_rng(4)
        return rng.normal(size=(self.batch, *self.output)).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return vars(self) | {"layers": to_json(self.layers)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Case:
        """The case that `to_json` made these of."""
        layers, image = from_json(values["layers"]), tuple(values["image"])
        return cls(**values | {"layers": layers, "image": image})


def multiply_adds(case: Case) -> int:
    """The multiply-adds of one step on the whole batch.

    Going back, each layer needs as many again for the gradient of its weight, and as
    many for that of its input. Images need no gradient, so the first layer of a network
    has only the former; an operation alone is asked for all its gradients. A chain
    multiplies once per number forward and twice back, and adds one of its gradients up.
    Products with the zeros of a padding count; biases, pooling, activations and
    normalisation, which no matrix product computes, do not.
    """
    if case.kind == "chain":
        return 3 * case.length * case.batch * math.prod(case.image)
    counts = []  # forward, of one image: each result meets the inputs of its cell
    for layer, before, after in with_shapes(case.layers, case.image):
        if isinstance(layer, Conv | Linear):
            _, *inputs = layer.weights(before)[0]
            counts.append(math.prod(after) * math.prod(inputs))
    total = sum(counts)
    if case.kind != "inference":
        total *= 3
    if case.kind == "training":
        total -= counts[0]
    return total * case.batch


def lenet5(norm: bool = False) -> tuple[Layer, ...]:
    """`models/lenet5.py`, optionally with batch normalisation after each ReLU."""
    relu = (Relu(), BatchNorm()) if norm else (Relu(),)
    first, second = (Conv(6, 5), *relu, Pool()), (Conv(16, 5), *relu, Pool())
    dense = (Flatten(), Linear(120), *relu, Linear(84), *relu, Linear(10))
    return (*first, *second, *dense, LogSoftmax())


MNIST_NET = (Conv(8, 3), Pool(), Flatten(), Linear(10))
"""`models/mnist_net.py`."""
_CONVOLUTIONS = (Conv(8, 5), Relu(), Conv(8, 5), Relu(), Pool())
NUMPY_CNN = (*_CONVOLUTIONS, Flatten(), Linear(128), Relu(), Linear(10))
"""`models/numpy_cnn.py`."""


def vgg() -> tuple[Layer, ...]:
    """Pairs of 3x3 convolutions that keep the size, as in VGG, for CIFAR-10."""
    layers: list[Layer] = []
    for channels in (32, 64, 128):
        layers += [Conv(channels, 3, 1), Relu(), Conv(channels, 3, 1), Relu(), Pool()]
    return (*layers, Flatten(), Linear(10))


def normed(out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[Layer]:
    """A convolution that keeps the size (at stride 1), and batch normalisation."""
    return [Conv(out, kernel, kernel // 2, stride, groups, bias=False), BatchNorm()]


def resnet18() -> tuple[Layer, ...]:
    """ResNet-18 in its form for CIFAR-10: the first convolution 3x3, and no pooling."""
    layers: list[Layer] = [*normed(64, 3), Relu()]
    before = 64
    for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for step in (stride, 1):
            inner = [*normed(out, 3, step), Relu(), *normed(out, 3)]
            shortcut = normed(out, 1, step) if (before, 1) != (out, step) else []
            layers += [Residual(tuple(inner), tuple(shortcut)), Relu()]
            before = out
    return (*layers, Average(), Flatten(), Linear(10))


def depthwise() -> tuple[Layer, ...]:
    """The first blocks of MobileNetV2 for small images, with ReLU.

    A block widens by a 1x1 convolution, lets each channel meet its neighbours by a
    depthwise 3x3, and narrows again by a 1x1.
    """
    layers: list[Layer] = [*normed(32, 3), Relu()]
    before = 32
    blocks = ((1, 16, 1), (6, 24, 2), (6, 24, 1), (6, 32, 2), (6, 32, 1), (6, 64, 2))
    for wider, out, stride in blocks:
        wide = wider * before
        block = [*normed(wide, 1), Relu()] if wider > 1 else []
        block += [*normed(wide, 3, stride, groups=wide), Relu(), *normed(out, 1)]
        layers += [Residual(tuple(block))] if (before, 1) == (out, stride) else block
        before = out
    return (*layers, *normed(128, 1), Relu(), Average(), Flatten(), Linear(10))


GREY, SMALL, COLOUR = (1, 32, 32), (1, 28, 28), (3, 32, 32)


def _network(
    name: str, what: str, image: Shape, layers: tuple[Layer, ...], **more: Any
) -> Case:
    kind = "inference" if "inference" in name else "training"
    batch = int(name.rpartition("-b")[2])
    return Case(name, kind, f"{what}, batch {batch}", batch, image, layers, **more)


def _operation(name: str, what: str, image: Shape, layer: Layer) -> Case:
    return Case(name, "operation", f"{what}, batch 64", 64, image, (layer,))


LENET5, NUMPYS = "LeNet-5 on 1x32x32", "the Numpy-CNN on 1x28x28"
NORMED = f"{LENET5} with batch normalisation and Adam"
DEPTHWISE = "a net of depthwise-separable convolutions on 3x32x32"
PRODUCTS = "1,000 multiplications of 10 numbers"

CASES = {
    case.name: case
    for case in (
        _network("lenet5-b64", LENET5, GREY, lenet5()),
        _network(
            "lenet5-epoch-b64", f"{LENET5} from a loader", GREY, lenet5(), epoch=64
        ),
        _network("lenet5-colour-b64", "LeNet-5 on 3x32x32", COLOUR, lenet5()),
        _network("mnist-net-b64", "the MNIST net on 1x28x28", SMALL, MNIST_NET),
        _network("numpy-cnn-b64", NUMPYS, SMALL, NUMPY_CNN),
        _network("numpy-cnn-b256", NUMPYS, SMALL, NUMPY_CNN),
        _network("lenet5-b1", LENET5, GREY, lenet5()),
        _network("lenet5-inference-b1", LENET5, GREY, lenet5()),
        _network("lenet5-inference-b256", LENET5, GREY, lenet5()),
        _network(
            "lenet5-batchnorm-adam-b64", NORMED, GREY, lenet5(True), optimizer="adam"
        ),
        _network("vgg-b64", "a VGG-style net on 3x32x32", COLOUR, vgg()),
        _network(
            "resnet18-b32",
            "ResNet-18 on 3x32x32",
            COLOUR,
            resnet18(),
            # Of its ReLUs some stand so near 0 that rounding decides, and one of these
            # changes a gradient by up to 0.4 %: after three steps at the usual rate PyTorch
            # in float32 is 1.5 % away from PyTorch in float64.
            rate=0.0003,
            tolerance=0.03,
        ),
        # The same here, at the usual rate.
        _network("depthwise-b64", DEPTHWISE, COLOUR, depthwise(), tolerance=0.03),
        Case("multiply-1000", "chain", PRODUCTS, image=(10,), length=1000),
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


def choose_cases(names: Sequence[str]) -> list[Case]:
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
