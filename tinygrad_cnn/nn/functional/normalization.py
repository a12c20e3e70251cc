"""Normalisation of batches, layers and groups, dropout, and labels as vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...core import generator as random
from ...core.deriving import derived
from ...core.engine import Tensor
from ...core.methods.base import float_only
from ...core.recording import change
from ...errors import ArgumentError, DTypeError, ShapeError
from ...kernels import active
from ...ops import normalization
from ...ops.normalization import per_channel
from .activation import SELU_ALPHA, SELU_SCALE
from .padding import pad
from .pooling import avg_pool2d


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
    float_only(input, "batch_norm()")
    if input.ndim < 2:
        raise ShapeError(f"batch_norm takes (N, C, …), got {list(input.shape)}")
    _check_channels(
        input,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    if training:
        if eps <= 0:
            raise ArgumentError(f"eps must be positive in training, got {eps}")
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
    given = running_mean, running_var, weight, bias
    return normalization.BatchNormEval(eps)(input, *given)


def _check_channels(input: Tensor, **given: Tensor | None) -> None:
    """Refuse what has not one number for each channel of (N, C, …)."""
    for name, t in given.items():
        if t is not None and t.shape != input.shape[1:2]:
            raise ShapeError(
                f"{name} should contain {input.shape[1]} elements, one for each channel "
                f"of {list(input.shape)}; it is {list(t.shape)}"
            )


def _move_towards(
    mean: Any, var: Any, x: Any, momentum: float, instances: bool = False
) -> None:
    """Move running figures towards those of x, all of them arrays.

    instances: towards the mean of the figures of each image.
    """
    if x.size == 0:
        return
    n = len(x) if instances else 1
    channels = x.reshape(1, n * x.shape[1], -1) if instances else x
    m = x.size // channels.shape[1]
    batch_mean, biased = active.moments(channels)
    for running, batch in ((mean, batch_mean), (var, biased * (m / (m - 1)))):
        running *= 1 - momentum
        running += momentum * batch.reshape(n, -1).mean(axis=0)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each image of (N, C, …) by itself, or by running figures.

    use_input_stats: by itself, and the running figures move towards the mean over images.
    """
    if not use_input_stats:
        given = running_mean, running_var, weight, bias
        return batch_norm(input, *given, False, momentum, eps)
    if input.ndim < 3 or math.prod(input.shape[2:]) == 1:
        raise ShapeError(
            "Expected more than 1 spatial element when training, got input size "
            f"{list(input.shape)}"
        )
    _check_channels(
        input,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    if running_mean is not None and running_var is not None:
        figures = running_mean, running_var
        change(_move_towards, figures, input._array, momentum, True)
    n, channels = input.shape[:2]
    weight, bias = (
        None if t is None else t.expand(n, channels).reshape(-1) for t in (weight, bias)
    )
    return _normalize_runs(input, n * channels, eps, weight, bias)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each of num_groups groups of channels of (N, C, …), in each image."""
    if input.ndim < 2 or num_groups < 1 or input.shape[1] % num_groups:
        raise ShapeError(
            "Expected number of channels in input to be divisible by num_groups, but got "
            f"input of shape {list(input.shape)} and num_groups={num_groups}"
        )
    runs = input.shape[0] * num_groups
    if input.numel() and input.numel() == num_groups:
        raise ShapeError(
            "Expected more than 1 value per channel when training, got input size "
            f"{list(input.shape)} in {num_groups} groups"
        )
    _check_channels(input, weight=weight, bias=bias)
    y = _normalize_runs(input, runs, eps)
    y = y if weight is None else y * per_channel(weight, y.ndim)
    return y if bias is None else y + per_channel(bias, y.ndim)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise over the last axes, those of normalized_shape; times weight, plus bias."""
    lead = _check_last_axes(input, normalized_shape, weight=weight, bias=bias)
    y = _normalize_runs(input, math.prod(input.shape[:lead]), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Over the root of the mean square of the last axes, those of normalized_shape.

    eps: added to the mean; None is the spacing of floats at 1.
    """
    lead = _check_last_axes(input, normalized_shape, weight=weight)
    axes = tuple(range(lead, input.ndim))
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    y = input * (input.square().mean(axes, keepdim=True) + eps) ** -0.5
    return y if weight is None else y * weight


def _normalize_runs(
    input: Tensor,
    runs: int,
    eps: float,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """So many runs of values, in row-major order, each to mean 0 and variance 1.

    They are the channels of a batch of one, so that one operation serves all.
    """
    rows = input.reshape(1, runs, input.numel() // max(runs, 1))
    return normalization.BatchNorm(eps)(rows, weight, bias).reshape(input.shape)


def _check_last_axes(
    input: Tensor, normalized_shape: Sequence[int], **given: Tensor | None
) -> int:
    """Where the axes of normalized_shape begin, if they are the last of the input."""
    shape = tuple(normalized_shape)
    lead = input.ndim - len(shape)
    if not shape or lead < 0 or input.shape[lead:] != shape:
        raise ShapeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    for name, t in given.items():
        if t is not None and t.shape != shape:
            raise ShapeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} "
                f"of shape {list(t.shape)} and normalized_shape = {list(shape)}"
            )
    return lead


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha · m)^beta, m the mean square of `size` channels around, 0 outside."""
    if input.ndim < 3:
        raise ShapeError(
            f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if not input.numel():
        return input
    n, channels = input.shape[:2]
    squares = input.square().reshape(n, 1, channels, -1)
    padded = pad(squares, (0, 0, size // 2, (size - 1) // 2))
    means = avg_pool2d(padded, (size, 1), stride=1).reshape(input.shape)
    return input / (means * alpha + k) ** beta


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12
) -> Tensor:
    """x / max(‖x‖, eps), the norm being taken along `dim`."""
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps)


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Each value 0 with probability p, else over 1 − p; the identity in evaluation."""
    return _drop(input, input.shape, p, training, inplace)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels of (N, C, L) or (C, L)."""
    return _drop(input, _of_channels(input, 1, "dropout1d"), p, training, inplace)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels of (N, C, H, W)."""
    mask_shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    return _drop(input, mask_shape, p, training, inplace)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _drop(input, _of_channels(input, 3, "dropout3d"), p, training, inplace)


def _of_channels(input: Tensor, axes: int, name: str) -> tuple[int, ...]:
    """The shape of one number for each channel, of images of so many axes."""
    if input.ndim not in (axes + 1, axes + 2):
        raise ShapeError(
            f"{name}: Expected {axes + 1}D or {axes + 2}D input, but received a "
            f"{input.ndim}D input"
        )
    return (*input.shape[:-axes], *[1] * axes)


def _drop(
    input: Tensor, mask_shape: tuple[int, ...], p: float, training: bool, inplace: bool
) -> Tensor:
    check_probability(p)
    if not training or p == 0:
        return input
    (mask,) = derived(partial(_draw_mask, input.shape, mask_shape, p, input.dtype))
    y = normalization.Dropout(p)(input, mask)
    return input.become(y) if inplace else y


def _draw_mask(
    shape: tuple[int, ...], drawn: tuple[int, ...], p: float, dtype: Any
) -> tuple[Any]:
    """What `Dropout` multiplies by: of this shape, numbers being drawn for another."""
    mask = _draw_kept(drawn, p, dtype) / (1 - p if p < 1 else 1)
    # Writable where it is broadcast: a plan draws the next one in the same memory.
    strides = np.broadcast_to(mask, shape).strides
    return (np.lib.stride_tricks.as_strided(mask, shape, strides),)


def _draw_kept(shape: tuple[int, ...], p: float, dtype: Any) -> Any:
    """An array of 0 with probability p, else 1."""
    kept = random.default_generator.numpy.random(shape) >= p
    return kept.astype(dtype)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout to the least value of `selu`; then mean 0 and variance 1 are as before."""
    return _drop_to_least(input, input.shape, p, training, inplace)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """alpha_dropout of whole channels of (N, C, …)."""
    if training and input.ndim < 2:
        raise ShapeError(
            f"feature_alpha_dropout takes (N, C, …), got {list(input.shape)}"
        )
    mask_shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    return _drop_to_least(input, mask_shape, p, training, inplace)


def _drop_to_least(
    input: Tensor, mask_shape: tuple[int, ...], p: float, training: bool, inplace: bool
) -> Tensor:
    """a (x m − c (1 − m) + c p): m is drawn, −c what is dropped to, and a makes the
    variance 1 again: a = 1 / √((c² p + 1) (1 − p)).
    """
    check_probability(p)
    if not training or p == 0:
        return input
    m, c = _draw_kept(mask_shape, p, input.dtype), SELU_ALPHA * SELU_SCALE
    a = 1 / math.sqrt((c**2 * p + 1) * (1 - p)) if p < 1 else 0.0
    y = input * Tensor._wrap(a * m) + Tensor._wrap(a * c * (m - 1 + p))
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
