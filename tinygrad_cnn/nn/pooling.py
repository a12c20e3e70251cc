"""Pooling of images (N, C, H, W) or (C, H, W), channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..engine import Tensor
from . import functional as F
from .layer import Layer

Ints = int | Sequence[int]


class _Pool(Layer):
    kernel_size: Ints
    stride: Ints | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride is None:
            self.stride = self.kernel_size


@dataclass(eq=False, repr=False)
class MaxPool2d(_Pool):
    """The maximum of each window, padded with −∞; stride None is kernel_size.

    Of equal maxima the first in row-major order counts. ceil_mode: windows may overhang.
    return_indices: (maxima, their places). See `ops.pooling.MaxPool2d`.
    """

    kernel_size: Ints
    stride: Ints | None = None
    padding: Ints = 0
    dilation: Ints = 1
    return_indices: bool = field(default=False, repr=False)
    ceil_mode: bool = False

    def forward(self, input: Tensor) -> Any:
        window = (self.kernel_size, self.stride, self.padding, self.dilation)
        return F.max_pool2d(input, *window, self.ceil_mode, self.return_indices)


@dataclass(eq=False, repr=False)
class AvgPool2d(_Pool):
    """The mean of each window; stride None is kernel_size. See `ops.pooling.SumPool2d`.

    count_include_pad: padding counts as zeros. divisor_override: instead of the count.
    """

    kernel_size: Ints
    stride: Ints | None = None
    padding: Ints = 0
    ceil_mode: bool = field(default=False, repr=False)
    count_include_pad: bool = field(default=True, repr=False)
    divisor_override: int | None = field(default=None, repr=False)

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            *(input, self.kernel_size, self.stride, self.padding, self.ceil_mode),
            *(self.count_include_pad, self.divisor_override),
        )


@dataclass(eq=False, repr=False)
class AdaptiveAvgPool2d(Layer):
    """The means over output_size windows that cover the image, whatever its size.

    output_size: an int or a pair; None keeps a length. See `F.adaptive_avg_pool2d`.
    """

    output_size: Any

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)
