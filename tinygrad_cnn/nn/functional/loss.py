"""Losses: numbers for how far scores are from targets; formulas in `ops.classification`."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ...core.engine import Tensor
from ...core.methods.base import promote, raw
from ...errors import ArgumentError, ShapeError
from ...ops import classification
from ...ops.normalization import per_channel


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
    if not (
        input.ndim and target.ndim
    ):  # so that the dtypes count alike, as in PyTorch
        shape = input.shape or target.shape
        input, target = input.expand(shape), target.expand(shape)
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
