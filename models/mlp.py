"""The multi-layer perceptron of `numpy-cnn` §1: X' = phi(W X + b), layer after layer.

The image is flattened to a vector (§2); phi is the sigmoid, eq. (3), the arctangent or
the ReLU (§1.3), or tanh, as in `lenet`.

Deviations
- The sizes of the hidden layers, which the document leaves open, are `hidden`.
- `forward` returns the values before the softmax; the softmax, eq. (4), is a part of the
  loss, eq. (5). The loss is the mean over the batch, not the sum of §1.4.
- The document gives no scaling (here x / 255 - 0.5) and no initial values (PyTorch's).
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import tinygrad_cnn
import tinygrad_cnn.nn as nn
from tinygrad_cnn import Tensor
from tinygrad_cnn.data import transforms

ACTIVATIONS = ("relu", "sigmoid", "atan", "tanh")


class MLP(nn.Module):
    """Images (N, in_channels, H, W) to one value for each class.

    image_size: H and W in pixels, or one number for both. hidden: the size of the hidden
    layer, or the sizes of several. activation: relu, sigmoid, atan or tanh.
    """

    transform = transforms.Scale(1 / 255, -0.5)
    defaults: ClassVar = {"epochs": 10, "lr": 0.002, "scheduler": "onecycle"}

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int | tuple[int, int] = 28,
        num_classes: int = 10,
        hidden: int | Sequence[int] = (128, 64),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation {activation!r} is none of {ACTIVATIONS}")
        self.activation = getattr(tinygrad_cnn, activation)
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
        hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        sizes = (in_channels * math.prod(size), *hidden, num_classes)
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)
