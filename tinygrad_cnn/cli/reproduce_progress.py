"""How a reproduction goes, on stderr: a bar on a terminal with rich, or plain lines."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

from ..reproduce.run import Step
from .progress import note


class Progress:
    """Plain: a line at the beginning of each part, and each minute within it."""

    def __init__(self) -> None:
        self.start = self.told = time.perf_counter()
        self.part = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def show(self, step: Step) -> None:
        """Report where it stands."""
        part, now = f"{step.experiment}: {step.part}", time.perf_counter()
        if part != self.part:
            note(f"{part}{self.left(step)}")
        elif now - self.told > 60 and step.done < 1:
            note(f"{part}, {step.done:.0%}{self.left(step)}")
        else:
            return
        self.part, self.told = part, now

    def left(self, step: Step) -> str:
        """The time left, once there is anything to guess it from."""
        seconds = time.perf_counter() - self.start
        if step.share < 0.01 or seconds < 5:
            return ""
        left = timedelta(seconds=round(seconds * (1 / step.share - 1)))
        return f", about {left} left"


class LiveProgress(Progress):
    """A bar of the whole, with the part that runs."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        super().__init__()
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:.0f} %{task.fields[left]}"),
            console=Console(stderr=True, highlight=False),
            expand=True,
            transient=True,
        )
        self.task = self.bar.add_task("", left="", total=1.0)

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.bar.stop()

    def show(self, step: Step) -> None:
        self.bar.update(
            self.task,
            description=f"{step.experiment}: {step.part}, {step.done:.0%}",
            completed=step.share,
            left=self.left(step),
        )


def progress() -> Progress:
    """The live kind on a terminal where rich is installed, or else the plain one."""
    try:
        return LiveProgress() if sys.stderr.isatty() else Progress()
    except ImportError:
        return Progress()
