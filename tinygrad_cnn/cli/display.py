"""Lines on stderr, above a bar of what is going on where that is a terminal with rich."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

D = TypeVar("D", bound="Display")


def note(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


def time_left(seconds: float, share: float) -> timedelta:
    """How long the rest takes, if this share took so many seconds; whole seconds."""
    return timedelta(seconds=round(seconds * (1 / share - 1)))


class Display:
    """A base for what reports progress, used in a `with`; bar: None for lines only."""

    def __init__(self, live: bool = False) -> None:
        self.bar = _make_bar() if live else None
        self.start = self.shown = time.perf_counter()

    def __enter__(self: D) -> D:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def line(self, text: str) -> None:
        """A line that stays."""
        if self.bar:
            self.bar.console.print(text)
        else:
            note(text)

    def update(self, text: str, done: float, total: float, figures: str = "") -> None:
        """Set the bar, where there is one, with text before and figures behind it."""
        if self.bar:
            (task,) = self.bar.task_ids
            self.bar.update(
                task, completed=done, total=total, description=text, figures=figures
            )

    def is_due(self, seconds: float) -> bool:
        """Whether it is so long ago that this was last true, or the display began."""
        now = time.perf_counter()
        if now - self.shown <= seconds:
            return False
        self.shown = now
        return True


def can_be_live() -> bool:
    """Whether stderr is a terminal, and rich is installed."""
    if not sys.stderr.isatty():
        return False
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


def _make_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}"),
        console=Console(stderr=True, highlight=False),
        expand=True,
        transient=True,
        redirect_stdout=False,  # or else what is printed there would go to stderr
    )
    bar.add_task("", figures="", total=None)
    return bar
