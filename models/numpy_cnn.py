"""The network of `numpy-cnn` §3: conv 8@5x5, conv 8@5x5, max pool 2, dense 128, dense 10.

28x28 -> 24x24x8 -> 20x20x8 -> pool with stride 2 -> 10x10x8 -> 128 -> 10; ReLU after
every layer but the last, no padding.

Deviations
- `forward` returns the values before the softmax; the softmax, eq. (4), is a part of the
  loss, eq. (5). The loss is the mean over the batch, not the sum.
- The bias is added once per output cell; eq. (13) and (20) have it inside the sum.
- The document says nothing of scaling; here x / 255 - 0.5.
- It prints no initial values. `document_init` takes those of the public network that it
  describes, A. Escontrela's Numpy-CNN.
"""

from typing import ClassVar

import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor
from tinygrad_cnn.data import transforms


class NumpyCNN(nn.Module):
    """Grey or colour images of `image_size` squared pixels to one value for each class.

    document_init: filters normal / sqrt(inputs of a cell), dense weights normal / 100,
    biases zero; otherwise PyTorch's.
    """

    transform = transforms.Scale(1 / 255, -0.5)
    defaults: ClassVar = {"epochs": 10, "lr": 0.004, "scheduler": "onecycle"}

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        document_init: bool = False,
    ) -> None:
        super().__init__()
        side = (image_size - 8) // 2
        self.conv1 = nn.Conv2d(in_channels, 8, kernel_size=5)
        self.conv2 = nn.Conv2d(8, 8, kernel_size=5)
        self.dense1 = nn.Linear(8 * side * side, 128)
        self.dense2 = nn.Linear(128, num_classes)
        if document_init:
            nn.init.normal_(self.conv1.weight, std=(in_channels * 25) ** -0.5)
            nn.init.normal_(self.conv2.weight, std=(8 * 25) ** -0.5)
            nn.init.normal_(self.dense1.weight, std=0.01)
            nn.init.normal_(self.dense2.weight, std=0.01)
            for layer in self.children():
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, kernel_size=2, stride=2)
        x = F.relu(self.dense1(x.flatten(1)))
        return self.dense2(x)
