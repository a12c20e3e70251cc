"""Losses."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ...engine import Tensor
from ...errors import ArgumentError, ShapeError
from ...methods.base import promote, raw
from ...ops import classification
from ...ops.normalization import per_channel


def checked_reduction(
    reduction: str, size_average: Any = None, reduce: Any = None
) -> str:
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
    return losses.mean() if reduction == "mean" else losses.sum()


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
        checked_reduction(reduction, size_average, reduce), ignore_index
    )
    y: Tensor = op(input, target, weight)
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
    reduction = checked_reduction(reduction, size_average, reduce)
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
    if total == 0:  # nothing counts: the mean is NaN, and no score has a part in it
        return losses.sum() + math.nan
    return losses.sum() / total


def _of_classes(weight: Tensor | None, logs: Tensor) -> Any:
    if weight is None:
        return 1.0
    return weight if logs.ndim == 1 else per_channel(weight, logs.ndim)


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


def _weighted(losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return _reduced(losses, reduction)
    if weight.shape != losses.shape:
        raise ShapeError(
            f"weights {list(weight.shape)} for losses {list(losses.shape)}"
        )
    if reduction == "mean":
        return (losses * weight).sum() / weight.sum()
    return _reduced(losses * weight, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input − target)², their mean unless asked otherwise (`lenet`)."""
    losses = classification.SquaredError()(*_matching(input, target))
    return _weighted(losses, weight, checked_reduction(reduction, size_average, reduce))


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input − target|, their mean unless asked otherwise."""
    losses = classification.AbsoluteError()(*_matching(input, target))
    return _weighted(losses, weight, checked_reduction(reduction, size_average, reduce))


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
    return _reduced(losses, checked_reduction(reduction, size_average, reduce))
