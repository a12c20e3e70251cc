"""The results of a whole run, as plain JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .cases import Case
from .counting import multiply_adds
from .rounds import Outcome
from .spread import Ratio, Spread

VERSION = 1


def of_case(
    case: Case, outcomes: Sequence[Outcome], roofline: dict[str, Any]
) -> dict[str, Any]:
    """What was found of a case. Ratios are to the first outcome, where that was timed."""
    count = multiply_adds(case) if case.kind != "model" else 0
    # A chain is no matrix product, and cannot be as fast as one.
    matrix = count if case.kind != "chain" else 0
    peers = [_of_peer(o, outcomes[0], matrix, roofline) for o in outcomes]
    return {
        "name": case.name,
        "kind": case.kind,
        "what": case.what,
        "multiply_adds": count,
        "peers": peers,
    }


def _of_peer(
    outcome: Outcome, first: Outcome, count: int, roofline: dict[str, Any]
) -> dict[str, Any]:
    """A peer's figures; those of one that was not timed are None."""
    found: dict[str, Any] = {
        "name": outcome.peer.name,
        "label": outcome.peer.label,
        "state": outcome.state,
        "reason": outcome.reason,
        "ratio": None,
        "spread": None,
        "matrix_share": None,
    }
    if outcome.state != "timed":
        return found
    spread = Spread.of(outcome.seconds)
    found |= {"spread": asdict(spread), "seconds": outcome.seconds}
    found |= {"steps_per_round": outcome.steps}
    found |= {"memory_growth": outcome.growth, "memory_total": outcome.total}
    if first.state == "timed":
        found["ratio"] = asdict(Ratio.of(outcome.seconds, first.seconds))
    if count:
        rate = count / spread.median
        found["matrix_share"] = rate / roofline["multiply_adds"]
    return found


def of_run(
    machine: dict[str, Any],
    roofline: dict[str, Any],
    rounds: int,
    command: str,
    cases: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """All that was found, and on what."""
    return {
        "version": VERSION,
        "command": command,
        "machine": machine,
        "rounds": rounds,
        "roofline": roofline,
        "cases": list(cases),
    }
