"""Pooling, channel by channel: of images (N, C, H, W), of sequences (N, C, L), of volumes
(N, C, D, H, W); or of one of them, without N.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...core.engine import Tensor
from ...core.methods.base import float_only, raw
from ...errors import ArgumentError, DTypeError, ShapeError
from ...kernels import Window, pair
from ...kernels.geometry import several
from ...ops import pooling, resampling, shape
from .convolution import Ints, in_row, make_batch


def max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The maximum of each window of images (N, C, H, W) or (C, H, W); padded with −∞.

    stride None: the kernel size. return_indices: a pair of Tensors instead, the maxima and
    where each stood, as its row-major place in the H × W input.
    See `ops.pooling.MaxPool2d`.
    """
    window = _pooling_window(kernel_size, stride, padding, dilation)
    input, single = make_batch(input)
    y = pooling.MaxPool2d(window, ceil_mode)(input)
    if single:
        y = y.squeeze(0)
    if not return_indices:
        return y
    places = _find_maxima(input, window, ceil_mode)
    # Declared as a Tensor: for a type checker, either can be unpacked into two Tensors.
    both: Any = y, Tensor._wrap(places[0] if single else places)
    return both


def _pooling_window(
    kernel: Ints, stride: Ints | None, padding: Ints, dilation: Ints
) -> Window:
    size, around = pair(kernel, "kernel_size"), pair(padding, "padding")
    steps = size if stride is None or stride == () else pair(stride, "stride")
    if 2 * around[0] > size[0] or 2 * around[1] > size[1]:
        raise ArgumentError(
            f"pad should be at most half of effective kernel size, but got pad={around} "
            f"and kernel_size={size}"
        )
    return _window(size, steps, around, pair(dilation, "dilation"))


_window = lru_cache(Window)  # making and checking one takes longer than finding it


def _find_maxima(
    input: Tensor, window: Window, ceil_mode: bool
) -> np.ndarray[Any, Any]:
    _, tap = pooling.MaxPool2d(window, ceil_mode).forward(input._array)
    u, v = np.divmod(tap.astype(np.int64), window.kernel[1])
    i, j = np.ogrid[: tap.shape[2], : tap.shape[3]]
    rows = window.stride[0] * i + window.dilation[0] * u - window.padding[0]
    columns = window.stride[1] * j + window.dilation[1] * v - window.padding[1]
    places: np.ndarray[Any, Any] = rows * input.shape[3] + columns
    return places


def avg_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window; padding counts as zeros unless count_include_pad=False."""
    window = _pooling_window(kernel_size, stride, padding, 1)
    input, single = make_batch(float_only(input, "avg_pool2d()"))
    y = pooling.SumPool2d(window, ceil_mode)(input)
    if divisor_override is None:
        y = y / _count_values(input, window, ceil_mode, count_include_pad)
    elif divisor_override:
        y = y / divisor_override
    else:
        raise ArgumentError("divisor must be not zero")
    return y.squeeze(0) if single else y


def _count_values(
    input: Tensor, window: Window, ceil_mode: bool, include_pad: bool
) -> int | np.ndarray[Any, Any]:
    """How many values each window is the mean of: a number, or (i, j) where they differ."""
    if not (ceil_mode or any(window.padding)):
        return window.kernel[0] * window.kernel[1]
    size = (input.shape[2], input.shape[3])
    positions = window.output_size(size, ceil_mode)
    counts = []
    for axis, n in enumerate(size):
        p, k = window.padding[axis], window.kernel[axis]
        start = np.arange(positions[axis]) * window.stride[axis] - p
        stop = np.minimum(start + k, n + p)
        if not include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        counts.append(stop - start)
    return np.outer(*counts).astype(input.dtype)


# ------------------------------------------------- sequences and volumes, by way of images


def max_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """`max_pool2d` of sequences (N, C, L) or (C, L) as images of height 1."""
    window = _window_in_row(kernel_size, stride, padding)
    options: Any = in_row(dilation, "dilation"), ceil_mode, return_indices
    found: Any = max_pool2d(_as_images(input, "max_pool1d"), *window, *options)
    if return_indices:
        both: Any = tuple([part.squeeze(-2) for part in found])
        return both
    return found.squeeze(-2)


def avg_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """`avg_pool2d` of sequences (N, C, L) or (C, L) as images of height 1."""
    window = _window_in_row(kernel_size, stride, padding)
    images = _as_images(input, "avg_pool1d")
    options: Any = ceil_mode, count_include_pad
    return avg_pool2d(images, *window, *options).squeeze(-2)


def _window_in_row(kernel: Ints, stride: Ints | None, padding: Ints) -> Any:
    steps = None if stride is None else in_row(stride, "stride")
    return in_row(kernel, "kernel_size"), steps, in_row(padding, "padding", 0)


def _as_images(input: Tensor, name: str) -> Tensor:
    if input.ndim not in (2, 3):
        raise ShapeError(f"{name} takes (N, C, L) or (C, L), got {list(input.shape)}")
    return input.unsqueeze(-2)


def max_pool3d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The maximum of each window of volumes: of frames first, then over the depth."""
    gaps, places = several(dilation, 3, "dilation"), []

    def pool(images: Tensor, axes: slice, window: Any) -> Tensor:
        options: Any = (*gaps[axes], 1)[:2], ceil_mode, return_indices
        found: Any = max_pool2d(images, *window, *options)
        if return_indices:
            found, at = found
            places.append(at.flatten(-2) if at.ndim == 4 else at)
        return found

    y = _pool_volumes(pool, input, kernel_size, stride, padding)
    if not return_indices:
        return y
    in_frame, among_frames = (
        places  # in the second, D rows of as many as there are windows
    )
    frames = in_frame.flatten(1).gather(1, among_frames.flatten(1))
    depth = among_frames.flatten(1) // in_frame.shape[-1]
    both: Any = y, (depth * math.prod(input.shape[-2:]) + frames).reshape(y.shape)
    return both


