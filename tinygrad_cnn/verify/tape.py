"""The operations of one run, to be run again from the first that a tensor reaches.

A parameter of the last layer moves what that layer gives, and nothing before it; and to run
operations on arrays costs less than the program that makes them of Tensors. What is on the
tape is what an observer sees. That this is all there is to the outputs is not believed but
tried, tensor by tensor, on other values; and a program that reads values, which may decide
on them what to do, is not replayed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..ops.base import Op, Value
from ..ops.selection import Decision
from .branches import Path

Array = np.ndarray[Any, Any]


class Step(NamedTuple):
    """One operation as it was applied, and where its branches stand in the path."""

    op: Op
    inputs: list[Value]
    y: Value
    at: int | None


class Tape:
    """Filled by `observe`, an observer of operations."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.path = Path()
        self.outputs: list[Array] = []

    def observe(
        self, op: Op, inputs: list[Value], y: Value, kept: Sequence[Value]
    ) -> None:
        """Note an operation, and its branches."""
        at = len(self.path.branches)
        switches = self.path.note(op, inputs, y, kept)
        self.steps.append(Step(op, list(inputs), y, at if switches else None))

    def replay_from(
        self, array: Array
    ) -> Callable[[], tuple[list[Array], Path]] | None:
        """The outputs and the path for what this array holds, all else being as it was.

        None if something decides on it that cannot be run again.
        """
        reached, steps = {id(array)}, []
        for step in self.steps:
            if any(id(x) in reached for x in step.inputs):
                if isinstance(step.op, Decision):
                    return None
                reached.add(id(step.y))
                steps.append(step)

        def replay() -> tuple[list[Array], Path]:
            values: dict[int, Value] = {}
            branches = self.path.branches.copy()
            for op, inputs, y, at in steps:
                given = [values.get(id(x), x) for x in inputs]
                found, kept = op.forward(*given), ()
                if op.keeps:
                    found, *kept = found
                values[id(y)] = found
                if at is not None:
                    piece = op.piece("branch", given, found, kept)
                    branches[at] = branches[at]._replace(piece=piece)
            # copies: a view of the array would change when the entry is put back
            outputs = [np.array(values.get(id(y), y)) for y in self.outputs]
            return outputs, Path(self.path.operations, branches)

        return replay
