"""The operations as functions, with PyTorch's names, arguments and defaults."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import generator as random
from ..core.engine import Tensor
from ..core.methods.base import promote, raw
from ..core.methods.shape import cat
from ..core.recording import change
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels import Pair, Window, active, pair
from ..ops import (
    Op,
    activation,
    classification,
    convolution,
    normalization,
    pooling,
    shape,
)
from ..ops import linear as dense
from ..ops.normalization import per_channel

Ints = int | Sequence[int]

# ------------------------------------------------------------------------ activations


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x)."""
    return input.relu_() if inplace else input.relu()


def leaky_relu(
    input: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Tensor:
    """x for x > 0, else negative_slope · x."""
    return _apply(activation.LeakyReLU(negative_slope), input, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x between min_val and max_val."""
    return _apply(activation.Hardtanh(min_val, max_val), input, inplace)


def _apply(op: Op, input: Tensor, inplace: bool) -> Tensor:
    return input.become(op(input.clone())) if inplace else op(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """e^x_k / Σ e^x_j along `dim`."""
    axis = _choose_dim("softmax", input.ndim) if dim is None else dim
    return input.softmax(axis, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of the softmax along `dim`."""
    axis = _choose_dim("log_softmax", input.ndim) if dim is None else dim
    return input.log_softmax(axis, dtype)


def _choose_dim(name: str, ndim: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=3,
    )
    return 0 if ndim in (0, 1, 3) else 1


# ------------------------------------------------- dense layers, convolutions, padding


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
    input, single = _make_batch(input)
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
    input, single = _make_batch(input)
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


def _make_batch(input: Tensor) -> tuple[Tensor, bool]:
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


# ---------------------------------------------------------------------------- pooling


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
    input, single = _make_batch(input)
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
    input, single = _make_batch(input)
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
    return _average_along(_average_along(input, -2, rows), -1, columns)


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


# --------------------------------------------- batch normalisation, dropout, one-hot


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of (N, C, …) by the batch (training) or by running figures.

    Training updates the running figures in place: r ← (1 − momentum) r + momentum · batch,
    with the *unbiased* variance. See `ops.normalization.BatchNorm`.
    """
    if input.ndim < 2:
        raise ShapeError(f"batch_norm takes (N, C, …), got {list(input.shape)}")
    given = {"running_mean": running_mean, "running_var": running_var}
    for name, t in {**given, "weight": weight, "bias": bias}.items():
        if t is not None and t.shape != input.shape[1:2]:
            raise ShapeError(
                f"{name} should contain {input.shape[1]} elements, one for each channel "
                f"of {list(input.shape)}; it is {list(t.shape)}"
            )
    if training:
        if input.shape[1] and input.numel() == input.shape[1]:
            raise ShapeError(
                "Expected more than 1 value per channel when training, got input size "
                f"{list(input.shape)}"
            )
        if running_mean is not None and running_var is not None:
            change(_move_towards, (running_mean, running_var), input._array, momentum)
        return normalization.BatchNorm(eps)(input, weight, bias)
    if running_mean is None or running_var is None:
        raise ArgumentError(
            "batch_norm in evaluation needs running_mean and running_var"
        )
    scale = (running_var + eps) ** -0.5
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale if bias is None else bias - running_mean * scale
    return input * per_channel(scale, input.ndim) + per_channel(shift, input.ndim)


def _move_towards(mean: Any, var: Any, x: Any, momentum: float) -> None:
    """Move running figures towards those of x, all of them arrays."""
    if x.size == 0:
        return
    m = x.size // x.shape[1]
    batch_mean, biased = active.moments(x)
    for running, batch in ((mean, batch_mean), (var, biased * (m / (m - 1)))):
        running *= 1 - momentum
        running += momentum * batch


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Each value 0 with probability p, else over 1 − p; the identity in evaluation."""
    return _drop(input, input.shape, p, training, inplace)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels of (N, C, H, W)."""
    mask_shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    return _drop(input, mask_shape, p, training, inplace)


def _drop(
    input: Tensor, mask_shape: tuple[int, ...], p: float, training: bool, inplace: bool
) -> Tensor:
    check_probability(p)
    y = input
    if training and p > 0:
        kept = random.default_generator.numpy.random(mask_shape) >= p
        mask = kept.astype(input.dtype) / (1 - p if p < 1 else 1)
        y = normalization.Dropout(p)(input, np.broadcast_to(mask, input.shape))
    return input.become(y) if inplace else y


def check_probability(p: float) -> None:
    """Refuse a dropout probability outside 0 … 1."""
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(
            f"dropout probability has to be between 0 and 1, but got {p}"
        )


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Labels as int64 vectors of 0 and one 1."""
    labels = tensor._array
    if num_classes == -1 and not labels.size:
        raise ArgumentError(
            "the number of classes of no labels is unknown; give num_classes"
        )
    if labels.dtype.kind not in "iu":
        raise DTypeError("one_hot is only applicable to index tensors")
    classes = int(labels.max(initial=-1)) + 1 if num_classes == -1 else num_classes
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ArgumentError(f"class values must be in 0 … {classes - 1}")
    return Tensor._wrap((labels[..., None] == np.arange(classes)).astype(np.int64))


# ----------------------------------------------------------------------------- losses


def check_reduction(
    reduction: str, size_average: Any = None, reduce: Any = None
) -> str:
    """The reduction, if it is one of the three and neither older argument is given."""
    if size_average is not None or reduce is not None:
        raise ArgumentError(
            "size_average and reduce are gone; use reduction='mean'/'sum'/'none'"
        )
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{reduction} is not a valid value for reduction")
    return reduction


def _reduce(losses: Tensor, reduction: str, divisor: Any = None) -> Tensor:
    """The losses, their sum, or that over `divisor` (None: how many there are)."""
    if reduction == "none":
        return losses
    if reduction == "mean" and divisor is None:
        return losses.mean()
    return losses.sum() / divisor if reduction == "mean" else losses.sum()


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """−weight[t] · input[t] for log-probabilities (N, C, …) or (C) and class indices t.

    "mean" divides by the sum of the weights that count. LabelError for labels outside
    0 … C − 1 other than ignore_index. See `ops.classification.NLLLoss`.
    """
    check_reduction(reduction, size_average, reduce)
    single = input.ndim == 1
    if single:
        input, target = input.unsqueeze(0), target.reshape(1)
    y = classification.NLLLoss(reduction, ignore_index)(input, target, weight)
    return y.reshape(()) if single else y


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−Σ_k q_k ln softmax(x)_k, q being one-hot at the label (`day2` §5.1: −ln p_c).

    label_smoothing ε: q = (1 − ε) onehot + ε / C. A floating target gives q itself.
    """
    check_reduction(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            f"label_smoothing must be between 0.0 and 1.0, got {label_smoothing}"
        )
    classes = 0 if input.ndim == 1 else 1
    logs = input.log_softmax(classes)
    share = label_smoothing / input.shape[classes]
    if raw(target).dtype.kind == "f":
        if target.shape != logs.shape:
            raise ShapeError(
                f"class probabilities {target.shape} for scores {logs.shape}"
            )
        q = target * (1 - label_smoothing) + share
        losses = -(q * logs * _weights_of_classes(weight, logs)).sum(classes)
        return _reduce(losses, reduction, losses.numel())
    hard = nll_loss(logs, target, weight, None, ignore_index, None, reduction)
    if not label_smoothing:
        return hard
    smooth = _smooth_loss(logs, target, weight, ignore_index, reduction)
    return hard * (1 - label_smoothing) + smooth * share


def _smooth_loss(
    logs: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    """Σ_k −w_k ln p_k where the target counts, reduced as the hard loss is."""
    classes = 0 if logs.ndim == 1 else 1
    t = raw(target)
    counted = (t != ignore_index).astype(logs.dtype)
    losses = -(logs * _weights_of_classes(weight, logs)).sum(classes) * counted
    w = np.ones(logs.shape[classes], logs.dtype) if weight is None else raw(weight)
    total = (w[np.where(counted, t, 0)] * counted).sum()
    if reduction == "mean" and total == 0:
        # Nothing counts: the mean is NaN, and no score has a part in it.
        return losses.sum() + math.nan
    return _reduce(losses, reduction, total)


def _weights_of_classes(weight: Tensor | None, logs: Tensor) -> Tensor | float:
    if weight is None:
        return 1.0
    return weight if logs.ndim == 1 else per_channel(weight, logs.ndim)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input − target)², their mean unless asked otherwise (`lenet`)."""
    losses = classification.SquaredError()(*_match(input, target))
    check_reduction(reduction, size_average, reduce)
    return _reduce_weighted(losses, weight, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input − target|, their mean unless asked otherwise."""
    losses = classification.AbsoluteError()(*_match(input, target))
    check_reduction(reduction, size_average, reduce)
    return _reduce_weighted(losses, weight, reduction)


def _match(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one dtype, with a warning where their shapes differ."""
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to "
            "broadcasting. Please ensure they have the same size.",
            UserWarning,
            stacklevel=3,
        )
    return promote(input, target)


def _reduce_weighted(losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return _reduce(losses, reduction)
    if weight.shape != losses.shape:
        raise ShapeError(
            f"weights {list(weight.shape)} for losses {list(losses.shape)}"
        )
    return _reduce(losses * weight, reduction, weight.sum())


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """−q t ln σ(x) − (1 − t) ln(1 − σ(x)), q = pos_weight. See `LogisticLoss`."""
    check_reduction(reduction, size_average, reduce)
    if input.shape != target.shape:
        raise ShapeError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    x, t = promote(input, target)
    losses = classification.LogisticLoss()(
        x, t, 1.0 if pos_weight is None else pos_weight
    )
    return _reduce(losses if weight is None else losses * weight, reduction)


__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "hardtanh",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
    "true_conv2d",
]
