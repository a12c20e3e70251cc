"""The network of `patches`: one convolution, one max pooling, one softmax layer.

Its classes take the number of kernels, their size and the pooling size; which were used
is not said. Pixels are scaled to 0..1, and colour images become grey by the mean of their
channels ("Data Pipeline").

Deviations
- Batches and several channels, which the document gives up ("Limitations"): `grey=False`
  keeps the colours.
- The convolution has a bias: `back_prop` is said to compute its gradient.
- No activation between convolution and pooling, since none is named.
- `forward` returns the values before the softmax, which is a part of the loss.
- The initial values are PyTorch's; the document calls them random and says no more.
"""

from typing import ClassVar

import tinygrad_cnn.nn as nn
from tinygrad_cnn import Tensor
from tinygrad_cnn.data import transforms


class PatchesCNN(nn.Module):
    """Images (N, in_channels, H, W) to one value for each class.

    image_size: H and W in pixels, or one number for both. grey: take the mean of the
    channels first.
    """

    transform = transforms.ToTensor()
    defaults: ClassVar = {
        "epochs": 1,
        "batch_size": 32,
        "lr": 0.006,
        "scheduler": "onecycle",
    }

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int | tuple[int, int] = 28,
        num_classes: int = 10,
        kernels: int = 16,
        kernel_size: int = 3,
        pool_size: int = 2,
        grey: bool = True,
    ) -> None:
        super().__init__()
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
        height, width = [(n - kernel_size + 1) // pool_size for n in size]
        self.grey = grey
        self.conv = nn.Conv2d(1 if grey else in_channels, kernels, kernel_size)
        self.pool = nn.MaxPool2d(pool_size)
        self.dense = nn.Linear(kernels * height * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.grey:
            x = x.mean(dim=1, keepdim=True)
        x = self.pool(self.conv(x))
        return self.dense(x.flatten(1))
