"""How a reproduction goes: a bar of the whole, or else a line for each part and minute."""

from __future__ import annotations

import time

from ..reproduce.run import Step
from .display import Display, time_left


class Progress(Display):
    """Says which part runs, and how long the rest will take."""

    def __init__(self, live: bool = False) -> None:
        super().__init__(live)
        self.start = self.told = time.perf_counter()
        self.part = ""

    def show(self, step: Step) -> None:
        """Report where it stands."""
        part, now = f"{step.experiment}: {step.part}", time.perf_counter()
        self.update(f"{part}, {step.done:.0%}", step.share, 1.0, self.left(step))
        late = now - self.told > 60 and step.done < 1
        if self.bar or not (late or part != self.part):
            return
        share = f"{step.done:.0%}" if part == self.part else ""
        self.line(", ".join([word for word in (part, share, self.left(step)) if word]))
        self.part, self.told = part, now

    def left(self, step: Step) -> str:
        """The time left, once there is anything to guess it from."""
        seconds = time.perf_counter() - self.start
        if step.share < 0.01 or seconds < 5:
            return ""
        return f"about {time_left(seconds, step.share)} left"
