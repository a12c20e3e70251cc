"""The operations as functions, with PyTorch's names, arguments and defaults."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import random
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels import Pair, Window, pair
from ..methods.arithmetic import promote
from ..methods.base import raw
from ..ops import activation, classification, convolution, normalization, pooling, shape
from ..ops.linear import Linear, Matmul
from ..tensor import Tensor

Ints = int | Sequence[int]

# ---------------------------------------------------------------------- dense and convolution


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
    input, single = _batched(input)
    steps, gaps = pair(stride, "stride"), pair(dilation, "dilation")
    if isinstance(padding, str):
        input, around = _named_padding(input, weight, padding, steps, gaps)
    else:
        around = pair(padding, "padding")
    y: Tensor = convolution.Conv2d(steps, around, gaps, groups)(input, weight, bias)
    return y.squeeze(0) if single else y  # type: ignore[no-any-return]


def true_conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, **kwargs: Any
) -> Tensor:
    """The convolution of mathematics: y[i,j] = Σ x[i − u, j − v] w[u,v] (`numpy-cnn` eq. 17).

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

    Output size: (h − 1) s − 2 p + d (k − 1) + output_padding + 1. See `Conv2dInput`.
    """
    input, single = _batched(input)
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
    rows, columns = (
        (input.shape[2 + a] - 1) * window.stride[a]
        - 2 * window.padding[a]
        + window.extent[a]
        + extra[a]
        for a in (0, 1)
    )
    op = convolution.Conv2dInput(
        *(window.stride, window.padding, window.dilation, groups), size=(rows, columns)
    )
    y: Tensor = op(input, weight, bias)
    return y.squeeze(0) if single else y  # type: ignore[no-any-return]


def _batched(input: Tensor) -> tuple[Tensor, bool]:
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
            source: Any = np.pad(
                places, (max(before, 0), max(after, 0)), mode=modes[mode]
            )  # type: ignore[call-overload]
            source = source[max(-before, 0) : len(source) - max(-after, 0)]
            input = shape.Index((slice(None),) * axis + (source,))(input)
    return input


# ------------------------------------------------------------------------------------ pooling


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


def max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of images (N, C, H, W) or (C, H, W); padded with −∞.

    stride None: the kernel size. return_indices: also where each maximum stood, as its
    row-major place in the H × W input. See `ops.pooling.MaxPool2d`.
    """
    window = _pooling_window(kernel_size, stride, padding, dilation)
    input, single = _batched(input)
    y = pooling.MaxPool2d(window, ceil_mode)(input)
    if single:
        y = y.squeeze(0)
    if not return_indices:
        return y
    places = _places(input, window, ceil_mode)
    return y, Tensor._wrap(places[0] if single else places)


def _places(input: Tensor, window: Window, ceil_mode: bool) -> Any:
    _, tap = pooling.MaxPool2d(window, ceil_mode).forward(input._array)
    u, v = np.divmod(tap.astype(np.int64), window.kernel[1])
    i, j = np.ogrid[: tap.shape[2], : tap.shape[3]]
    rows = window.stride[0] * i + window.dilation[0] * u - window.padding[0]
    columns = window.stride[1] * j + window.dilation[1] * v - window.padding[1]
    return rows * input.shape[3] + columns


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
    input, single = _batched(input)
    total: Tensor = pooling.SumPool2d(window, ceil_mode)(input)
    y = total / _divisors(input, window, ceil_mode, count_include_pad, divisor_override)
    return y.squeeze(0) if single else y  # type: ignore[no-any-return]


