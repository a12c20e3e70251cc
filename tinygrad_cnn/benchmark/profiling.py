"""Where the time of a training step goes, operation by operation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..graph.data import Graph, Node
from .roofline import Roofline

BETWEEN = "(between operations)"


@dataclass
class Row:
    """All calls of one operation, forward and backward.

    seconds, backward_seconds: in the operations and in their gradient rules. macs, bytes:
    multiply-adds, and bytes that must be read or written at least, each pass by itself.
    share: of the time of the step. bound: the least time of the calls on this machine.
    """

    name: str
    calls: int = 0
    seconds: float = 0.0
    backward_seconds: float = 0.0
    macs: int = 0
    backward_macs: int = 0
    bytes: int = 0
    backward_bytes: int = 0
    share: float = 0.0
    bound: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of both passes."""
        return self.seconds + self.backward_seconds

    @property
    def of_roofline(self) -> float | None:
        """The least time over the time taken, 1 at best; None where nothing is known."""
        return self.bound / self.total if self.total and self.bound else None

    def to_dict(self) -> dict[str, Any]:
        """The fields, and `of_roofline`, as JSON values."""
        return asdict(self) | {"of_roofline": self.of_roofline}


@dataclass
class Profile:
    """Rows, the longest first; step: seconds of a whole step, forward and backward."""

    rows: list[Row]
    between: Row
    step: float
    roofline: Roofline


def profile(graph: Graph, step: float, roofline: Roofline) -> Profile:
    """The profile of a graph with "time", "macs" and "saved" measured.

    step: seconds of a whole step, in which the operations follow each other; what is left
    over of it lies between them.
    """
    rows: dict[str, Row] = {}
    for node in graph.operations():
        _add(rows.setdefault(node.label, Row(node.label)), node, roofline)
    ordered = sorted(rows.values(), key=lambda row: row.total, reverse=True)
    within = sum([row.total for row in ordered])
    between = Row(BETWEEN, seconds=max(0.0, step - within))
    whole = within + between.total
    for row in (*ordered, between):
        row.share = row.total / whole if whole else 0.0
    return Profile(ordered, between, step, roofline)


def _add(row: Row, node: Node, roofline: Roofline) -> None:
    """Add a call."""
    macs = node.macs or 0
    # A product has an adjoint for each factor, its first two inputs; a bias is none.
    back = macs * len([name for name in node.inputs[:2] if name in node.gradients])
    moved, moved_back = _bytes(node)
    row.calls += 1
    row.seconds += node.seconds or 0.0
    row.backward_seconds += node.backward_seconds or 0.0
    row.macs += macs
    row.backward_macs += back
    row.bytes += moved
    row.backward_bytes += moved_back
    row.bound += roofline.seconds(macs, moved) + roofline.seconds(back, moved_back)


def _bytes(node: Node) -> tuple[int, int]:
    """Bytes that go by memory at least: forward, and backward.

    Forward each input is read and the result written. Backward the gradient of the result
    and what was saved are read, and a gradient is written for each input that asks for it.
    A view moves nothing.
    """
    size = np.dtype(node.dtype).itemsize
    inputs = [size * math.prod(shape) for shape in node.input_shapes]
    forward = sum(inputs) + node.bytes
    asked = [i for i, name in enumerate(node.inputs) if name in node.gradients]
    written = sum([inputs[i] for i in asked])
    saved = sum([value.bytes for value in node.saved])
    backward = node.bytes + saved + written if asked else 0
    return (0, 0) if node.view else (forward, backward)


HEADINGS = ["operation", "calls", "forward, ms", "backward, ms", "share"]
HEADINGS += ["multiply-adds", "MiB", "of the roofline"]


def cells(found: Profile) -> Iterator[list[str]]:
    """The rows of a table."""
    for row in (*found.rows, found.between):
        limit = row.of_roofline
        moved = (row.bytes + row.backward_bytes) / 2**20
        yield [
            row.name,
            f"{row.calls}" if row.calls else "",
            f"{1000 * row.seconds:.3f}",
            f"{1000 * row.backward_seconds:.3f}" if row.calls else "",
            f"{row.share:.1%}",
            f"{row.macs + row.backward_macs:,}",
            f"{moved:.2f}",
            f"{limit:.1%}" if limit is not None else "",
        ]
