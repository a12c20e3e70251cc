"""Losses: a number for how far predictions are from targets. See `ops.classification`.

reduction: "mean", "sum", or "none" for one loss per target. `size_average` and `reduce`
are PyTorch's older arguments for it, and translated with a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar
from typing import Any, ClassVar

from ..core.engine import Tensor
from . import functional as F
from .functional.loss import KL_REDUCTIONS, REDUCTIONS, check_power, check_reduction
from .layer import FunctionLayer, Layer


def default_loss(model: Any) -> Callable[..., Tensor]:
    """The loss of a model where none is given: its attribute `loss`, else cross-entropy.

    Cross-entropy begins with log-softmax, which leaves log-probabilities as they are: so a
    model may end in log-softmax or in scores.
    """
    own = getattr(model, "loss", None)
    return F.cross_entropy if own is None else own


def loss_of(
    model: Any, output: Any, labels: Any = None, loss: Callable[..., Any] | None = None
) -> Any:
    """loss(output, labels), by default of the model's loss; loss(output) without labels.

    The output itself where neither loss nor labels are given.
    """
    if labels is None:
        return output if loss is None else loss(output)
    return (default_loss(model) if loss is None else loss)(output, labels)


class _Loss(FunctionLayer):
    """A loss whose options are those of its function; tensors among them are buffers."""

    _reductions: ClassVar[tuple[str, ...]] = REDUCTIONS

    def __post_init__(self, size_average: Any = None, reduce: Any = None) -> None:
        super().__post_init__()
        given = vars(self)["reduction"], size_average, reduce, self._reductions
        self.reduction: str = check_reduction(*given)
        for name in ("weight", "pos_weight"):
            if name in self._options:
                self.register_buffer(name, self.__dict__.pop(name))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        return self._run(input, target)

    def extra_repr(self) -> str:
        return ""


class MSELoss(_Loss, function=F.mse_loss):
    """(input − target)², both of any one shape."""

    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"


class L1Loss(_Loss, function=F.l1_loss):
    """|input − target|, both of any one shape."""

    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"


class SmoothL1Loss(_Loss, function=F.smooth_l1_loss):
    """HuberLoss of delta = beta, over beta; of beta = 0 L1Loss."""

    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"
    beta: float = 1.0


class HuberLoss(_Loss, function=F.huber_loss):
    """d² / 2 for |d| ≤ delta, else delta (|d| − delta / 2), where d = input − target."""

    reduction: str = "mean"
    delta: float = 1.0


class NLLLoss(_Loss, function=F.nll_loss):
    """−weight[t] · input[t]: log-probabilities (N, C, …) or (C), targets t (N, …) or ().

    weight (C): of the classes. Targets equal to ignore_index do not count. The mean is
    over the weights that count.
    """

    weight: Tensor | None = None
    size_average: InitVar[Any] = None
    ignore_index: int = -100
    reduce: InitVar[Any] = None
    reduction: str = "mean"


NLLLoss2d = NLLLoss  # of images; PyTorch's older name


class CrossEntropyLoss(_Loss, function=F.cross_entropy):
    """NLLLoss of the log-softmax: scores (N, C, …) or (C), targets (N, …) or ().

    Targets of floating dtype are class probabilities of the scores' shape.
    label_smoothing ε mixes ε / C into the target's distribution.
    """

    weight: Tensor | None = None
    size_average: InitVar[Any] = None
    ignore_index: int = -100
    reduce: InitVar[Any] = None
    reduction: str = "mean"
    label_smoothing: float = 0.0


class BCELoss(_Loss, function=F.binary_cross_entropy):
    """−t ln x − (1 − t) ln(1 − x) for probabilities x, times weight; any one shape."""

    weight: Tensor | None = None
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"


class BCEWithLogitsLoss(_Loss, function=F.binary_cross_entropy_with_logits):
    """−pos_weight t ln σ(x) − (1 − t) ln(1 − σ(x)), times weight; any one shape."""

    weight: Tensor | None = None
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"
    pos_weight: Tensor | None = None


class KLDivLoss(_Loss, function=F.kl_div):
    """t (ln t − x) for log-probabilities x; log_target: the target is ln t.

    reduction "batchmean": their sum over the number of images.
    """

    _reductions = KL_REDUCTIONS
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"
    log_target: bool = False


class SoftMarginLoss(_Loss, function=F.soft_margin_loss):
    """ln(1 + e^(−t x)) for targets t of 1 and −1."""

    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"


class MultiLabelSoftMarginLoss(_Loss, function=F.multilabel_soft_margin_loss):
    """The mean over classes (the last axis) of BCEWithLogitsLoss."""

    weight: Tensor | None = None
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"


class MultiMarginLoss(_Loss, function=F.multi_margin_loss):
    """Σ_k≠t weight[t] max(0, margin − x_t + x_k)^p / C for scores (N, C) or (C)."""

    p: int = 1
    margin: float = 1.0
    weight: Tensor | None = None
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"

    def __post_init__(self, size_average: Any = None, reduce: Any = None) -> None:
        super().__post_init__(size_average, reduce)
        check_power(self.p)


class PoissonNLLLoss(_Loss, function=F.poisson_nll_loss):
    """eˣ − t x, or x − t ln(x + eps) without log_input; full: plus nearly ln t!."""

    log_input: bool = True
    full: bool = False
    size_average: InitVar[Any] = None
    eps: float = 1e-8
    reduce: InitVar[Any] = None
    reduction: str = "mean"

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        return self._run(log_input, target)


class GaussianNLLLoss(_Loss, function=F.gaussian_nll_loss):
    """(ln v + (input − target)² / v) / 2, v being var and eps at least."""

    _: KW_ONLY
    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"

    def forward(  # type: ignore[override]
        self, input: Tensor, target: Tensor, var: Tensor
    ) -> Tensor:
        return self._run(input, target, var)


class CosineEmbeddingLoss(_Loss, function=F.cosine_embedding_loss):
    """1 − cos where the target is 1, max(0, cos − margin) where it is −1."""

    margin: float = 0.0
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"

    def forward(  # type: ignore[override]
        self, input1: Tensor, input2: Tensor, target: Tensor
    ) -> Tensor:
        return self._run(input1, input2, target)


class MarginRankingLoss(_Loss, function=F.margin_ranking_loss):
    """max(0, margin − t (input1 − input2)) for targets t of 1 and −1."""

    margin: float = 0.0
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"

    def forward(  # type: ignore[override]
        self, input1: Tensor, input2: Tensor, target: Tensor
    ) -> Tensor:
        return self._run(input1, input2, target)


class HingeEmbeddingLoss(_Loss, function=F.hinge_embedding_loss):
    """x where the target is 1, max(0, margin − x) where it is −1."""

    margin: float = 1.0
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"


class TripletMarginLoss(_Loss, function=F.triplet_margin_loss):
    """max(0, ‖anchor − positive‖ − ‖anchor − negative‖ + margin), over the last axis."""

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"

    def forward(  # type: ignore[override]
        self, anchor: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        return self._run(anchor, positive, negative)


class TripletMarginWithDistanceLoss(Layer):
    """TripletMarginLoss with a distance of one's own, which may be a module."""

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.reduction = check_reduction(reduction)
        given = PairwiseDistance() if distance_function is None else distance_function
        self.distance_function = given
        self.margin, self.swap = margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class CosineSimilarity(FunctionLayer, function=F.cosine_similarity):
    """x1 · x2 / (‖x1‖ ‖x2‖) along `dim`, each norm being eps at least."""

    dim: int = 1
    eps: float = 1e-8

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:  # type: ignore[override]
        return self._run(x1, x2)

    def extra_repr(self) -> str:
        return ""


class PairwiseDistance(FunctionLayer, function=F.pairwise_distance):
    """‖x1 − x2 + eps‖ along the last axis."""

    p: float = 2.0
    eps: float = 1e-6
    keepdim: bool = False

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:  # type: ignore[override]
        return self._run(x1, x2)

    def extra_repr(self) -> str:
        return ""
