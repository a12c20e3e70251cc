"""A case, measured: numbers compared first, then the peers in turns, round by round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..errors import BenchmarkError
from .cases import Case
from .checking import STEPS, Numbers, disagreement
from .peers import Peer
from .processes import LIMIT, NotSupported, Process

Tell = Callable[[str], None]
"""Called with what is done now, in a few words."""


@dataclass(frozen=True)
class Plan:
    """How to measure.

    rounds: turns of each peer. round_seconds: what a turn lasts at least. pause: seconds
    before each turn, in which the threads of the one before stop waiting for work.
    limit: seconds that a peer has for one answer, compilation included.
    """

    rounds: int = 11
    round_seconds: float = 0.2
    pause: float = 0.1
    threads: int = 1
    limit: float = LIMIT


@dataclass
class Outcome:
    """What a peer did with a case.

    state: timed, unsupported, disagrees or failed; reason says why it was not timed.
    seconds: of one step, a mean for each round. growth, total: bytes of memory.
    """

    peer: Peer
    state: str = "timed"
    reason: str = ""
    steps: int = 0
    seconds: list[float] = field(default_factory=list)
    growth: int = 0
    total: int = 0


@dataclass
class _Turn:
    """A peer at work."""

    outcome: Outcome
    process: Process

    @contextmanager
    def excuse(self) -> Iterator[None]:
        """A peer that fails in the block is out, and the others go on."""
        try:
            yield
        except NotSupported as error:
            self.end("unsupported", str(error))
        except BenchmarkError as error:
            self.end("failed", str(error))

    def end(self, state: str, reason: str) -> None:
        """Take no more part, for this reason."""
        self.outcome.state, self.outcome.reason = state, reason
        self.outcome.seconds.clear()
        self.process.close()


def run_case(
    case: Case, peers: Sequence[Peer], plan: Plan, tell: Tell
) -> list[Outcome]:
    """What each peer did, in the order given; all are compared with the first."""
    with ExitStack() as stack:
        turns = []
        for peer in peers:
            process = stack.enter_context(Process(peer, plan.threads, plan.limit))
            turns.append(_Turn(Outcome(peer), process))
        _check(case, turns, tell)
        for turn in _on(turns):
            tell(f"{turn.outcome.peer.label} warms up")
            time.sleep(plan.pause)
            with turn.excuse():
                found = turn.process.ask("calibrate", seconds=plan.round_seconds)
                turn.outcome.steps = found["steps"]
        for number in range(plan.rounds):
            tell(f"round {number + 1} of {plan.rounds}")
            _round(turns, number, plan.pause)
        for turn in _on(turns):
            with turn.excuse():
                memory = turn.process.ask("memory")
                turn.outcome.growth = memory["growth"]
                turn.outcome.total = memory["total"]
    return [turn.outcome for turn in turns]


def _on(turns: Sequence[_Turn]) -> list[_Turn]:
    """Those that still take part."""
    return [turn for turn in turns if turn.outcome.state == "timed"]


def _check(case: Case, turns: Sequence[_Turn], tell: Tell) -> None:
    """Build everywhere, and send away who computes other numbers than the first.

    Where the first cannot do the case, the first that can takes its place.
    """
    expected: Numbers | None = None
    for turn in turns:
        tell(f"{turn.outcome.peer.label} builds and is checked")
        with turn.excuse():
            turn.process.ask("build", case=case.to_json())
            found = Numbers(turn.process.ask("check", steps=STEPS))
            if expected is None:
                expected = found
            elif (reason := disagreement(case, found, expected)) is not None:
                turn.end("disagrees", reason)


def _round(turns: Sequence[_Turn], number: int, pause: float) -> None:
    """A turn for each, beginning with another one in each round."""
    on = _on(turns)
    first = number % len(on) if on else 0
    for turn in on[first:] + on[:first]:
        time.sleep(pause)
        with turn.excuse():
            answer = turn.process.ask("time", steps=turn.outcome.steps)
            turn.outcome.seconds.append(answer["seconds"])


def measure_roofline(peer: Peer, plan: Plan) -> dict[str, Any]:
    """The machine's rates, found in a process with as many threads as the peers'."""
    with Process(peer, plan.threads, plan.limit) as process:
        return process.ask("roofline", runs=plan.rounds)
