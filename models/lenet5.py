"""LeNet-5 of `lenet` §2.1: ReLU, max pooling, log-softmax, for 1 or 3 channels.

32x32 -> conv 6@5x5 -> 28x28x6 -> pool -> 14x14x6 -> conv 16@5x5 -> 10x10x16 -> pool
-> 5x5x16 = 400 -> 120 -> 84 -> 10, which are 61,706 parameters for one channel. Images are
resized to 32x32 and scaled to -1..1, as in the listings data_loader.py and LeNet.py.

Deviations
- MNIST stays grey, as in §6.2; the listing repeats it to three channels.
- `batch_norm` (§6.1) comes after the ReLU, where the listing has it, but normalises each
  channel over batch and pixels, with scale and shift, and with running statistics in eval.
- `document_init` follows the listings (normal / 100, biases zero); §2.2.1 has uniform / 25
  and biases one. No clipping; no stop at 95 % unless told (--stop-at 0.95).
"""

from typing import ClassVar

import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor
from tinygrad_cnn.data import transforms


class LeNet5(nn.Module):
    """Images (N, in_channels, 32, 32) to log-probabilities (N, num_classes)."""

    resize, scale = transforms.Resize((32, 32)), transforms.Scale(2 / 255, -1)
    transform = transforms.Compose([resize, scale])
    loss = staticmethod(F.nll_loss)
    defaults: ClassVar = {"epochs": 10, "lr": 0.004, "scheduler": "onecycle"}

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 10,
        batch_norm: bool = False,
        document_init: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, kernel_size=5)
        self.norm1 = nn.BatchNorm2d(6) if batch_norm else nn.Identity()
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.norm2 = nn.BatchNorm2d(16) if batch_norm else nn.Identity()
        self.dense1 = nn.Linear(400, 120)
        self.norm3 = nn.BatchNorm1d(120) if batch_norm else nn.Identity()
        self.dense2 = nn.Linear(120, 84)
        self.norm4 = nn.BatchNorm1d(84) if batch_norm else nn.Identity()
        self.dense3 = nn.Linear(84, num_classes)
        if document_init:
            for layer in self.children():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    nn.init.normal_(layer.weight, std=0.01)
                    nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.norm1(F.relu(self.conv1(x))), 2)
        x = F.max_pool2d(self.norm2(F.relu(self.conv2(x))), 2)
        x = self.norm3(F.relu(self.dense1(x.flatten(1))))
        x = self.norm4(F.relu(self.dense2(x)))
        return F.log_softmax(self.dense3(x), dim=1)
