"""How good predictions are: the confusion matrix and the four figures of `patches`.

With C the confusion matrix (C[l, p] of the examples of class l were taken for p):

    accuracy    = Σ_k C[k, k] / Σ C
    precision_k = C[k, k] / Σ_l C[l, k]        of those taken for k, the share that is k
    recall_k    = C[k, k] / Σ_p C[k, p]        of those that are k, the share taken for k
    F1_k        = 2 C[k, k] / (Σ_l C[l, k] + Σ_p C[k, p])       their harmonic mean

Precision, recall and F1 are averaged over all classes (macro); 0 / 0 counts as 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .core.engine import Tensor
from .errors import LabelError, ShapeError

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scores:
    """The figures of one evaluation.

    confusion: int64 (classes, classes), a row for each label, a column for each prediction.
    loss: the mean loss per example, or None where no loss was computed.
    """

    confusion: Counts
    loss: float | None = None

    @classmethod
    def of(cls, labels: Any, predictions: Any, classes: int | None = None) -> Scores:
        """The scores of predicted classes; see `confusion_matrix`."""
        return cls(confusion_matrix(labels, predictions, classes))

    @property
    def accuracy(self) -> float:
        """The share of the examples whose class was predicted."""
        return float(_share(np.trace(self.confusion), self.confusion.sum()))

    @property
    def precision(self) -> float:
        """Macro precision."""
        return _mean(_share(np.diag(self.confusion), self.confusion.sum(axis=0)))

    @property
    def recall(self) -> float:
        """Macro recall."""
        return _mean(_share(np.diag(self.confusion), self.confusion.sum(axis=1)))

    @property
    def f1(self) -> float:
        """Macro F1: the mean of the classes' F1, not the F1 of the means."""
        taken, are = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        return _mean(_share(2 * np.diag(self.confusion), taken + are))

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values; a loss that is not finite is None."""
        loss = self.loss if math.isfinite(self.loss or 0.0) else None
        figures = ("accuracy", "precision", "recall", "f1")
        found = {"loss": loss} | {name: getattr(self, name) for name in figures}
        return found | {"confusion": self.confusion.tolist()}


def confusion_matrix(
    labels: Any, predictions: Any, classes: int | None = None
) -> Counts:
    """How many examples of each class (row) were taken for each class (column).

    labels, predictions: integer Tensors, arrays or lists of one shape. classes: how many
    there are; None for one more than the largest that occurs.
    Raises LabelError for what is no class, ShapeError for different shapes.
    """
    rows, columns = _classes(labels, "labels"), _classes(predictions, "predictions")
    if rows.shape != columns.shape:
        raise ShapeError(
            f"labels have shape {list(rows.shape)} and predictions "
            f"{list(columns.shape)}; expected one predicted class for each label"
        )
    both = np.concatenate([rows.ravel(), columns.ravel()])
    count = int(both.max(initial=-1)) + 1 if classes is None else classes
    wrong = both[(both < 0) | (both >= count)]
    if wrong.size:
        raise LabelError(
            f"labels and predictions must be classes 0..{count - 1}; found {wrong[0]}"
        )
    flat = rows.ravel() * count + columns.ravel()
    return np.bincount(flat, minlength=count * count).reshape(count, count)


def _classes(values: Any, name: str) -> Counts:
    array = values._array if isinstance(values, Tensor) else np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise LabelError(f"{name} must be integers, not {array.dtype}")
    return array.astype(np.int64)


def _share(part: Any, whole: Any) -> Any:
    """part / whole, where 0 / 0 is 0."""
    return part / np.maximum(whole, 1)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0
