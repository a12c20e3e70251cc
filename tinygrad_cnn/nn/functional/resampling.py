"""Images made larger or smaller, turned, and taken apart: no value is learned."""

from __future__ import annotations

import math
from typing import Any

from ...core.engine import Tensor
from ...core.methods.base import float_only
from ...errors import ArgumentError, ShapeError
from ...kernels import Window, pair
from ...kernels.geometry import several
from ...ops import convolution, resampling
from .convolution import Ints, make_batch
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

# ------------------------------------------------------------------ channels and pixels


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(…, C r², H, W) to (…, C, H r, W r): each r² channels become r × r pixels."""
    r = _factor(upscale_factor, "upscale_factor")
    *lead, c, h, w = _images(input, "pixel_shuffle")
    if c % (r * r):
        raise ShapeError(
            f"pixel_shuffle expects its input's channels to be divisible by {r}² = "
            f"{r * r}, got {c}"
        )
    parts = input.reshape(math.prod(lead), c // (r * r), r, r, h, w)
    y = parts.permute(0, 1, 4, 2, 5, 3).reshape(*lead, c // (r * r), h * r, w * r)
    return y.clone() if r == 1 else y  # else it is one


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(…, C, H r, W r) to (…, C r², H, W), undoing `pixel_shuffle`."""
    r = _factor(downscale_factor, "downscale_factor")
    *lead, c, h, w = _images(input, "pixel_unshuffle")
    if h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle by {r} of images {h}×{w}: {r} divides not both"
        )
    parts = input.reshape(math.prod(lead), c, h // r, r, w // r, r)
    y = parts.permute(0, 1, 3, 5, 2, 4).reshape(*lead, c * r * r, h // r, w // r)
    return y.clone() if r == 1 else y  # else it is one


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, …): the first channel of each group, then the second of each, and so on."""
    if input.ndim < 3:
        raise ShapeError(f"channel_shuffle takes (N, C, …), got {list(input.shape)}")
    if groups < 1 or input.shape[1] % groups:
        raise ArgumentError(
            f"{input.shape[1]} channels do not divide into {groups} groups"
        )
    n, c, *rest = input.shape
    parts = input.reshape(n, groups, c // groups, *rest)
    return parts.transpose(1, 2).reshape(input.shape)


def _factor(value: Any, name: str) -> int:
    (factor,) = several(value, 1, name)
    if factor < 1:
        raise ArgumentError(f"{name} must be at least 1, got {factor}")
    return factor


def _images(input: Tensor, name: str) -> tuple[int, ...]:
    if input.ndim < 3:
        raise ShapeError(f"{name} takes (…, C, H, W), got {list(input.shape)}")
    return tuple(input.shape)


# ---------------------------------------------------------------------- windows as columns


def unfold(
    input: Tensor,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Tensor:
    """The windows of images (N, C, H, W) as columns: (N, C k_y k_x, positions).

    See `ops.convolution.Unfold`.
    """
    input, single = make_batch(float_only(input, "unfold()"))
    window = _window(kernel_size, stride, padding, dilation)
    y = convolution.Unfold(window)(input).flatten(1, 3).flatten(2)
    return y.squeeze(0) if single else y


def fold(
    input: Tensor,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Tensor:
    """Columns (N, C k_y k_x, positions) added up to images (N, C, *output_size).

    See `ops.convolution.Fold`.
    """
    window = _window(kernel_size, stride, padding, dilation)
    size, taps = pair(output_size, "output_size"), math.prod(window.kernel)
    positions = window.output_size(size)
    if (
        input.ndim not in (2, 3)
        or input.shape[-2] % taps
        or input.shape[-1] != math.prod(positions)
    ):
        raise ShapeError(
            f"fold takes (N, C · {taps}, {math.prod(positions)}): {taps} taps, and the "
            f"positions {positions} of the window in {size}; got {list(input.shape)}"
        )
    single = input.ndim == 2
    channels = input.shape[-2] // taps
    parts = float_only(input, "fold()").reshape(
        -1, channels, *window.kernel, *positions
    )
    y: Tensor = convolution.Fold(window, size)(parts)
    return y.squeeze(0) if single else y


def _window(kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Window:
    size, steps = pair(kernel, "kernel_size"), pair(stride, "stride")
    return Window(size, steps, pair(padding, "padding"), pair(dilation, "dilation"))


# --------------------------------------------------------------------------- interpolation

_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_MODES = ("nearest", "nearest-exact", "area", *_AXES)
_AREA = adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Images (N, C, …) of `size`, or as many times as large as `scale_factor` says.

    mode: nearest, nearest-exact or area for 1 to 3 axes, linear for 1, bilinear or bicubic
    for 2, trilinear for 3. align_corners: the corner pixels' centres lie on each other, not
    the corners of the images. recompute_scale_factor: compute with the ratio of the sizes,
    not with the factor given. antialias is refused. See `ops.resampling.Resample`.
    """
    lengths = tuple(input.shape[2:])
    _check_mode(input, mode, align_corners, antialias)
    sizes, scales = _output_sizes(lengths, size, scale_factor)
    if recompute_scale_factor and size is not None:
        raise ArgumentError("recompute_scale_factor goes with scale_factor, not size")
    if recompute_scale_factor:
        scales = (None,) * len(lengths)
    if min(*lengths, *sizes) < 1 or 0 in input.shape[1:]:
        raise ShapeError(f"input and output need sizes above 0: {lengths} to {sizes}")
    if mode == "area":
        return _AREA[len(lengths) - 1](input, sizes)
    corners, images = bool(align_corners), len(lengths) == 2
    maps = [
        _map(mode, n, o, scale, corners, images)
        for n, o, scale in zip(lengths, sizes, scales, strict=True)
    ]
    float_only(input, "interpolate()")
    y: Tensor = resampling.Resample(tuple(maps), mode)(input)
    return y


def _map(
    mode: str, n: int, o: int, scale: float | None, corners: bool, images: bool
) -> resampling.Taps:
    if mode == "bicubic":
        return resampling.cubic(n, o, scale, corners)
    if mode == "nearest-exact":
        return resampling.nearest(n, o, scale, 0.5)
    # As in PyTorch, a factor that changes no length changes no value; and in images, by
    # one that doubles a length each value stands twice.
    if mode == "nearest":
        plain = images and o in (n, 2 * n)
        return resampling.nearest(n, o, None if plain else scale, 0.0)
    return resampling.linear(n, o, None if o == n else scale, corners)


def _check_mode(
    input: Tensor, mode: str, align_corners: bool | None, antialias: bool
) -> None:
    if mode not in _MODES:
        raise ArgumentError(f"unknown mode {mode!r}; one of {', '.join(_MODES)}")
    if antialias:
        raise ArgumentError("antialias is not here: average first, with mode='area'")
    if mode in _MODES[:3] and align_corners is not None:
        raise ArgumentError(
            "align_corners option can only be set with the interpolating modes: "
            + " | ".join(_AXES)
        )
    axes = _AXES.get(mode)
    if not 3 <= input.ndim <= 5 or axes not in (None, input.ndim - 2):
        wanted = f"{axes} axes" if axes else "1 to 3 axes"
        raise ShapeError(
            f"{mode} interpolation is of {wanted} after (N, C), got {list(input.shape)}"
        )


def _output_sizes(
    lengths: tuple[int, ...], size: Any, scale_factor: Any
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The sizes, and the factors to compute with, None being the ratio of the sizes."""
    if (size is None) == (scale_factor is None):
        raise ArgumentError("exactly one of size and scale_factor should be given")
    axes = len(lengths)
    if size is not None:
        return several(_per_axis(size, axes, "size"), axes, "size"), (None,) * axes
    scales = tuple(map(float, _per_axis(scale_factor, axes, "scale_factor")))
    sizes = [math.floor(n * scale) for n, scale in zip(lengths, scales, strict=True)]
    return tuple(sizes), scales


def _per_axis(value: Any, axes: int, name: str) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    if len(values) != axes:
        raise ArgumentError(
            f"the input has {axes} axes after (N, C), {name} {value} has {len(values)}"
        )
    return values


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate`, by its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)