def _divisors(
    input: Tensor,
    window: Window,
    ceil_mode: bool,
    include_pad: bool,
    override: int | None,
) -> Any:
    """How many values each window is the mean of: a number, or (i, j) where they differ."""
    if override is not None:
        if override == 0:
            raise ArgumentError("divisor must be not zero")
        return override
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

    Window i of o covers rows ⌊i h / o⌋ … ⌈(i + 1) h / o⌉ − 1, so y = P x Qᵀ with matrices
    of 1/length: two matrix products, whose gradients are Pᵀ g Q. None keeps a size.
    """
    sizes = (
        output_size if isinstance(output_size, Sequence) else (output_size, output_size)
    )
    h, w = input.shape[-2:]
    rows, columns = (
        (h if sizes[0] is None else sizes[0]),
        (w if sizes[1] is None else sizes[1]),
    )
    p, q = _averaging(rows, h, input.dtype), _averaging(columns, w, input.dtype)
    y: Tensor = Matmul()(Matmul()(p, input), q.T)
    return y


def _averaging(windows: int, length: int, dtype: Any) -> Any:
    if windows < 1 or length < 1:
        raise ArgumentError(f"adaptive pooling of {length} values to {windows} windows")
    matrix = np.zeros((windows, length), dtype)
    for i in range(windows):
        start, stop = i * length // windows, -(-(i + 1) * length // windows)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


# -------------------------------------------------------------------------------- activations


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x)."""
    return input.relu_() if inplace else input.relu()  # type: ignore[no-any-return]


