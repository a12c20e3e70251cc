"""Batch normalisation, dropout, and labels as vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import generator as random
from ...core.engine import Tensor
from ...core.recording import change
from ...errors import ArgumentError, DTypeError, ShapeError
from ...kernels import active
from ...ops import normalization
from ...ops.normalization import per_channel


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
