"""Dense layers and convolutions: of images (N, C, H, W), of sequences (N, C, L), of volumes
(N, C, D, H, W); or of one of them, without N.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.engine import Tensor
from ...errors import ArgumentError, ShapeError
from ...kernels import Pair, Window, pair
from ...kernels.geometry import several
from ...ops import convolution
from ...ops import linear as dense
from .padding import pad

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
    check_kernels("conv2d", 2, input, weight)
    input, single = make_batch(input)
    around: Any = padding
    if isinstance(padding, str):
        steps, gaps = pair(stride, "stride"), pair(dilation, "dilation")
        kernel = tuple(weight.shape[2:])
        left, right, top, bottom = resolve_padding(padding, kernel, steps, gaps)
        around = (top, left)
        if (top, left) != (bottom, right):
            input, around = pad(input, (left, right, top, bottom)), (0, 0)
    layout: Any = stride, around, dilation, groups
    y = convolution.Conv2d(*layout)(input, weight, bias)
    return y.squeeze(0) if single else y


def resolve_padding(
    name: str,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """How much "same" or "valid" pads: left, right, top, bottom, …

    Of an odd number, the larger half goes to the right and below, as in PyTorch.
    """
    if name not in ("same", "valid"):
        raise ArgumentError(
            f"Invalid padding string {name!r}, should be one of 'same', 'valid'"
        )
    if name == "valid":
        return (0, 0) * len(kernel)
    if any(s != 1 for s in stride):
        raise ArgumentError("padding='same' is not supported for strided convolutions")
    last_first = zip(dilation[::-1], kernel[::-1], strict=True)
    both = [d * (k - 1) for d, k in last_first]
    return tuple([half for n in both for half in (n // 2, n - n // 2)])


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """`conv2d` of sequences (N, C, L) as images of height 1; weight (O, C/groups, k)."""
    check_kernels("conv1d", 1, input, weight)
    around = padding if isinstance(padding, str) else in_row(padding, "padding", 0)
    steps, gaps = in_row(stride, "stride"), in_row(dilation, "dilation")
    images, kernels = input.unsqueeze(-2), weight.unsqueeze(-2)
    return conv2d(images, kernels, bias, steps, around, gaps, groups).squeeze(-2)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Of volumes (N, C, D, H, W) with kernels (O, C/groups, k_z, k_y, k_x).

    The sum of `conv2d` over the depth of the kernel, each of its slices meeting the frames
    that lie as deep; padding as that of `conv2d`, with three numbers.
    """
    check_kernels("conv3d", 3, input, weight)
    if input.ndim == 4:
        options = stride, padding, dilation, groups
        return conv3d(input.unsqueeze(0), weight, bias, *options).squeeze(0)
    steps, gaps = several(stride, 3, "stride"), several(dilation, 3, "dilation")
    kernel = tuple(weight.shape[2:])
    if isinstance(padding, str):
        widths = resolve_padding(padding, kernel, steps, gaps)
    else:
        around = several(padding, 3, "padding")
        widths = tuple([p for p in around[::-1] for _ in "lr"])
    if min(*widths, 0) < 0:
        raise ArgumentError(f"padding must be at least 0, got {padding}")
    volumes = pad(input, widths) if any(widths) else input
    deep = Window((kernel[0], 1), (steps[0], 1), dilation=(gaps[0], 1))
    count, _ = deep.output_size((volumes.shape[2], 1))
    total, layout = None, (steps[1:], 0, gaps[1:], groups)
    for u in range(kernel[0]):
        first = gaps[0] * u
        frames = volumes[:, :, first : first + (count - 1) * steps[0] + 1 : steps[0]]
        images = frames.transpose(1, 2).flatten(0, 1)
        y = conv2d(images, weight[:, :, u], bias if u == 0 else None, *layout)
        total = y if total is None else total + y
    assert total is not None  # kernels have a depth
    y = total.reshape(len(input), count, *total.shape[1:])
    return y.transpose(1, 2)


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
    check_kernels("conv_transpose2d", 2, input, weight)
    input, single = make_batch(input)
    steps, around = pair(stride, "stride"), pair(padding, "padding")
    gaps, extra = pair(dilation, "dilation"), pair(output_padding, "output_padding")
    window = Window((weight.shape[2], weight.shape[3]), steps, around, gaps)
    if any(not 0 <= extra[a] < max(steps[a], gaps[a]) for a in (0, 1)):
        raise ArgumentError(
            "output padding must be smaller than either stride or dilation, "
            f"got {extra} for stride {steps}, dilation {gaps}"
        )
    smallest = get_smallest_output(window, (input.shape[2], input.shape[3]))
    size = (smallest[0] + extra[0], smallest[1] + extra[1])
    op = convolution.ConvTranspose2d(steps, around, gaps, groups, size=size)
    y = op(input, weight, bias)
    return y.squeeze(0) if single else y


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """The adjoint of `conv1d`: sequences (N, C, l) and kernels (C, O/groups, k)."""
    check_kernels("conv_transpose1d", 1, input, weight)
    steps, gaps = in_row(stride, "stride"), in_row(dilation, "dilation")
    around, extra = in_row(padding, "padding", 0), in_row(output_padding, "output", 0)
    options: Any = steps, around, extra, groups, gaps
    images, kernels = input.unsqueeze(-2), weight.unsqueeze(-2)
    return conv_transpose2d(images, kernels, bias, *options).squeeze(-2)


def get_smallest_output(window: Window, size: Pair) -> Pair:
    """The smallest images from which a convolution makes images of this size."""
    rows, columns = (
        (n - 1) * s - 2 * p + e
        for n, s, p, e in zip(
            size, window.stride, window.padding, window.extent, strict=True
        )
    )
    return rows, columns


def in_row(value: Any, name: str, across: int = 1) -> Pair:
    """What holds along a sequence, for images of height 1; `across` in the other axis."""
    return across, several(value, 1, name)[0]


def make_batch(input: Tensor) -> tuple[Tensor, bool]:
    """An image (C, H, W) as a batch of one, and whether it was one."""
    single = input.ndim == 3
    return (input.unsqueeze(0) if single else input), single


def check_kernels(name: str, axes: int, input: Tensor, weight: Tensor) -> None:
    """Refuse what is not (N, C, …) or (C, …), and kernels of another number of axes."""
    if weight.ndim != axes + 2 or input.ndim - axes not in (1, 2):
        shown = ("L", "H, W", "D, H, W")[axes - 1]
        kernel = ("k", "k_y, k_x", "k_z, k_y, k_x")[axes - 1]
        raise ShapeError(
            f"{name} takes (N, C, {shown}) or (C, {shown}) and kernels (two axes of "
            f"channels, {kernel}); got {list(input.shape)} and {list(weight.shape)}"
        )
