"""The MNIST net with a ReLU written by hand, whose backward pass forgets the mask."""

import tinygrad_cnn.nn as nn
from tinygrad_cnn import Tensor
from tinygrad_cnn.autograd import Function


class ForgetfulReLU(Function):
    """y = max(0, x). The gradient is passed on as if it were y = x."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.relu()

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:
        return g


class BrokenNet(nn.Module):
    """Grey images of 28 × 28 pixels to one total for each class."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, kernel_size=3)
        self.pool = nn.MaxPool2d(2)
        self.dense = nn.Linear(8 * 13 * 13, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = ForgetfulReLU.apply(self.conv(x))
        return self.dense(self.pool(x).flatten(1))
