"""The MNIST net of `day2` and `day3`: conv 8@3x3, max pool 2, softmax layer of 10.

28x28 -> conv -> 26x26x8 -> pool -> 13x13x8 -> dense -> 10 (`day3` §2). Pixels are scaled
to x / 255 - 0.5, as there.

Deviations
- The filters have a bias: the text of `day2` §3 adds one, its listing does not. It starts
  at zero with `document_init`, so that the untrained net is the listing's exactly;
  `bias=False` gives the listing also when trained.
- `forward` returns the totals before the softmax; the softmax is a part of the loss, which
  is computed from the totals without overflow. The loss is -ln p_c all the same.
- The documents stop before the weights are updated; `defaults` are ours.
"""

from typing import ClassVar

import tinygrad_cnn.nn as nn
from tinygrad_cnn import Tensor
from tinygrad_cnn.data import transforms


class MNISTNet(nn.Module):
    """Grey or colour images of `image_size` squared pixels to one total for each class.

    document_init: filters normal / 9, dense weights normal / inputs, biases zero (`day2`
    §3.1, `day3` §1.1), which generalise better than PyTorch's, to be had with False.
    """

    transform = transforms.Scale(1 / 255, -0.5)
    defaults: ClassVar = {
        "epochs": 3,
        "batch_size": 16,
        "lr": 0.006,
        "scheduler": "onecycle",
    }

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        bias: bool = True,
        document_init: bool = True,
    ) -> None:
        super().__init__()
        side = (image_size - 2) // 2
        self.conv = nn.Conv2d(in_channels, 8, kernel_size=3, bias=bias)
        self.pool = nn.MaxPool2d(2)
        self.dense = nn.Linear(8 * side * side, num_classes)
        if document_init:
            nn.init.normal_(self.conv.weight, std=1 / 9)
            nn.init.normal_(self.dense.weight, std=1 / self.dense.in_features)
            nn.init.zeros_(self.dense.bias)
            if bias:
                nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.conv(x))
        return self.dense(x.flatten(1))
