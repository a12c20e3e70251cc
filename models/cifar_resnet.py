"""A residual network for CIFAR-10 that two CPU cores train in about half an hour.

32x32x3 -> conv 32 -> pool -> 16x16 -> conv 64, residual block -> pool -> 8x8 -> conv 128,
residual block -> pool -> 4x4 -> conv 256 -> pool over all 16 places -> dense -> 10: every
convolution is 3x3 without bias, followed by batch normalisation and ReLU; 0.9 million
parameters. No document describes it; it is what they lack: residual connections (He et
al. 2015, arXiv:1512.03385), batch normalisation with running statistics (Ioffe and
Szegedy 2015, arXiv:1502.03167), augmentation, and a learning rate that rises and falls in
one cycle (Smith 2018, arXiv:1803.09820).

Choices
- Pooling right after the first convolution: three quarters of the work would be at 32x32.
- The maximum over the last 16 places, and smoothed labels, as in David Page's fast ResNets.
"""

from functools import partial
from typing import ClassVar

import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor
from tinygrad_cnn.data import transforms


def convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 convolution of the same size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    """x + f(x), where f is two convolutions: f learns what x lacks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = convolution(channels, channels)
        self.conv2 = convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))


class CIFARResNet(nn.Module):
    """Images (N, in_channels, 32, 32) to one value for each class.

    width: the channels of the first convolution; the time grows with its square.
    """

    augmentation = transforms.Compose(
        [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    )
    transform = transforms.Compose(
        [
            transforms.ToTensor(),
            transforms.Normalize((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
        ]
    )
    loss = staticmethod(partial(F.cross_entropy, label_smoothing=0.1))
    defaults: ClassVar = {
        "epochs": 16,
        "batch_size": 128,
        "optimizer": "sgd",
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "scheduler": "onecycle",
    }

    def __init__(
        self, in_channels: int = 3, num_classes: int = 10, width: int = 32
    ) -> None:
        super().__init__()
        pool = nn.MaxPool2d(2)
        self.features = nn.Sequential(
            convolution(in_channels, width),
            pool,
            convolution(width, 2 * width),
            _Residual(2 * width),
            pool,
            convolution(2 * width, 4 * width),
            _Residual(4 * width),
            pool,
            convolution(4 * width, 8 * width),
            nn.MaxPool2d(4),
        )
        self.dense = nn.Linear(8 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.features(x).flatten(1))
