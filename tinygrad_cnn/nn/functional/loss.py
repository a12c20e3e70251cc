"""Losses: numbers for how far scores are from targets; formulas in `ops.classification`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...core.deriving import derived
from ...core.engine import Tensor
from ...core.methods.arithmetic import where
from ...core.methods.base import promote, raw
from ...errors import ArgumentError, DTypeError, ShapeError
from ...ops import activation, classification
from ...ops.normalization import per_channel

REDUCTIONS = "none", "mean", "sum"


def check_reduction(
    reduction: str,
    size_average: Any = None,
    reduce: Any = None,
    known: tuple[str, ...] = REDUCTIONS,
) -> str:
    """The reduction, if there is such a one; or what the two older arguments say."""
    if size_average is not None or reduce is not None:
        means, reduces = (old is None or bool(old) for old in (size_average, reduce))
        reduction = ("mean" if means else "sum") if reduces else "none"
        warnings.warn(
            f"size_average and reduce are old names: say reduction={reduction!r}",
            UserWarning,
            stacklevel=3,
        )
    if reduction not in known:
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
    reduction = check_reduction(reduction, size_average, reduce)
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
    reduction = check_reduction(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            f"label_smoothing must be between 0.0 and 1.0, got {label_smoothing}"
        )
    classes = 0 if input.ndim == 1 else 1
    logs = input.log_softmax(classes)
    share = label_smoothing / input._array.shape[classes]
    if raw(target).dtype.kind == "f":
        if ignore_index >= 0:
            raise ArgumentError("ignore_index is for class indices, not probabilities")
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

    def count(t: Any, w: Any) -> tuple[Any, Any]:
        w = np.ones(logs.shape[classes], logs.dtype) if w is None else w
        counted = (t != ignore_index).astype(logs.dtype)
        return counted, np.asarray((w[np.where(counted, t, 0)] * counted).sum())

    counted, total = derived(
        count, raw(target), None if weight is None else raw(weight)
    )
    losses = -(logs * _weights_of_classes(weight, logs)).sum(classes)
    losses = losses * Tensor._wrap(counted)
    if reduction == "mean" and total == 0:
        # Nothing counts: the mean is NaN, and no score has a part in it.
        return losses.sum() + math.nan
    return _reduce(losses, reduction, Tensor._wrap(total))


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
    reduction = check_reduction(reduction, size_average, reduce)
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
    reduction = check_reduction(reduction, size_average, reduce)
    return _reduce_weighted(losses, weight, reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d² / 2 for |d| ≤ delta, else delta (|d| − delta / 2), where d = input − target."""
    if delta <= 0:
        raise ArgumentError(f"huber_loss takes a positive delta, got {delta}")
    losses = classification.Huber(delta)(*_match(input, target))
    return _reduce_weighted(losses, weight, check_reduction(reduction))


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """The Huber loss of delta = beta over beta; of beta = 0 the absolute error."""
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss takes a beta of at least 0, got {beta}")
    reduction = check_reduction(reduction, size_average, reduce)
    a, b = _match(input, target)
    if beta == 0:
        return _reduce(classification.AbsoluteError()(a, b), reduction)
    return _reduce(classification.Huber(beta)(a, b) / beta, reduction)


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
    reduction = check_reduction(reduction, size_average, reduce)
    if input.shape != target.shape:
        raise ShapeError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    x, t = promote(input, target)
    losses = classification.LogisticLoss()(
        x, t, 1.0 if pos_weight is None else pos_weight
    )
    return _reduce(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """−t ln x − (1 − t) ln(1 − x), times weight. See `BinaryCrossEntropy`."""
    reduction = check_reduction(reduction, size_average, reduce)
    if input.shape != target.shape:
        raise ShapeError(
            f"binary_cross_entropy takes a target of the input's shape {input.shape}, got "
            f"{target.shape}"
        )
    x = input._array
    if not ((x >= 0) & (x <= 1)).all():
        raise ArgumentError(
            "all elements of input should be between 0 and 1; "
            "binary_cross_entropy_with_logits takes any"
        )
    losses = classification.BinaryCrossEntropy()(*promote(input, target))
    return _reduce(losses if weight is None else losses * weight, reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """ln(1 + e^(−t x)) for targets t of 1 and −1."""
    reduction = check_reduction(reduction, size_average, reduce)
    return _reduce(_softplus(-target * input), reduction)


def _softplus(x: Tensor) -> Tensor:
    """ln(1 + eˣ), however large x is."""
    return activation.Softplus(threshold=math.inf)(x)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes (the last axis) of −t ln σ(x) − (1 − t) ln(1 − σ(x))."""
    reduction = check_reduction(reduction, size_average, reduce)
    losses = target * _softplus(-input) + (1 - target) * _softplus(input)
    losses = losses if weight is None else losses * weight
    return _reduce(losses.sum(-1) / input.shape[-1], reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ_k≠t weight[t] max(0, margin − x_t + x_k)^p / C for scores (N, C) or (C)."""
    reduction = check_reduction(reduction, size_average, reduce)
    check_power(p)
    single = input.ndim < 2
    x, labels = input.reshape(1, -1) if single else input, raw(target).reshape(-1)
    if x.ndim != 2 or labels.shape != x.shape[:1]:
        raise ShapeError(
            "multi_margin_loss takes scores (N, C) or (C) and one label each, got "
            f"{list(input.shape)} and {list(target.shape)}"
        )
    right = classification.Pick()(x, labels).unsqueeze(1)
    gaps = (x - right + margin).relu() ** p
    others = labels[:, None] != np.arange(x.shape[1])
    gaps = gaps if weight is None else gaps * weight[labels].unsqueeze(1)
    losses = where(Tensor._wrap(others), gaps, 0.0).sum(1) / x.shape[1]
    return _reduce(losses.reshape(()) if single else losses, reduction)


def check_power(p: int) -> None:
    """Refuse a power of the multi-class margin loss but 1 and 2."""
    if p not in (1, 2):
        raise ArgumentError("only p == 1 and p == 2 supported")


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """t (ln t − x) for log-probabilities x; reduction "batchmean" divides by the images.

    log_target: the target is ln t.
    """
    reduction = check_reduction(reduction, size_average, reduce, KL_REDUCTIONS)
    if reduction == "mean":
        warnings.warn(
            "kl_div with reduction='mean' divides by the number of values; the divergence "
            "of distributions is 'batchmean', which divides by the number of images",
            UserWarning,
            stacklevel=2,
        )
    if log_target:
        losses = target.exp() * (target - input)
    else:
        losses = target * where(target == 0, 1.0, target).log() - target * input
    if reduction == "batchmean":
        return losses.sum() / input.shape[0] if input.ndim else losses
    return _reduce(losses, reduction)


KL_REDUCTIONS = (*REDUCTIONS, "batchmean")


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """eˣ − t x, or x − t ln(x + eps) without log_input.

    full: plus t ln t − t + ln(2 π t) / 2 where t > 1, which is nearly ln t!.
    """
    reduction = check_reduction(reduction, size_average, reduce)
    if log_input:
        losses = input.exp() - target * input
    else:
        losses = input - target * (input + eps).log()
    if full:
        t = where(target > 1, target, 1.0)
        stirling = t * t.log() - t + (2 * math.pi * t).log() * 0.5
        losses = losses + where(target > 1, stirling, 0.0)
    return _reduce(losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(ln v + (input − target)² / v) / 2, v being var and eps at least.

    var: of the input's shape, of one for each last axis, or a number. full: plus
    ln(2 π) / 2.
    """
    reduction = check_reduction(reduction)
    if not isinstance(var, Tensor):
        var = Tensor._wrap(np.full(input.shape, var, input.dtype))
    if var.shape == input.shape[:-1] and input.ndim:
        var = var.unsqueeze(-1)
    pairs = zip(var.shape[::-1], input.shape[::-1], strict=False)
    if var.ndim != input.ndim or any(a not in (1, b) for a, b in pairs):
        raise ShapeError(
            f"var {list(var.shape)} is of incorrect size for {input.shape}"
        )
    if (var._array < 0).any():
        raise ArgumentError("var has negative entry/entries")
    v = var + (eps - var.detach()).clamp(min=0)  # its gradient passes below eps too
    losses = (v.log() + (input - target) ** 2 / v) * 0.5
    return _reduce(losses + (0.5 * math.log(2 * math.pi) if full else 0), reduction)


# ------------------------------------------------------------- of two inputs, or of three


def cosine_similarity(
    x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8
) -> Tensor:
    """x1 · x2 / (‖x1‖ ‖x2‖) along `dim`, each norm being eps at least."""
    units = [x / x.norm(2, dim, keepdim=True).clamp(min=eps) for x in _common(x1, x2)]
    return (units[0] * units[1]).sum(dim)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """‖x1 − x2 + eps‖ along the last axis."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def _common(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one floating dtype and of the shape that they broadcast to."""
    a, b = promote(a, b)
    if a.dtype.kind != "f":
        raise DTypeError(f"cosine_similarity() needs floats, got {a.dtype}")
    shape = np.broadcast_shapes(a.shape, b.shape)
    return a.expand(shape), b.expand(shape)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """1 − cos where the target is 1, max(0, cos − margin) where it is −1.

    Of the inputs (N, D) with targets (N), or (D) with one.
    """
    reduction = check_reduction(reduction, size_average, reduce)
    if not target.ndim + 1 == input1.ndim == input2.ndim <= 2:
        raise ShapeError(
            f"cosine_embedding_loss takes inputs (N, D) and targets (N), or (D) and one "
            f"target; got {[list(t.shape) for t in (input1, input2, target)]}"
        )
    tiny = 1e-12  # keeps the root differentiable at 0
    a, b = ((x * x).sum(-1) + tiny for x in (input1, input2))
    cosine = (input1 * input2).sum(-1) / (a * b).sqrt()
    alike = where(target == 1, 1 - cosine, 0.0)
    unlike = where(target == -1, (cosine - margin).clamp(min=0), 0.0)
    return _reduce(alike + unlike, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin − t (input1 − input2)) for targets t of 1 and −1."""
    reduction = check_reduction(reduction, size_average, reduce)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss takes inputs and a target with equally many axes, got "
            f"{[list(t.shape) for t in (input1, input2, target)]}"
        )
    losses = (-target * (input1 - input2) + margin).clamp(min=0)
    return _reduce(losses, reduction)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, max(0, margin − x) where it is −1."""
    reduction = check_reduction(reduction, size_average, reduce)
    hinge = where(target != 1, (margin - input).clamp(min=0), 0.0)
    return _reduce(hinge + where(target != -1, input, 0.0), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, ‖anchor − positive‖ − ‖anchor − negative‖ + margin), norms over the last axis.

    swap: ‖positive − negative‖ counts instead where it is less.
    """
    reduction = check_reduction(reduction, size_average, reduce)
    distance = partial(pairwise_distance, p=p, eps=eps)
    given = anchor, positive, negative
    return _triplet_loss(*given, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """As `triplet_margin_loss`, with a distance of one's own."""
    distance = pairwise_distance if distance_function is None else distance_function
    given = anchor, positive, negative
    return _triplet_loss(*given, distance, margin, swap, check_reduction(reduction))


def _triplet_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[..., Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    if margin <= 0:
        raise ArgumentError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            "The anchor, positive, and negative tensors are expected to have the same "
            f"number of dimensions, but got: anchor {anchor.ndim}D, positive "
            f"{positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return _reduce((near - far + margin).clamp(min=0), reduction)
