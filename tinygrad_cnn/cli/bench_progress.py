"""How a benchmark goes, on stderr: a bar with rich on a terminal, or else plain lines."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

from .progress import note


class Progress:
    """Plain: a line at the beginning of each case."""

    def __init__(self, cases: int, peers: int, rounds: int) -> None:
        self.cases, self.done = cases, 0
        # Each peer is built and warmed up, then come the rounds.
        self.events = 2 * peers + rounds
        self.seen = 0
        self.case = ""
        self.start = time.perf_counter()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def begin(self, case: str) -> None:
        """A case begins."""
        self.case, self.seen = case, 0
        self.done += 1
        self.line(f"{case}, {self.done} of {self.cases}{self.left()}")

    def tell(self, what: str) -> None:
        """Something of the case begins."""
        self.seen = min(self.seen + 1, self.events)

    def line(self, text: str) -> None:
        """A line that stays."""
        note(text)

    @property
    def share(self) -> float:
        """How much of all is done, 0 to 1."""
        return max(0, self.done - 1 + self.seen / self.events) / self.cases

    def left(self) -> str:
        """The time left, if there is anything to guess it from."""
        if self.share < 0.02:
            return ""
        seconds = (time.perf_counter() - self.start) * (1 / self.share - 1)
        return f", about {timedelta(seconds=round(seconds))} left"


class LiveProgress(Progress):
    """A bar of the whole, with what is going on."""

    def __init__(self, cases: int, peers: int, rounds: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        super().__init__(cases, peers, rounds)
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True, highlight=False),
            expand=True,
            transient=True,
            redirect_stdout=False,  # or else what is printed there would go to stderr
        )
        self.task = self.bar.add_task("", left="", total=1.0)

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.bar.stop()

    def begin(self, case: str) -> None:
        self.case, self.seen = case, 0
        self.done += 1

    def tell(self, what: str) -> None:
        super().tell(what)
        self.bar.update(
            self.task,
            description=f"{self.case}: {what}" if self.case else what,
            completed=self.share,
            left=self.left().strip(", "),
        )


def progress(cases: int, peers: int, rounds: int) -> Progress:
    """The live kind on a terminal where rich is installed, or else the plain one."""
    try:
        kind = LiveProgress if sys.stderr.isatty() else Progress
        return kind(cases, peers, rounds)
    except ImportError:
        return Progress(cases, peers, rounds)
