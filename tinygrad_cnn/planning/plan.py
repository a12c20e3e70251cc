"""What a plan is made of, and its replay."""

from __future__ import annotations

import numpy as np

from ..core.engine import Tensor
from ..errors import PlanningError
from ..kernels import active
from .crew import run_together
from .lower import Call, Lane, input_place, take_input, uses_of
from .slices import sliced
from .tracing import Array, Trace


class Plan:
    """The kernel calls of a trace, in phases, and where its inputs and outputs lie.

    A phase is lists of calls, one for each thread; all end before the next phase begins.
    """

    def __init__(self, trace: Trace) -> None:
        self.given: list[Array] = []
        self.phases: list[list[list[Call]]] = []
        lane = sliced(trace, self.phases, self.given) or self._whole(trace)
        self.changed, self.outputs = (
            lane.changed,
            [lane.places[id(a)] for a in trace.outputs],
        )
        self.updated: list[tuple[Tensor, Tensor | None]] = []
        for parameter, g in trace.gradients:
            gradient = None if g is None else Tensor._wrap(self._apart(lane, g))
            self.updated.append((parameter, gradient))
        self.nbytes = lane.nbytes
        if active.table == "fast":
            from ..kernels.fast.joining import joined

            self.phases = [[joined(calls) for calls in phase] for phase in self.phases]

    def _whole(self, trace: Trace) -> Lane:
        """All steps for all images, one after the other."""
        uses, steps = uses_of(trace)
        lane, done = Lane(trace, uses), set[int]()
        for number, a in enumerate(trace.inputs):
            lane.call(take_input, self.given, number, None, input_place(lane, a))
        for i in range(len(trace.steps)):
            if i in steps and i not in done:
                done.add(lane.lower(i))
            lane.release(i)
        self.phases.append([lane.calls])
        return lane

    def replay(self, arrays: list[Array]) -> list[Tensor]:
        """The output, and the loss if there is one; gradients are set.

        Raises PlanningError, having changed nothing, where a result is not finite.
        """
        self.given[:] = arrays
        before = [array.copy() for array in self.changed]
        try:
            for phase in self.phases:
                run_together(phase)
            if not np.isfinite(self.outputs[-1]).all():
                raise PlanningError("the result is not finite")
        except Exception:
            for array, values in zip(self.changed, before, strict=True):
                array[...] = values
            raise
        finally:
            self.given.clear()
        for parameter, g in self.updated:
            if g is not None:
                g._version.count += 1
            parameter._grad = g
        return [Tensor._wrap(a.copy()) for a in self.outputs]

    def _apart(self, lane: Lane, gradient: Array) -> Array:
        """A gradient in memory of its own, for whoever has it may change it."""
        place = lane.places[id(gradient)]
        others = [g._array for _, g in self.updated if g is not None]
        own = id(gradient) in lane.memory and place.flags.writeable
        if own and not any(np.may_share_memory(place, other) for other in others):
            return place
        copy, _ = lane.like(np.empty_like(place))
        lane.call(np.copyto, copy, place)
        return copy
