"""Dense layers, convolutions, and padding of images (N, C, H, W) or (C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.engine import Tensor
from ...errors import ArgumentError, ShapeError
from ...kernels import Pair, Window, pair
from ...ops import convolution, shape
from ...ops import linear as dense

Ints = int | Sequence[int]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b: input (…, in), weight (out, in), bias (out). See `ops.linear.Linear`."""
    return dense.Linear()(input, weight, bias)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of images (N, C, H, W) with kernels (O, C/groups, k_y, k_x).

    padding: an int, a pair, "valid" (0) or "same" (stride 1 only).
    See `ops.convolution.Conv2d` for the formula and its gradients.
    """
    input, single = make_batch(input)
    around: Any = padding
    if isinstance(padding, str):
        steps, gaps = pair(stride, "stride"), pair(dilation, "dilation")
        kernel = (weight.shape[2], weight.shape[3])
        left, right, top, bottom = resolve_padding(padding, kernel, steps, gaps)
        around = (top, left)
        if (top, left) != (bottom, right):
            input, around = pad(input, (left, right, top, bottom)), (0, 0)
    layout: Any = stride, around, dilation, groups
    y = convolution.Conv2d(*layout)(input, weight, bias)
    return y.squeeze(0) if single else y


def resolve_padding(
    name: str, kernel: Pair, stride: Pair, dilation: Pair
) -> tuple[int, ...]:
    """How much "same" or "valid" pads: left, right, top, bottom.

    Of an odd number, the larger half goes to the right and below, as in PyTorch.
    """
    if name not in ("same", "valid"):
        raise ArgumentError(
            f"Invalid padding string {name!r}, should be one of 'same', 'valid'"
        )
    if name == "valid":
        return 0, 0, 0, 0
    if stride != (1, 1):
        raise ArgumentError("padding='same' is not supported for strided convolutions")
    y, x = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    return x // 2, x - x // 2, y // 2, y - y // 2


def true_conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, **kwargs: Any
) -> Tensor:
    """Convolution proper: y[i,j] = Σ x[i − u, j − v] w[u,v] (`numpy-cnn` eq. 17).

    It is `conv2d` with the kernel rotated by 180° (§2.2.1), and takes its arguments.
    """
    return conv2d(input, weight.flip(2, 3), bias, **kwargs)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """The adjoint of `conv2d`: images (N, C, h, w), kernels (C, O/groups, k_y, k_x).

    Output size: (h − 1) s − 2 p + d (k − 1) + output_padding + 1. See
    `ops.convolution.ConvTranspose2d`.
    """
    input, single = make_batch(input)
    steps, around = pair(stride, "stride"), pair(padding, "padding")
    gaps, extra = pair(dilation, "dilation"), pair(output_padding, "output_padding")
    window = Window((weight.shape[2], weight.shape[3]), steps, around, gaps)
    if any(not 0 <= extra[a] < max(steps[a], gaps[a]) for a in (0, 1)):
        raise ArgumentError(
            "output padding must be smaller than either stride or dilation, "
            f"got {extra} for stride {steps}, dilation {gaps}"
        )
    if input.ndim != 4 or weight.ndim != 4:
        raise ShapeError(
            "conv_transpose2d takes images (N, C, H, W) and kernels (C, O/groups, k_y, "
            f"k_x), got {list(input.shape)} and {list(weight.shape)}"
        )
    smallest = get_smallest_output(window, (input.shape[2], input.shape[3]))
    size = (smallest[0] + extra[0], smallest[1] + extra[1])
    op = convolution.ConvTranspose2d(steps, around, gaps, groups, size=size)
    y = op(input, weight, bias)
    return y.squeeze(0) if single else y


def get_smallest_output(window: Window, size: Pair) -> Pair:
    """The smallest images from which a convolution makes images of this size."""
    rows, columns = (
        (n - 1) * s - 2 * p + e
        for n, s, p, e in zip(
            size, window.stride, window.padding, window.extent, strict=True
        )
    )
    return rows, columns


def make_batch(input: Tensor) -> tuple[Tensor, bool]:
    """An image (C, H, W) as a batch of one, and whether it was one."""
    single = input.ndim == 3
    return (input.unsqueeze(0) if single else input), single


def pad(
    input: Tensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> Tensor:
    """Padding of the last axes: (left, right, top, bottom, …); negative numbers crop.

    mode: "constant" (with `value`, 0 unless given), "reflect", "replicate", "circular".
    """
    if len(pad) % 2 or len(pad) // 2 > input.ndim:
        raise ArgumentError(
            f"pad {tuple(pad)} does not give pairs for {input.ndim} axes"
        )
    last_first = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    widths = [(0, 0)] * (input.ndim - len(last_first)) + last_first[::-1]
    if mode == "constant":
        return shape.Pad(tuple(widths), 0.0 if value is None else value)(input)
    if value is not None:
        raise ArgumentError(f"padding mode {mode!r} takes no value, got {value}")
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in modes:
        raise ArgumentError(
            f"unknown padding mode {mode!r}; one of constant, {', '.join(modes)}"
        )
    padded = input
    for axis, (before, after) in enumerate(widths):
        room = input.shape[axis] - (mode == "reflect")
        if max(before, after) > room and mode != "replicate":
            raise ArgumentError(
                f"{mode} padding {(before, after)} exceeds what axis {axis} of length "
                f"{input.shape[axis]} allows"
            )
        if before or after:
            places = np.arange(input.shape[axis])
            crop = max(-before, 0), max(-after, 0)
            if mode == "circular":  # around what is left
                places, crop = places[crop[0] : len(places) - crop[1]], (0, 0)
            kind: Any = modes[mode]
            source = np.pad(places, (max(before, 0), max(after, 0)), mode=kind)
            source = source[crop[0] : len(source) - crop[1]]
            padded = shape.Index((slice(None),) * axis + (source,))(padded)
    return padded.clone() if padded is input else padded
