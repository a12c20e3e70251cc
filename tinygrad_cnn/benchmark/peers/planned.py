"""This package, with the step or the forward pass planned once and then replayed."""

from __future__ import annotations

from typing import Any

from ..cases import Case
from . import ours
from .base import Program, Unsupported
from .torch_style import Inference, Style, Training

LIBRARY = "tinygrad_cnn.planning"

available = ours.available


def build(case: Case) -> Program:
    """The program of a case."""
    import tinygrad_cnn
    import tinygrad_cnn.optim

    if case.kind not in ("training", "inference"):
        raise Unsupported("only training steps and inference are planned here")
    style = Style(tinygrad_cnn)
    if case.kind == "training":
        return _PlannedTraining(case, style)
    return _PlannedInference(case, style)


class _PlannedTraining(Training):
    def __init__(self, case: Case, style: Style) -> None:
        super().__init__(case, style)
        self.planned = style.torch.planned(self.net, self.loss_of)

    def whole(self, images: Any, labels: Any) -> Any:
        """One step; the loss before it."""
        loss, _ = self.planned(images, labels)
        self.update()
        return loss


class _PlannedInference(Inference):
    def __init__(self, case: Case, style: Style) -> None:
        super().__init__(case, style)
        self.forward = style.torch.planned(self.net)
