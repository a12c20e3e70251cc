"""Layers that make images larger or smaller, or take them apart, without parameters."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from . import functional as F
from .layer import FunctionLayer, Ints


class PixelShuffle(FunctionLayer, function=F.pixel_shuffle):
    """(…, C r², H, W) to (…, C, H r, W r) for r = upscale_factor."""

    upscale_factor: int


class PixelUnshuffle(FunctionLayer, function=F.pixel_unshuffle):
    """(…, C, H r, W r) to (…, C r², H, W) for r = downscale_factor."""

    downscale_factor: int


class ChannelShuffle(FunctionLayer, function=F.channel_shuffle):
    """(N, C, …): the first channel of each group, then the second of each, and so on."""

    groups: int


class Unfold(FunctionLayer, function=F.unfold):
    """The windows of images as columns (N, C k_y k_x, positions). See `F.unfold`."""

    kernel_size: Ints
    dilation: Ints = 1
    padding: Ints = 0
    stride: Ints = 1


class Fold(FunctionLayer, function=F.fold):
    """Columns (N, C k_y k_x, positions) added up to images. See `F.fold`."""

    output_size: Ints
    kernel_size: Ints
    dilation: Ints = 1
    padding: Ints = 0
    stride: Ints = 1


class Upsample(FunctionLayer, function=F.interpolate):
    """Images (N, C, …) of `size`, or scale_factor times as large. See `F.interpolate`."""

    size: Any = None
    scale_factor: Any = None
    mode: str = "nearest"
    align_corners: bool | None = field(default=None, repr=False)
    recompute_scale_factor: bool | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        scale = self.scale_factor
        if isinstance(scale, tuple | list):
            self.scale_factor = tuple(map(float, scale))
        elif scale is not None:
            self.scale_factor = float(scale)

    def extra_repr(self) -> str:
        by = "size" if self.scale_factor is None else "scale_factor"
        return f"{by}={getattr(self, by)}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Upsample in the mode nearest."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        Upsample.__init__(self, size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """Upsample in the mode bilinear, corners upon corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        Upsample.__init__(self, size, scale_factor, "bilinear", True)
