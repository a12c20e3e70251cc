"""Many images as one picture, under the names of `torchvision.utils`."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..core.methods.shape import cat, stack
from ..core.recording import no_grad
from ..errors import ArgumentError, ShapeError
from ..output.files import replacing
from ..output.png import png


@no_grad()
def make_grid(
    tensor: Tensor | Sequence[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images (N, C, H, W), or a list of (C, H, W), in rows of `nrow`: one (3, …) picture.

    Grey images get three channels. normalize: from value_range (by default from the least
    to the largest value, of each image with scale_each) to 0 … 1. padding: pixels of
    pad_value between images.
    """
    images = stack(list(tensor)) if isinstance(tensor, list | tuple) else tensor
    images = images[(None,) * (4 - images.ndim)]  # type: ignore[union-attr, index]
    if images.ndim != 4:
        raise ShapeError(
            f"make_grid takes images (N, C, H, W), got {list(images.shape)}"
        )
    if images.shape[1] == 1:
        images = cat([images] * 3, 1)
    if normalize:
        parts = list(images) if scale_each else [images]
        scaled = [_to_unit_range(part, value_range) for part in parts]
        images = stack(scaled) if scale_each else scaled[0]
    if len(images) == 1:
        return images.squeeze(0)
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    h, w = height + padding, width + padding
    size = channels, h * math.ceil(count / columns) + padding, w * columns + padding
    grid = np.full(size, pad_value, images.dtype)
    for k, image in enumerate(images.numpy()):
        top, left = k // columns * h + padding, k % columns * w + padding
        grid[:, top : top + height, left : left + width] = image
    return Tensor._wrap(grid)


def _to_unit_range(images: Tensor, limits: tuple[float, float] | None) -> Tensor:
    low, high = limits or (images.min().item(), images.max().item())
    return (images.clamp(low, high) - low) / max(high - low, 1e-5)


@no_grad()
def save_image(
    tensor: Tensor | Sequence[Tensor],
    fp: str | os.PathLike[str],
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Write `make_grid(tensor, **kwargs)`, values of 0 … 1, to a PNG file.

    Raises ArgumentError for another kind of file.
    """
    kind = format or os.path.splitext(fp)[1].removeprefix(".")
    if kind.lower() != "png":
        raise ArgumentError(
            f"save_image writes PNG files, not {kind or 'this one'}: {fp}"
        )
    grid = make_grid(tensor, **kwargs).numpy()
    pixels = np.clip(grid * 255 + 0.5, 0, 255).astype(np.uint8)
    with replacing(fp) as file:
        file.write(png(np.moveaxis(pixels, 0, -1)))
