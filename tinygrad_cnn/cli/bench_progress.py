"""How a benchmark goes: a bar of the whole, or else a line where a case begins."""

from __future__ import annotations

import time

from .display import Display, time_left


class Progress(Display):
    """Counts what is told of each case."""

    def __init__(self, cases: int, peers: int, rounds: int, live: bool = False) -> None:
        super().__init__(live)
        self.cases, self.done = cases, 0
        # Each peer is built and warmed up, then come the rounds.
        self.events = 2 * peers + rounds
        self.seen = 0
        self.case = ""
        self.start = time.perf_counter()

    def begin(self, case: str) -> None:
        """A case begins."""
        self.case, self.seen = case, 0
        self.done += 1
        if not self.bar:
            left = self.left()
            self.line(f"{case}, {self.done} of {self.cases}{left and f', {left}'}")

    def tell(self, what: str) -> None:
        """Something of the case begins."""
        self.seen = min(self.seen + 1, self.events)
        description = f"{self.case}: {what}" if self.case else what
        self.update(description, self.share, 1.0, self.left())

    @property
    def share(self) -> float:
        """How much of all is done, 0 to 1."""
        return max(0, self.done - 1 + self.seen / self.events) / self.cases

    def left(self) -> str:
        """The time left, if there is anything to guess it from."""
        if self.share < 0.02:
            return ""
        return f"about {time_left(time.perf_counter() - self.start, self.share)} left"