def avg_pool3d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of volumes: of frames first, then over the depth."""
    divisor = None if divisor_override is None else 1
    options: Any = ceil_mode, count_include_pad, divisor
    if divisor_override == 0:
        raise ArgumentError("divisor must be not zero")

    def pool(images: Tensor, axes: slice, window: Any) -> Tensor:
        return avg_pool2d(images, *window, *options)

    y = _pool_volumes(pool, input, kernel_size, stride, padding)
    return y if divisor_override is None else y / divisor_override


def _pool_volumes(
    pool: Callable[[Tensor, slice, Any], Tensor],
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
) -> Tensor:
    """Pool the last two axes of three by windows, and then the first with those of width
    1: one window of three axes, wherever its extreme or its mean is that of parts.
    """
    if input.ndim not in (4, 5):
        raise ShapeError(
            f"pooling of volumes takes (N, C, D, H, W) or (C, D, H, W), got "
            f"{list(input.shape)}"
        )
    kernel = several(kernel_size, 3, "kernel_size")
    steps = kernel if stride is None else several(stride, 3, "stride")
    around = several(padding, 3, "padding")
    flat = slice(1, 3)
    frames = pool(input.flatten(0, -4), flat, (kernel[flat], steps[flat], around[flat]))
    columns = frames.flatten(-2)
    deep = (kernel[0], 1), (steps[0], 1), (around[0], 0)
    y = pool(columns, slice(0, 1), deep)
    return y.reshape(*input.shape[:-3], y.shape[-2], *frames.shape[-2:])


# ------------------------------------------------------------------------ powers, and back


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-th root of the sum of x^p in each window; 0 where that sum is negative."""
    size = pair(kernel_size, "kernel_size")
    mean = avg_pool2d(input.pow(norm_type), size, stride, 0, ceil_mode)
    return _root(mean, math.prod(size), norm_type)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`lp_pool2d` of sequences (N, C, L) or (C, L)."""
    (size,) = several(kernel_size, 1, "kernel_size")
    mean = avg_pool1d(input.pow(norm_type), size, stride, 0, ceil_mode)
    return _root(mean, size, norm_type)


def _root(mean: Tensor, count: int, norm_type: float) -> Tensor:
    return (mean.sign() * mean.abs().relu() * count).pow(1.0 / norm_type)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Maxima (N, C, H, W) or (C, H, W) put back where they stood, 0 elsewhere.

    indices: those of `max_pool2d` with return_indices. output_size: where several sizes
    are pooled to this one, which it was.
    """
    kernel, around = pair(kernel_size, "kernel_size"), pair(padding, "padding")
    steps = kernel if stride is None else pair(stride, "stride")
    if input.ndim not in (3, 4) or input.shape != indices.shape:
        raise ShapeError(
            "max_unpool2d takes maxima (N, C, H, W) or (C, H, W) and as many indices, "
            f"got {list(input.shape)} and {list(indices.shape)}"
        )
    window = zip(input.shape[-2:], steps, around, kernel, strict=True)
    usual = tuple([(n - 1) * s - 2 * p + k for n, s, p, k in window])
    size = usual
    if output_size is not None:
        size = several(tuple(output_size[-2:]), 2, "output_size")
    for n, least, s in zip(size, usual, steps, strict=True):
        if not least - s < n < least + s:
            raise ArgumentError(
                f"invalid output_size {output_size}: each length is less than a stride "
                f"{steps} away from {usual}"
            )
    places = raw(indices)
    if places.dtype.kind != "i":
        raise DTypeError(f"indices are integers, got {places.dtype}")
    places = places.reshape(-1, math.prod(input.shape[-2:]))
    if places.size and not 0 <= places.min() <= places.max() < math.prod(size):
        raise ArgumentError(
            f"found an invalid max index: {places.max()} (output volumes are of size "
            f"{size[0]}x{size[1]})"
        )
    nothing = np.zeros((len(places), math.prod(size)), input.dtype)
    key = np.arange(len(places))[:, None], places
    y: Tensor = shape.Put(key)(nothing, input.reshape(places.shape))
    return y.reshape(*input.shape[:-2], *size)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_unpool2d` of sequences (N, C, L) or (C, L) as images of height 1."""
    window = _window_in_row(kernel_size, stride, padding)
    size: Any = [None if output_size is None else (1, output_size[-1])]
    images = _as_images(input, "max_unpool1d")
    return max_unpool2d(images, indices.unsqueeze(-2), *window, *size).squeeze(-2)


# ------------------------------------------------------ windows that fit, whatever the size


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """`adaptive_avg_pool2d` of sequences (N, C, L) or (C, L)."""
    return _adaptive_mean(input, output_size, 1)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of windows that together cover the input, `output_size` of them.

    Window i of o covers rows ⌊i h / o⌋ … ⌈(i + 1) h / o⌉ − 1, and columns alike. An int or
    a pair; None keeps a length. See `ops.resampling.AdaptiveAvgPool`.
    """
    return _adaptive_mean(input, output_size, 2)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """`adaptive_avg_pool2d` of volumes (N, C, D, H, W) or (C, D, H, W)."""
    return _adaptive_mean(input, output_size, 3)


def _adaptive_mean(input: Tensor, output_size: Any, axes: int) -> Tensor:
    name = f"adaptive_avg_pool{axes}d"
    lengths, sizes = _sizes(float_only(input, f"{name}()"), output_size, axes, name)
    if math.prod(sizes) == 1:
        return input.mean(tuple(range(-axes, 0)), keepdim=True)
    maps = [resampling.averages(*both) for both in zip(lengths, sizes, strict=True)]
    y: Tensor = resampling.AdaptiveAvgPool(tuple(maps), "average")(input)
    return y


def _sizes(
    input: Tensor, output_size: Any, axes: int, name: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The lengths of the last axes, and how many windows each shall have."""
    if input.ndim - axes not in (1, 2):
        raise ShapeError(
            f"{name} takes {axes + 1} or {axes + 2} axes, got {list(input.shape)}"
        )
    lengths = tuple(input.shape[-axes:])
    asked = (
        output_size if isinstance(output_size, tuple | list) else [output_size] * axes
    )
    if len(asked) == axes:
        asked = [n if o is None else o for n, o in zip(lengths, asked, strict=True)]
    sizes = several(tuple(asked), axes, "output_size")
    for n, size in zip(lengths, sizes, strict=True):
        if size < 1 or n < 1:
            raise ArgumentError(f"adaptive pooling of {n} values to {size} windows")
    return lengths, sizes


def adaptive_max_pool1d(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Tensor:
    """`adaptive_max_pool2d` of sequences (N, C, L) or (C, L)."""
    return _adaptive_max(input, output_size, return_indices, 1)


def adaptive_max_pool2d(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Tensor:
    """The maxima of the windows of `adaptive_avg_pool2d`; the first of equal ones.

    return_indices: a pair of Tensors instead, the maxima and where each stood, as its
    row-major place in the input.
    """
    return _adaptive_max(input, output_size, return_indices, 2)


def adaptive_max_pool3d(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Tensor:
    """`adaptive_max_pool2d` of volumes (N, C, D, H, W) or (C, D, H, W)."""
    return _adaptive_max(input, output_size, return_indices, 3)


def _adaptive_max(
    input: Tensor, output_size: Any, return_indices: bool, axes: int
) -> Tensor:
    name = f"adaptive_max_pool{axes}d"
    _, sizes = _sizes(float_only(input, f"{name}()"), output_size, axes, name)
    op = pooling.AdaptiveMaxPool(sizes)
    y: Tensor = op(input)
    if not return_indices:
        return y
    both: Any = y, Tensor._wrap(op.forward(input._array)[1])
    return both
