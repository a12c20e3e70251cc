"""Pooling layers, channel by channel: images (N, C, H, W), sequences (N, C, L), volumes
(N, C, D, H, W), or one of them without N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

from ..core.engine import Tensor
from ..kernels.geometry import several
from . import functional as F
from .layer import FunctionLayer, Ints


class _Pool(FunctionLayer):
    kernel_size: Ints
    stride: Ints | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride is None:
            self.stride = self.kernel_size


class _MaxPool(_Pool):
    padding: Ints = 0
    dilation: Ints = 1
    return_indices: bool = field(default=False, repr=False)
    ceil_mode: bool = False


class MaxPool1d(_MaxPool, function=F.max_pool1d):
    """MaxPool2d of sequences (N, C, L)."""


class MaxPool2d(_MaxPool, function=F.max_pool2d):
    """The maximum of each window, padded with −∞; stride None is kernel_size.

    Of equal maxima the first in row-major order counts. ceil_mode: windows may overhang.
    return_indices: (maxima, their places). See `ops.pooling.MaxPool2d`.
    """


class MaxPool3d(_MaxPool, function=F.max_pool3d):
    """MaxPool2d of volumes (N, C, D, H, W)."""


class AvgPool1d(_Pool, function=F.avg_pool1d):
    """AvgPool2d of sequences (N, C, L)."""

    padding: Ints = 0
    ceil_mode: bool = field(default=False, repr=False)
    count_include_pad: bool = field(default=True, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernel_size", "stride", "padding"):
            setattr(self, name, several(getattr(self, name), 1, name))


class AvgPool2d(_Pool, function=F.avg_pool2d):
    """The mean of each window; stride None is kernel_size. See `ops.pooling.SumPool2d`.

    count_include_pad: padding counts as zeros. divisor_override: instead of the count.
    """

    padding: Ints = 0
    ceil_mode: bool = field(default=False, repr=False)
    count_include_pad: bool = field(default=True, repr=False)
    divisor_override: int | None = field(default=None, repr=False)


class AvgPool3d(AvgPool2d, function=F.avg_pool3d):
    """AvgPool2d of volumes (N, C, D, H, W)."""


class _LPPool(FunctionLayer):
    norm_type: float
    kernel_size: Ints
    stride: Ints | None = None
    ceil_mode: bool = False


class LPPool1d(_LPPool, function=F.lp_pool1d):
    """LPPool2d of sequences (N, C, L)."""


class LPPool2d(_LPPool, function=F.lp_pool2d):
    """The p-th root of the sum of x^p in each window, p being norm_type."""


class _MaxUnpool(FunctionLayer):
    kernel_size: Ints
    stride: Ints | None = None
    padding: Ints = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride is None:
            self.stride = self.kernel_size
        axes = 1 if self._function is F.max_unpool1d else 2
        for name in self._options:
            setattr(self, name, several(getattr(self, name), axes, name))

    def forward(  # type: ignore[override]  # of two inputs
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        window = self.kernel_size, self.stride, self.padding
        return self._function(input, indices, *window, output_size)


class MaxUnpool1d(_MaxUnpool, function=F.max_unpool1d):
    """MaxUnpool2d of sequences (N, C, L)."""


class MaxUnpool2d(_MaxUnpool, function=F.max_unpool2d):
    """Maxima put back where they stood, by the indices of MaxPool2d; 0 elsewhere."""


class _Adaptive(FunctionLayer):
    output_size: Any


class AdaptiveAvgPool1d(_Adaptive, function=F.adaptive_avg_pool1d):
    """AdaptiveAvgPool2d of sequences (N, C, L)."""


class AdaptiveAvgPool2d(_Adaptive, function=F.adaptive_avg_pool2d):
    """The means over output_size windows that cover the image, whatever its size.

    output_size: an int or a pair; None keeps a length. See `F.adaptive_avg_pool2d`.
    """


class AdaptiveAvgPool3d(_Adaptive, function=F.adaptive_avg_pool3d):
    """AdaptiveAvgPool2d of volumes (N, C, D, H, W)."""


class _AdaptiveMax(_Adaptive):
    return_indices: bool = field(default=False, repr=False)


class AdaptiveMaxPool1d(_AdaptiveMax, function=F.adaptive_max_pool1d):
    """AdaptiveMaxPool2d of sequences (N, C, L)."""


class AdaptiveMaxPool2d(_AdaptiveMax, function=F.adaptive_max_pool2d):
    """The maxima over output_size windows that cover the image, whatever its size.

    return_indices: (maxima, their places).
    """


class AdaptiveMaxPool3d(_AdaptiveMax, function=F.adaptive_max_pool3d):
    """AdaptiveMaxPool2d of volumes (N, C, D, H, W)."""
