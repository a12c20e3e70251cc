"""Losses: a number for how far predictions are from targets. See `ops.classification`.

reduction: "mean", "sum", or "none" for one loss per target. `size_average` and `reduce`
are PyTorch's older arguments for it, and refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.engine import Tensor
from . import functional as F
from .layer import Layer


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


class _Loss(Layer):
    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.reduction = F.check_reduction(reduction, size_average, reduce)


class MSELoss(_Loss):
    """(input − target)², both of any one shape."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|input − target|, both of any one shape."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class NLLLoss(_Loss):
    """−weight[t] · input[t]: log-probabilities (N, C, …) or (C), targets t (N, …) or ().

    weight (C): of the classes. Targets equal to ignore_index do not count. The mean is
    over the weights that count.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input, target, self.weight, None, self.ignore_index, None, self.reduction
        )


class CrossEntropyLoss(_Loss):
    """NLLLoss of the log-softmax: scores (N, C, …) or (C), targets (N, …) or ().

    Targets of floating dtype are class probabilities of the scores' shape.
    label_smoothing ε mixes ε / C into the target's distribution.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        options = self.ignore_index, None, self.reduction, self.label_smoothing
        return F.cross_entropy(input, target, self.weight, None, *options)


class BCEWithLogitsLoss(_Loss):
    """−pos_weight t ln σ(x) − (1 − t) ln(1 − σ(x)), times weight; any one shape."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, None, None, self.reduction, self.pos_weight
        )