def leaky_relu(
    input: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Tensor:
    """x for x > 0, else negative_slope · x."""
    y: Tensor = activation.LeakyReLU(negative_slope)(input)
    return input.become(y) if inplace else y  # type: ignore[no-any-return]


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x between min_val and max_val."""
    y: Tensor = activation.Hardtanh(min_val, max_val)(input)
    return input.become(y) if inplace else y  # type: ignore[no-any-return]


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)."""
    return input.sigmoid()  # type: ignore[no-any-return]


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()  # type: ignore[no-any-return]


def _implicit_dim(name: str, ndim: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=3,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """e^x_k / Σ e^x_j along `dim`."""
    axis = _implicit_dim("softmax", input.ndim) if dim is None else dim
    return input.softmax(axis, dtype)  # type: ignore[no-any-return]


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of the softmax along `dim`."""
    axis = _implicit_dim("log_softmax", input.ndim) if dim is None else dim
    return input.log_softmax(axis, dtype)  # type: ignore[no-any-return]


# ------------------------------------------------------------------------------------- losses


def _reduction(reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    if size_average is not None or reduce is not None:
        raise ArgumentError(
            "size_average and reduce are gone; use reduction='mean'/'sum'/'none'"
        )
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{reduction} is not a valid value for reduction")
    return reduction


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()  # type: ignore[no-any-return]


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
    single = input.ndim == 1
    if single:
        input, target = input.unsqueeze(0), target.reshape(1)
    op = classification.NLLLoss(
        _reduction(reduction, size_average, reduce), ignore_index
    )
    y: Tensor = op(input, target, weight)
    return y.reshape(()) if single else y  # type: ignore[no-any-return]


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
    reduction = _reduction(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            f"label_smoothing must be between 0.0 and 1.0, got {label_smoothing}"
        )
    classes = 0 if input.ndim == 1 else 1
    logs = input.log_softmax(classes)
    if raw(target).dtype.kind == "f":
        return _soft_entropy(logs, target, weight, reduction, label_smoothing, classes)
    hard = nll_loss(logs, target, weight, None, ignore_index, None, reduction)
    if not label_smoothing:
        return hard
    smooth = _smooth(logs, target, weight, ignore_index, reduction)
    share = label_smoothing / input.shape[classes]
    return hard * (1 - label_smoothing) + smooth * share


def _soft_entropy(
    logs: Tensor,
    q: Tensor,
    weight: Tensor | None,
    reduction: str,
    eps: float,
    classes: int,
) -> Tensor:
    if q.shape != logs.shape:
        raise ShapeError(f"class probabilities {q.shape} for scores {logs.shape}")
    q = q * (1 - eps) + eps / logs.shape[classes]
    losses = -(q * logs * _of_classes(weight, logs)).sum(classes)
    n = losses.numel()
    return losses.sum() / n if reduction == "mean" else _reduced(losses, reduction)


def _smooth(
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
    losses = -(logs * _of_classes(weight, logs)).sum(classes) * counted
    if reduction != "mean":
        return _reduced(losses, reduction)
    w = np.ones(logs.shape[classes], logs.dtype) if weight is None else raw(weight)
    total = (w[np.where(counted, t, 0)] * counted).sum()
    return losses.sum() / total  # type: ignore[no-any-return]


def _of_classes(weight: Tensor | None, logs: Tensor) -> Any:
    if weight is None:
        return 1.0
    return weight if logs.ndim == 1 else normalization.per_channel(weight, logs.ndim)


def _matching(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to "
            "broadcasting. Please ensure they have the same size.",
            UserWarning,
            stacklevel=3,
        )
    return promote(input, target)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """(input − target)², their mean unless asked otherwise (`lenet`)."""
    losses = classification.SquaredError()(*_matching(input, target))
    return _reduced(losses, _reduction(reduction, size_average, reduce))


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """|input − target|, their mean unless asked otherwise."""
    losses = classification.AbsoluteError()(*_matching(input, target))
    return _reduced(losses, _reduction(reduction, size_average, reduce))


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
    if input.shape != target.shape:
        raise ShapeError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    x, t = promote(input, target)
    losses = classification.LogisticLoss()(
        x, t, 1.0 if pos_weight is None else pos_weight
    )
    if weight is not None:
        losses = losses * weight
    return _reduced(losses, _reduction(reduction, size_average, reduce))


# ------------------------------------------------------------------ normalisation and dropout


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
    if training:
        values = input.numel() // input.shape[1] if input.shape[1] else 0
        if values == 1:
            raise ShapeError(
                f"Expected more than 1 value per channel when training, got input size {list(input.shape)}"
            )
        if running_mean is not None and running_var is not None:
            _update_running(input._array, running_mean, running_var, momentum)
        y: Tensor = normalization.BatchNorm(eps)(input, weight, bias)
        return y
    if running_mean is None or running_var is None:
        raise ArgumentError(
            "batch_norm in evaluation needs running_mean and running_var"
        )
    scale = (running_var + eps) ** -0.5
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale if bias is None else bias - running_mean * scale
    per_channel = normalization.per_channel
    return input * per_channel(scale, input.ndim) + per_channel(shift, input.ndim)  # type: ignore[no-any-return]


def _update_running(x: Any, mean: Tensor, var: Tensor, momentum: float) -> None:
    axes = (0, *range(2, x.ndim))
    if x.size == 0:
        return
    for running, batch in ((mean, x.mean(axis=axes)), (var, x.var(axis=axes, ddof=1))):
        running._array *= 1 - momentum
        running._array += momentum * batch
        running.mark_changed()


def _check_p(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(
            f"dropout probability has to be between 0 and 1, but got {p}"
        )


def _drop(input: Tensor, p: float, mask_shape: tuple[int, ...]) -> Tensor:
    kept = random.default_generator.numpy.random(mask_shape) >= p
    mask = kept.astype(input.dtype) / (1 - p if p < 1 else 1)
    y: Tensor = normalization.Dropout(p)(input, np.broadcast_to(mask, input.shape))
    return y


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Each value 0 with probability p, else divided by 1 − p; the identity in evaluation."""
    _check_p(p)
    y = _drop(input, p, input.shape) if training and p > 0 else input
    return input.become(y) if inplace else y  # type: ignore[no-any-return]


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels of (N, C, H, W)."""
    _check_p(p)
    shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    y = _drop(input, p, shape) if training and p > 0 else input
    return input.become(y) if inplace else y  # type: ignore[no-any-return]


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Labels as int64 vectors of 0 and one 1."""
    labels = tensor._array
    if labels.dtype.kind not in "iu":
        raise DTypeError("one_hot is only applicable to index tensors")
    classes = int(labels.max(initial=-1)) + 1 if num_classes == -1 else num_classes
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ArgumentError(f"class values must be in 0 … {classes - 1}")
    return Tensor._wrap((labels[..., None] == np.arange(classes)).astype(np.int64))
