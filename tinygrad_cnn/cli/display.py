"""Tables on stdout; lines on stderr, with a bar where that is a terminal with rich."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from ..metrics import Scores
from ..output.text import format_columns
from .options import note

if TYPE_CHECKING:
    from rich.progress import Progress


def show(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    print("\n".join(format_columns([headings, *rows], 1)))


def figures(scores: Scores, of: str = "") -> dict[str, str]:
    """The figures of an evaluation, with names that begin with `of`."""
    shares = {"accuracy": scores.accuracy, "precision": scores.precision}
    shares |= {"recall": scores.recall, "F1": scores.f1}
    percents = {f"{of}{name}": f"{share:.2%}" for name, share in shares.items()}
    return {f"{of}loss": f"{scores.loss:.4f}"} | percents


class Display(ExitStack):
    """A base for what reports progress, used in a `with`; bar: None for lines only.

    share: how much of all is done, 0 to 1. first: the share that was done at the start.
    """

    def __init__(self, live: bool = False) -> None:
        super().__init__()
        bar = _make_bar() if live or sys.stderr.isatty() else None
        self.bar = bar and self.enter_context(bar)
        self.start = self.shown = time.perf_counter()
        self.share = self.first = 0.0

    def line(self, text: str) -> None:
        """A line that stays."""
        if self.bar:
            self.bar.console.print(text)
        else:
            note(text)

    def update(
        self, text: str, share: float, figures: str = "", every: float = 0.0
    ) -> None:
        """Set the bar, with text before, and figures and the time left behind it.

        Without a bar it is a line, unless the last one is not `every` seconds ago.
        """
        self.share = share
        now = time.perf_counter()
        behind = ", ".join(filter(None, [figures, self.left()]))
        if self.bar:
            (task,) = self.bar.task_ids
            self.bar.update(task, completed=share, description=text, figures=behind)
        elif now - self.shown >= every:
            self.shown = now
            note(", ".join(filter(None, [text, behind])))

    def left(self) -> str:
        """The time left, once there is anything to guess it from; whole seconds."""
        seconds, done = time.perf_counter() - self.start, self.share - self.first
        if seconds < 5 or done < 0.01:
            return ""
        rest = timedelta(seconds=round(seconds * (1 - self.share) / done))
        return f"about {rest} left"


def _make_bar() -> Progress | None:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
    except ImportError:
        return None
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}"),
        console=Console(stderr=True, highlight=False),
        expand=True,
        transient=True,
        redirect_stdout=False,  # or else what is printed there would go to stderr
    )
    bar.add_task("", figures="", total=1.0)
    return bar
