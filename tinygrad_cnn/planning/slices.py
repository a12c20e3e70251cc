"""Depth first: a slice of the batch through many steps, then the next slice.

What a slice needs stays in a core's own memory, and threads meet only where a step needs
all images at once: in most networks at the end. Sums over the batch are made slice by slice
everywhere (`kernels.fast.sums`), so that this gives the very numbers of a recorded step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..errors import PlanningError
from ..kernels import active
from ..kernels.threads import Pool, one_thread
from ..ops.base import Elementwise
from .lower import Call, Lane, input_place, take_input, uses_of
from .tracing import Array, Effect, Step, Trace

FREE, APART, WHOLE = "free", "apart", "whole"
"""A step that meets no images; one that does each slice by itself; any other."""

ALIKE = "conv2d", "conv2d_input", "max_pool2d", "max_pool2d_put", "linear", "place"
"""Compiled kernels whose result has its images where their first input has them."""

SUMMED = -1
"""In the place of the axis of images: the result is a sum over them."""

MOST = 1 << 14
"""Values, up to which it is worth bringing slices together for a step amid others."""


PHASES = 8
"""So many at most: threads wait for each other at the end of each."""


class Kinds(NamedTuple):
    """What the steps needed are, by number, and what they make, by an array's id."""

    of: dict[int, str]
    axes: dict[int, int]
    """Which axis numbers images."""
    totals: dict[int, Array]
    """The results that are sums over images."""


def sliced(
    trace: Trace, phases: list[list[list[Call]]], given: list[Array]
) -> Lane | None:
    """Add the phases, and return the lane of all images; None where slices do not serve."""
    if active.table != "fast" or not all(a.ndim for a in trace.inputs):
        return None
    from ..kernels.fast.sums import slice_start, slices

    n = len(trace.inputs[0])
    count = slices(n)
    if count < max(2, Pool.compiled) or any(len(a) != n for a in trace.inputs):
        return None
    kinds = kinds_of(trace, n)
    if kinds is None:
        return None
    images = pairwise([slice_start(i, count, n) for i in range(count + 1)])
    schedule = _Schedule(trace, kinds, [range(a, b) for a, b in images], given)
    threads = Pool.compiled
    try:
        with one_thread():
            found = schedule.phases_of(threads)
    except PlanningError:
        return None
    if len(found) > PHASES:
        return None
    phases += found
    return schedule.whole


def kinds_of(trace: Trace, n: int) -> Kinds | None:
    """Those of all steps; None where large arrays would have to be brought together."""
    kinds = Kinds({}, {id(a): 0 for a in trace.inputs}, {})
    together = set[int]()
    for i in sorted(uses_of(trace)[1]):
        step = trace.steps[i]
        axes = [kinds.axes.get(id(x)) for x in step.inputs]
        if all(axis is None for axis in axes):
            kinds.of[i] = FREE
            continue
        axis = _axis_of_result(step, axes)
        shapes = [np.shape(x) for x in step.inputs]
        amid = any(id(x) in together for x in step.inputs)
        if amid and not step.op.multiply_adds(shapes, step.result.shape):
            axis = None  # not worth parting the images again
        kinds.of[i] = WHOLE if axis is None else APART
        if axis == SUMMED:
            kinds.totals[id(step.result)] = step.result
            kinds.axes.update((id(kept), 0) for kept in step.kept)
            continue
        if axis is None and any(
            np.size(x) > MOST for x in step.inputs if id(x) in kinds.axes
        ):
            return None
        for value in (step.result, *step.kept):
            if np.shape(value)[axis or 0 :][:1] == (n,):
                kinds.axes[id(value)] = axis or 0
                if axis is None:
                    together.add(id(value))
            elif axis is not None:
                return None
    return kinds


def _axis_of_result(step: Step, axes: list[int | None]) -> int | None:
    """Which axis numbers images in the result: SUMMED: it is a sum over them; None: it
    takes all of them at once.
    """
    op, first, x = step.op, axes[0] if axes else None, step.inputs[0]
    if type(op) is Effect:
        return None
    if op.view:
        if first == 0 and op.parts_images(x):
            return 0
        turned = getattr(op, "axes", None) == (1, 0)
        return 1 - first if turned and first is not None else None
    if isinstance(op, Elementwise):
        return _axis_of_elements(step, axes)
    match op.compiled, axes:
        case name, [0, *_] if name in ALIKE:
            return 0
        case "conv2d_weight", [0, 0]:
            return SUMMED
        case "matmul", [0, None] if x.ndim == 2:
            return 0
        case "matmul", [1, 0]:
            return SUMMED
        case "sums", [0] if op.axis == (0, *range(2, x.ndim)) and not op.keepdims:
            return SUMMED
        case "log_softmax" | "log_softmax_input", [0, *_] if op.axis % x.ndim != 0:
            return 0
        case "nll_loss", [0, 0, None] if step.inputs[2] is None and op.plain(
            x, step.inputs[1]
        ):
            return SUMMED
    return None


def _axis_of_elements(step: Step, axes: list[int | None]) -> int | None:
    """0 where inputs with images have as many axes, and others repeat for each image."""
    shapes = [np.shape(x) for x in step.inputs]
    ndim = step.result.ndim
    for axis, shape in zip(axes, shapes, strict=True):
        repeats = len(shape) < ndim or shape[:1] == (1,)
        if not (repeats if axis is None else axis == 0 and len(shape) == ndim):
            return None
    return 0


