"""How training goes: a row for each epoch, and a bar or some lines within it."""

from __future__ import annotations

import time
from datetime import timedelta

from ..training import BatchRecord, EndRecord, EpochRecord, Record
from .display import Display

HEADINGS = " epoch      loss  accuracy  test loss  test accuracy   seconds"
STOPPED = {
    "accuracy": "the training accuracy of --stop-at is reached",
    "patience": "the test accuracy has not improved for --patience epochs",
}


class Progress(Display):
    """Without a bar, epochs that are long have three lines within."""

    def __init__(self, epochs: int, live: bool = False) -> None:
        super().__init__(live)
        self.epochs = epochs
        self.headed = False
        self.seen = 0
        self.start = self.shown = time.perf_counter()

    def show(self, record: Record) -> None:
        """Report a record of `fit`."""
        if isinstance(record, EndRecord):
            if record.reason in STOPPED:
                self.line(f"stopped early: {STOPPED[record.reason]}")
            return
        if not self.headed:
            self.line(HEADINGS)
            self.headed = True
        if isinstance(record, BatchRecord):
            self.seen += 1
            batches = record.batches or record.batch
            if self.bar:
                self._move(record, batches)
            else:
                self._tell(record, batches)
        if isinstance(record, EpochRecord):
            self.line(_row(record))
            self.shown = time.perf_counter()

    def _tell(self, record: BatchRecord, batches: int) -> None:
        quarters = [4 * done // batches for done in (record.batch - 1, record.batch)]
        now = time.perf_counter()
        if quarters[0] < quarters[1] < 4 and now - self.shown > 1:
            self.shown = now
            share = f"{record.batch / batches:.0%}"
            self.line(f"epoch {record.epoch}, {share}: {self.figures(record, batches)}")

    def _move(self, record: BatchRecord, batches: int) -> None:
        now = time.perf_counter()
        if now - self.shown < 0.1 and record.batch < batches:
            return
        self.shown = now
        epoch = f"epoch {record.epoch}/{self.epochs}"
        self.update(epoch, record.batch, batches, self.figures(record, batches))

    def figures(self, record: BatchRecord, batches: int) -> str:
        """Loss and accuracy of the epoch so far, the speed, and the time left."""
        left = (self.epochs - record.epoch + 1) * batches - record.batch
        seconds = (time.perf_counter() - self.start) / self.seen * left
        return (
            f"loss {record.mean_loss:.4f}, accuracy {record.accuracy:.2%}, "
            f"{record.images_per_second:,.0f} images/s, "
            f"{timedelta(seconds=round(seconds))} left"
        )


def _row(record: EpochRecord) -> str:
    row = f"{record.epoch:6d}{record.loss:10.4f}{record.accuracy:10.2%}"
    if record.test is not None:
        row += f"{record.test.loss:11.4f}{record.test.accuracy:15.2%}"
    return f"{row}{record.seconds:10.1f}"
