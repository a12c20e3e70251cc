"""How cost grows: one training step, along one axis after the other.

A net of residual blocks is made wider, deeper, and so on; what is not varied stays as in
BASE. The results are those of cases (`results`), grouped by axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from .cases import Case
from .layers import (
    Average,
    BatchNorm,
    Conv,
    Flatten,
    Layer,
    Linear,
    Relu,
    Residual,
)
from .machine import describe
from .peers import Peer
from .results import VERSION, of_case
from .rounds import Plan, Tell, measure_roofline, run_case

BASE = {"batch": 16, "channels": 16, "image": 16, "depth": 2}

AXES = {
    "batch": (1, 4, 16, 64, 256, 1024),
    "channels": (1, 4, 16, 64, 256),
    "image": (8, 16, 32, 64, 128, 224),
    "depth": (1, 3, 10, 30, 100),
}
"""The values of each; threads come last, from one to all."""

WHAT = {
    "batch": "images in the batch",
    "channels": "channels of each convolution",
    "image": "pixels along a side",
    "depth": "residual blocks",
    "threads": "threads",
}
"""The axes in words."""

PEERS = ("tinygrad_cnn", "planned", "torch")


def net(channels: int, depth: int) -> tuple[Layer, ...]:
    """A convolution, then x + ReLU(batch norm(convolution(x))) so many times."""
    block = Conv(channels, 3, 1, bias=False), BatchNorm(), Relu()
    blocks = [Residual(block)] * depth
    return (
        Conv(channels, 3, 1),
        *blocks,
        BatchNorm(),
        Average(),
        Flatten(),
        Linear(10),
    )


def case_of(axis: str, value: int) -> Case:
    """A training step where this is the value on this axis."""
    sizes = BASE | ({axis: value} if axis in BASE else {})
    layers, side = net(sizes["channels"], sizes["depth"]), sizes["image"]
    what = f"{axis} {value}"
    return Case(
        # No step goes far: with a hundred blocks rounding would soon be seen.
        *(f"{axis}-{value}", "training", what, sizes["batch"], (3, side, side), layers),
        rate=1e-4,
        tolerance=0.03,
    )


def points(threads: int, quick: bool = False) -> list[tuple[str, int]]:
    """Each axis with each of its values; of threads the powers of two, and all.

    quick: the first three of each axis, which are the cheap ones.
    """
    powers = {2**i for i in range(threads.bit_length())}
    axes = AXES | {"threads": tuple(sorted(powers | {threads}))}
    most = 3 if quick else None
    return [(axis, value) for axis, values in axes.items() for value in values[:most]]


def measure(
    steps: Sequence[tuple[str, int]],
    peers: Sequence[Peer],
    plan: Plan,
    command: str,
    begin: Tell,
    tell: Tell,
) -> Iterator[dict[str, Any]]:
    """All that was found so far, after each of `points`, as by `results.measure`.

    In the place of cases there is a list for each axis: cases with a value.
    """
    axes: dict[str, list[dict[str, Any]]] = {}
    machine = describe(peers, plan.threads)
    tell("measuring the machine")
    roofline = measure_roofline(peers[0], plan)
    for axis, value in steps:
        case = case_of(axis, value)
        begin(case.name)
        threads = value if axis == "threads" else plan.threads
        outcomes = run_case(case, peers, replace(plan, threads=threads), tell)
        found = of_case(case, outcomes, roofline)
        axes.setdefault(axis, []).append({"value": value, **found})
        yield {
            "version": VERSION,
            "command": command,
            "machine": machine,
            "rounds": plan.rounds,
            "roofline": roofline,
            "axes": axes,
        }