class _Schedule:
    """Steps in phases: of a lane for each slice, or of the lane of all images."""

    def __init__(
        self, trace: Trace, kinds: Kinds, images: list[range], given: list[Array]
    ) -> None:
        uses, _ = uses_of(trace)
        self.trace, self.kinds, self.given = trace, kinds, given
        self.numbers = {id(a): number for number, a in enumerate(trace.inputs)}
        self.whole = Lane(trace, uses, None, kinds.axes)
        # A lane reads an input when it begins, so its place is free after the last use.
        last = len(trace.steps)
        uses = uses | {key: [i for i in uses[key] if i < last] for key in self.numbers}
        self.lanes = [Lane(trace, uses, part, kinds.axes) for part in images]
        self.parts: dict[int, Array] = {}
        """What each slice adds to a total, by the id of that."""
        for key, total in kinds.totals.items():
            self.parts[key] = np.empty((len(images), *total.shape), total.dtype)
            for i, lane in enumerate(self.lanes):
                lane.fixed[key] = self.parts[key][i, ...]

    def phases_of(self, threads: int) -> list[list[list[Call]]]:
        """All phases; of those of slices each thread does some lanes."""
        steps, start, phases = sorted(self.kinds.of), 0, list[list[list[Call]]]()
        while start < len(steps):
            stop = self._phase_end(steps, start)
            self.whole.calls = list[Call]()
            if self.kinds.of[steps[start]] == APART:
                phases.append(self._slices(steps[start:stop], threads))
            else:
                self._all_images(steps[start:stop])
            phases.append([self.whole.calls])
            start = stop
        for a in self.trace.outputs:
            self._gather(a)
        return [phase for phase in phases if any(phase) or phase is phases[-1]]

    def _phase_end(self, steps: list[int], start: int) -> int:
        """A phase of slices goes on over views of weights; a total is there at its end."""
        of, totals = self.kinds.of, set[int]()
        for stop in range(start, len(steps)):
            step, kind = self.trace.steps[steps[stop]], of[steps[stop]]
            if of[steps[start]] != APART:
                if kind == APART:
                    return stop
                continue
            view = kind == FREE and type(step.op) is not Effect and step.op.view
            if not (kind == APART or view) or any(id(x) in totals for x in step.inputs):
                return stop
            if id(step.result) in self.kinds.totals:
                totals.add(id(step.result))
        return len(steps)

    def _all_images(self, steps: list[int]) -> None:
        done = set[int]()
        for i in steps:
            for x in self.trace.steps[i].inputs:
                self._gather(x)
            if i not in done:
                done.add(self.whole.lower(i))
            for lane in (self.whole, *self.lanes):
                lane.release(i)

    def _slices(self, steps: list[int], threads: int) -> list[list[Call]]:
        """The calls of each thread, lane after lane; behind them, totals are made."""
        lists: list[list[Call]] = [[] for _ in range(threads)]
        for i in steps:
            if self.kinds.of[i] == FREE:
                self.whole.lower(i)
        for number, lane in enumerate(self.lanes):
            thread = number * threads // len(self.lanes)
            before = self.lanes[number - 1]
            if number and thread == (number - 1) * threads // len(self.lanes):
                lane.free, before.free = before.free, []
            lane.calls = lists[thread]
            done = set[int]()
            for i in steps:
                for x in self.trace.steps[i].inputs:
                    self._scatter(x, lane)
                if self.kinds.of[i] == APART and i not in done:
                    done.add(lane.lower(i))
                lane.release(i)
            self.whole.nbytes, lane.nbytes = self.whole.nbytes + lane.nbytes, 0
        self._add_up(steps)
        return lists

    def _add_up(self, steps: list[int]) -> None:
        from ..kernels.fast.sums import add_slices

        for i in steps:
            key = id(self.trace.steps[i].result)
            if key in self.parts:
                total, parts = self.whole.place(self.kinds.totals[key]), self.parts[key]
                given = parts.reshape(len(parts), -1), total.reshape(-1)
                self.whole.calls.append(add_slices.call(2 * parts.size, *given))
            self.whole.release(i)

    def _gather(self, value: Any) -> None:
        """Have the lane of all images hold an array: brought together from the slices."""
        whole, key = self.whole, id(value)
        if key in whole.places or key not in self.kinds.axes:
            return
        if key in self.numbers:
            place = input_place(whole, value)
            return whole.call(take_input, self.given, self.numbers[key], None, place)
        place, axis = whole.place(value), self.kinds.axes[key]
        for lane in self.lanes:
            whole.call(np.copyto, _images(place, axis, lane), lane.places[key])

    def _scatter(self, value: Any, lane: Lane) -> None:
        """Have the lane of a slice hold an array: from the inputs or from the whole."""
        key = id(value)
        if key in lane.places:
            return
        if key in self.numbers:
            place = input_place(lane, value)
            lane.call(take_input, self.given, self.numbers[key], lane.images, place)
        elif key in self.kinds.axes and key in self.whole.places:
            part = _images(self.whole.places[key], self.kinds.axes[key], lane)
            lane.call(np.copyto, lane.place(value, np.empty_like(part)), part)
        elif key in self.whole.places:
            lane.places[key] = self.whole.places[key]


def _images(array: Array, axis: int, lane: Lane) -> Array:
    """Those of a lane, a view."""
    images = lane.images or range(array.shape[axis])
    return array[(slice(None),) * axis + (slice(images.start, images.stop),)]
