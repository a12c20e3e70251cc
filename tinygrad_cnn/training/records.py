"""What a run of training tells, batch by batch and epoch by epoch, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..metrics import Scores


@dataclass(frozen=True)
class Record:
    """What `fit` yields. epoch: its number, from 1; accuracies are shares, 0 to 1."""

    epoch: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values, and "event": "batch", "epoch" or "end"."""
        values = vars(self).copy()
        if isinstance(test := values.get("test"), Scores):
            values["test"] = test.to_dict()
        return {"event": type(self).__name__.removesuffix("Record").lower(), **values}


@dataclass(frozen=True)
class BatchRecord(Record):
    """One batch done: the `batch`-th, from 1, of `batches` (None: not known).

    loss is this batch's; mean_loss, accuracy and images_per_second are the epoch's so far.
    """

    batch: int
    batches: int | None
    loss: float
    mean_loss: float
    accuracy: float
    images_per_second: float
    lr: float


@dataclass(frozen=True)
class EpochRecord(Record):
    """One epoch done: loss and accuracy are means over it, while the weights changed.

    seconds: those of its batches. test: the scores on the test set, if there is one.
    """

    loss: float
    accuracy: float
    test: Scores | None
    seconds: float
    lr: float


@dataclass(frozen=True)
class EndRecord(Record):
    """Training has ended; reason: "accuracy", "patience" or "epochs"."""

    reason: str


@dataclass
class Progress:
    """Where training stands: epochs done, batches done of the next, and sums over these.

    accuracy is that of the last whole epoch, best the best (test accuracy, −test loss),
    stale the number of epochs since, logged the last line of the log.
    """

    epoch: int = 0
    batch: int = 0
    images: int = 0
    correct: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    accuracy: float = 0.0
    best: tuple[float, ...] = ()
    stale: int = 0
    logged: str = ""

    def __post_init__(self) -> None:
        for known in fields(self):
            value = getattr(self, known.name)
            if not isinstance(value, type(known.default)):
                raise TypeError(f"{known.name} cannot be {value!r}")
