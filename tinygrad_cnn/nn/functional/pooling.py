"""Pooling of images (N, C, H, W) or (C, H, W), channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.engine import Tensor
from ...core.methods.base import float_only
from ...core.methods.shape import cat
from ...errors import ArgumentError
from ...kernels import Window, pair
from ...ops import pooling
from .convolution import Ints, make_batch


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
    steps = size if stride is None else pair(stride, "stride")
    if any(2 * p > k for p, k in zip(around, size, strict=True)):
        raise ArgumentError(
            f"pad should be at most half of effective kernel size, but got pad={around} "
            f"and kernel_size={size}"
        )
    return Window(size, steps, around, pair(dilation, "dilation"))


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


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The mean over windows that together cover the input, `output_size` of them.

    Window i of o covers rows ⌊i h / o⌋ … ⌈(i + 1) h / o⌉ − 1, and columns alike, so the
    means of rows are taken first, then those of columns. None keeps a size.
    """
    two = isinstance(output_size, Sequence)
    rows, columns = output_size if two else (output_size, output_size)
    means = _average_along(_average_along(input, -2, rows), -1, columns)
    return input.clone() if means is input else means


def _average_along(x: Tensor, axis: int, windows: int | None) -> Tensor:
    length = x.shape[axis]
    if windows is None or windows == length:
        return x
    if windows < 1 or length < 1:
        raise ArgumentError(f"adaptive pooling of {length} values to {windows} windows")
    means = []
    for i in range(windows):
        start, stop = i * length // windows, -(-(i + 1) * length // windows)
        means.append(x.narrow(axis, start, stop - start).mean(axis, keepdim=True))
    return cat(means, axis)
