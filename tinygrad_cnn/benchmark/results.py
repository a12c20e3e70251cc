"""The results of a whole run, as plain JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .cases import Case, multiply_adds
from .machine import describe
from .peers import Peer
from .rounds import Outcome, Plan, Tell, measure_roofline, run_case

VERSION = 1
PERCENTS = {"min": 0, "lower": 25, "median": 50, "upper": 75, "max": 100}


def spread(values: Sequence[float]) -> dict[str, float]:
    """The least, the quartiles and the greatest of at least one value."""
    found = np.percentile(values, list(PERCENTS.values()))
    return dict(zip(PERCENTS, found.tolist(), strict=True))


def ratio(seconds: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """How many times as long it takes as another, of times in the same rounds.

    of_medians: the ratio of the medians. median: that of the ratios of each round, in
    which both met the same machine, with the quartiles of these.
    """
    of_medians = spread(seconds)["median"] / spread(other)["median"]
    each = spread([a / b for a, b in zip(seconds, other, strict=True)])
    quartiles = {name: each[name] for name in ("median", "lower", "upper")}
    return {"of_medians": of_medians, **quartiles}


def of_case(
    case: Case, outcomes: Sequence[Outcome], roofline: dict[str, Any]
) -> dict[str, Any]:
    """What was found of a case. Ratios are to the first outcome, where that was timed."""
    count = multiply_adds(case) if case.kind != "model" else 0
    # A chain is no matrix product, and cannot be as fast as one.
    matrix = count if case.kind != "chain" else 0
    least = matrix / roofline["multiply_adds"]
    return {
        "name": case.name,
        "kind": case.kind,
        "what": case.what,
        "multiply_adds": count,
        "peers": [_of_peer(outcome, outcomes[0], least) for outcome in outcomes],
    }


def _of_peer(outcome: Outcome, first: Outcome, least: float) -> dict[str, Any]:
    """A peer's figures; those of one that was not timed are None.

    least: the seconds of a step on the machine's rate of matrix products.
    """
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
    found["spread"] = spread(outcome.seconds)
    found |= {"seconds": outcome.seconds, "steps_per_round": outcome.steps}
    found |= {"memory_growth": outcome.growth, "memory_total": outcome.total}
    if first.state == "timed":
        found["ratio"] = ratio(outcome.seconds, first.seconds)
    if least:
        found["matrix_share"] = least / found["spread"]["median"]
    return found


def measure(
    cases: Sequence[Case],
    peers: Sequence[Peer],
    plan: Plan,
    command: str,
    begin: Tell,
    tell: Tell,
) -> Iterator[dict[str, Any]]:
    """All that was found, and on what; after each case.

    command: what gives these results again. begin: called with the name of each case.
    """
    found: list[dict[str, Any]] = []
    machine = describe(peers, plan.threads)
    tell("measuring the machine")
    roofline = measure_roofline(peers[0], plan)
    for case in cases:
        begin(case.name)
        found.append(of_case(case, run_case(case, peers, plan, tell), roofline))
        yield {
            "version": VERSION,
            "command": command,
            "machine": machine,
            "rounds": plan.rounds,
            "roofline": roofline,
            "cases": found,
        }
