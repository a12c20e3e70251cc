"""How training goes: a row for each epoch, and a bar or some lines within it."""

from __future__ import annotations

import time
from datetime import timedelta

from ..training.fitting import BatchRecord, EndRecord, EpochRecord, Record
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
        self.epochs, self.seen, self.headed = epochs, 0, False

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
            self._show_batch(record, record.batches or record.batch)
        if isinstance(record, EpochRecord):
            self.line(_row(record))
            self.shown = time.perf_counter()

    def _show_batch(self, record: BatchRecord, batches: int) -> None:
        self.seen += 1
        epoch, done = f"epoch {record.epoch}", record.batch
        if self.bar:
            if done == batches or self.is_due(0.1):
                about = f"{epoch}/{self.epochs}"
                self.update(about, done, batches, self._figures(record, batches))
            return
        before, quarters = 4 * (done - 1) // batches, 4 * done // batches
        if before < quarters < 4 and self.is_due(1):
            figures = self._figures(record, batches)
            self.line(f"{epoch}, {done / batches:.0%}: {figures}")

    def _figures(self, record: BatchRecord, batches: int) -> str:
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
