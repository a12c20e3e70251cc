"""Dense layers, convolutions and padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...engine import Tensor
from ...errors import ArgumentError, ShapeError
from ...kernels import Pair, Window, pair
from ...ops import convolution, shape
from ...ops.linear import Linear

Ints = int | Sequence[int]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b: input (…, in), weight (out, in), bias (out). See `ops.linear.Linear`."""
    result: Tensor = Linear()(input, weight, bias)
    return result


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
    input, single = batched(input)
    steps, gaps = pair(stride, "stride"), pair(dilation, "dilation")
    if isinstance(padding, str):
        input, around = _named_padding(input, weight, padding, steps, gaps)
    else:
        around = pair(padding, "padding")
    y: Tensor = convolution.Conv2d(steps, around, gaps, groups)(input, weight, bias)
    return y.squeeze(0) if single else y


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
    input, single = batched(input)
    window = Window(
        (weight.shape[2], weight.shape[3]),
        *(pair(stride, "stride"), pair(padding, "padding"), pair(dilation, "dilation")),
    )
    extra = pair(output_padding, "output_padding")
    for e, s, d in zip(extra, window.stride, window.dilation, strict=True):
        if not 0 <= e < max(s, d):
            raise ArgumentError(
                "output padding must be smaller than either stride or dilation, "
                f"got {extra} for stride {window.stride}, dilation {window.dilation}"
            )
    if input.ndim != 4 or weight.ndim != 4:
        raise ShapeError(
            "conv_transpose2d takes images (N, C, H, W) and kernels (C, O/groups, k_y, "
            f"k_x), got {list(input.shape)} and {list(weight.shape)}"
        )
    rows, columns = (
        (input.shape[2 + a] - 1) * window.stride[a]
        - 2 * window.padding[a]
        + window.extent[a]
        + extra[a]
        for a in (0, 1)
    )
    op = convolution.ConvTranspose2d(
        *(window.stride, window.padding, window.dilation, groups), size=(rows, columns)
    )
    y: Tensor = op(input, weight, bias)
    return y.squeeze(0) if single else y


def batched(input: Tensor) -> tuple[Tensor, bool]:
    """An image (C, H, W) as a batch of one, and whether it was one."""
    single = input.ndim == 3
    return (input.unsqueeze(0) if single else input), single


def _named_padding(
    input: Tensor, weight: Tensor, padding: str, stride: Pair, dilation: Pair
) -> tuple[Tensor, Pair]:
    if padding == "valid":
        return input, (0, 0)
    if padding != "same":
        raise ArgumentError(f"padding must be ints, 'valid' or 'same', got {padding!r}")
    if stride != (1, 1):
        raise ArgumentError("padding='same' is not supported for strided convolutions")
    (ty, tx) = (dilation[a] * (weight.shape[2 + a] - 1) for a in (0, 1))
    if ty % 2 == 0 and tx % 2 == 0:
        return input, (ty // 2, tx // 2)
    # The odd one goes to the right and below, as in PyTorch.
    return pad(input, (tx // 2, tx - tx // 2, ty // 2, ty - ty // 2)), (0, 0)


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
        y: Tensor = shape.Pad(tuple(widths), 0.0 if value is None else value)(input)
        return y
    if value is not None:
        raise ArgumentError(f"padding mode {mode!r} takes no value, got {value}")
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in modes:
        raise ArgumentError(
            f"unknown padding mode {mode!r}; one of constant, {', '.join(modes)}"
        )
    for axis, (before, after) in enumerate(widths):
        room = input.shape[axis] - (mode == "reflect")
        if max(before, after) > room and mode != "replicate":
            raise ArgumentError(
                f"{mode} padding {(before, after)} exceeds what axis {axis} of length "
                f"{input.shape[axis]} allows"
            )
        if before or after:
            places = np.arange(input.shape[axis])
            kind: Any = modes[mode]
            source = np.pad(places, (max(before, 0), max(after, 0)), mode=kind)
            source = source[max(-before, 0) : len(source) - max(-after, 0)]
            input = shape.Index((slice(None),) * axis + (source,))(input)
    return input
