"""How training goes, on stderr: a live bar with rich on a terminal, or plain lines."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

from ..training import BatchRecord, EndRecord, EpochRecord, Record

HEADINGS = " epoch      loss  accuracy  test loss  test accuracy   seconds"
STOPPED = {
    "accuracy": "the training accuracy of --stop-at is reached",
    "patience": "the test accuracy has not improved for --patience epochs",
}


def note(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Plain lines: a row for each epoch and, where epochs are long, three within it."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.headed = False
        self.seen = 0
        self.start = self.shown = time.perf_counter()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

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
            self.batch(record, record.batches or record.batch)
        if isinstance(record, EpochRecord):
            self.line(_row(record))
            self.shown = time.perf_counter()

    def line(self, text: str) -> None:
        """A line that stays."""
        note(text)

    def batch(self, record: BatchRecord, batches: int) -> None:
        """After each of so many batches of an epoch."""
        quarters = [4 * done // batches for done in (record.batch - 1, record.batch)]
        now = time.perf_counter()
        if quarters[0] < quarters[1] < 4 and now - self.shown > 1:
            self.shown = now
            share = f"{record.batch / batches:.0%}"
            self.line(f"epoch {record.epoch}, {share}: {self.figures(record, batches)}")

    def figures(self, record: BatchRecord, batches: int) -> str:
        """Loss and accuracy of the epoch so far, the speed, and the time left."""
        left = (self.epochs - record.epoch + 1) * batches - record.batch
        seconds = (time.perf_counter() - self.start) / self.seen * left
        return (
            f"loss {record.mean_loss:.4f}, accuracy {record.accuracy:.2%}, "
            f"{record.images_per_second:,.0f} images/s, "
            f"{timedelta(seconds=round(seconds))} left"
        )


class LiveProgress(Progress):
    """The same rows, above a bar of the epoch that runs."""

    def __init__(self, epochs: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        super().__init__(epochs)
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True, highlight=False),
            expand=True,
            transient=True,
            redirect_stdout=False,  # or else what is printed there would go to stderr
        )
        self.task = self.bar.add_task("", figures="", total=None)

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.bar.stop()

    def line(self, text: str) -> None:
        self.bar.console.print(text)

    def batch(self, record: BatchRecord, batches: int) -> None:
        now = time.perf_counter()
        if now - self.shown < 0.1 and record.batch < batches:
            return
        self.shown = now
        self.bar.update(
            self.task,
            description=f"epoch {record.epoch}/{self.epochs}",
            completed=record.batch,
            total=batches,
            figures=self.figures(record, batches),
        )


def progress(epochs: int) -> Progress:
    """The live kind on a terminal where rich is installed, or else the plain one."""
    try:
        return LiveProgress(epochs) if sys.stderr.isatty() else Progress(epochs)
    except ImportError:
        return Progress(epochs)


def _row(record: EpochRecord) -> str:
    row = f"{record.epoch:6d}{record.loss:10.4f}{record.accuracy:10.2%}"
    if record.test is not None:
        row += f"{record.test.loss:11.4f}{record.test.accuracy:15.2%}"
    return f"{row}{record.seconds:10.1f}"
