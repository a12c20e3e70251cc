"""From operations to kernel calls on fixed memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from ..errors import PlanningError
from ..kernels import active
from ..ops.base import Elementwise
from .tracing import Array, Effect, Step, Trace

Call = tuple[Callable[..., Any], tuple[Any, ...]]

FOREVER = 1 << 60


class Lane:
    """The kernel calls of some steps of a trace, and where their arrays lie.

    An array of the trace is known by its id; `places` holds what stands for it here. The
    memory of a result is taken over by another after its last use (`free`).

    images: of the batch, those that this lane carries through its steps; None: all.
    axes: which axis of an array numbers images, by its id; needed for some of them.
    """

    def __init__(
        self,
        trace: Trace,
        uses: dict[int, list[int]],
        images: range | None = None,
        axes: dict[int, int] | None = None,
    ) -> None:
        self.calls: list[Call] = []
        self.free: list[Array] = []
        self.nbytes = 0
        self.changed: list[Array] = []
        self.places: dict[int, Array] = {id(a): a for a in trace.persistent}
        self.memory: dict[int, Array] = {}
        self.uses, self.steps = uses, trace.steps
        self.images, self.axes = images, axes or {}
        self.fixed: dict[int, Array] = {}
        """Where results have to be written, by the id of the array in the trace."""

    def like(self, array: Array) -> tuple[Array, Array]:
        """An array of this shape, dtype and order of axes, and the memory it lies in."""
        need = array.nbytes
        fitting = [m for m in self.free if need <= m.size <= 2 * need + 4096]
        if fitting:
            memory = min(fitting, key=lambda m: m.size)
            self.free = [m for m in self.free if m is not memory]
        else:
            memory = np.empty(need, np.uint8)
            self.nbytes += need
        strides = np.empty_like(array).strides
        return np.ndarray(array.shape, array.dtype, memory, 0, strides), memory

    def place(self, value: Any, like: Array | None = None) -> Array:
        """New memory for an array of the trace, in its own layout or that of `like`."""
        if like is None:
            like = self.images_of(value)
        fixed = self.fixed.get(id(value))
        if fixed is not None:
            if fixed.strides != np.empty_like(like).strides:
                raise PlanningError("a sum over images lies in another order")
            self.places[id(value)] = fixed
            return fixed
        found, memory = self.like(like)
        self.places[id(value)], self.memory[id(value)] = found, memory
        return found

    def images_of(self, value: Any) -> Array:
        """An array like the value, of this lane's images only."""
        array, axis = np.asarray(value), self.axes.get(id(value))
        if axis is None or self.images is None:
            return array
        return np.empty_like(array[(slice(None),) * axis + (slice(len(self.images)),)])

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Add a call."""
        self.calls.append((function, arguments))

    def lower(self, i: int) -> int:
        """Add the calls of step i, and return the last step that they do."""
        step = self.steps[i]
        inputs = [self.places.get(id(x), x) for x in step.inputs]  # numbers stay
        if type(step.op) is Effect:
            arrays = [t._array for t in step.op.tensors]
            self.changed += arrays
            self.call(step.op.function, *arrays, *inputs)
            for t in step.op.tensors:
                self.call(t.mark_changed)
            return i
        if step.op.view:
            view = self._view(step, inputs)
            if np.shares_memory(view, inputs[0]) or not view.size:
                self.places[id(step.result)] = view
                memory = self.memory.get(id(step.inputs[0]))
                if memory is not None:
                    self.memory[id(step.result)] = memory
                return i
        if step.op.ufunc is not None:
            self.call(partial(step.op.ufunc, out=self.place(step.result)), *inputs)
            return i
        if active.table == "fast" and step.result.dtype.char in "fd":
            from . import compiled

            kernel = getattr(compiled, step.op.compiled, None)
            at, floor = i, -np.inf
            if step.op.compiled in compiled.WITH_FLOOR:
                at, floor = self._floor_after(i)
            with suppress(compiled.Unsuited):
                if kernel is not None:
                    whole = step._replace(result=self.steps[at].result, floor=floor)
                    self.calls += kernel(self, whole, *inputs)
                    return at
        if self.images is not None and not isinstance(step.op, Elementwise):
            raise PlanningError(f"{step.op} takes all images at once")
        targets = [self.place(a) for a in (step.result, *step.kept)]
        self.call(_forward, step.op, inputs, targets)
        return i

    def _view(self, step: Step, inputs: list[Any]) -> Any:
        x, axis = step.inputs[0], self.axes.get(id(step.inputs[0]))
        if self.images is not None and axis == 0 and step.op.parts_images(x):
            return inputs[0].reshape(len(self.images), *step.result.shape[1:])
        return step.op.forward(*inputs)

    def scratch(self, like: Array) -> Array:
        """Memory that is free again after this step."""
        array, memory = self.like(like)
        self.free.append(memory)
        return array

    def _floor_after(self, i: int) -> tuple[int, float]:
        """Which step's result a kernel can write, and the least value of that: those of
        a ReLU, where it alone uses the result of this step.
        """
        uses = self.uses.get(id(self.steps[i].result), [])
        if len(uses) == 1 and uses[0] < FOREVER:
            floor = getattr(self.steps[uses[0]].op, "floor", None)
            if floor is not None:
                return uses[0], floor
        return i, -np.inf

    def release(self, i: int) -> None:
        """Give back the memory of what was used for the last time in step i."""
        step = self.steps[i]
        for a in (*step.inputs, step.result, *step.kept):
            memory = self.memory.get(id(a))
            if memory is None:
                continue
            sharing = [k for k, m in self.memory.items() if m is memory]
            if all(max(self.uses.get(k, [i]), default=i) <= i for k in sharing):
                for k in sharing:
                    del self.memory[k]
                self.free.append(memory)


def uses_of(trace: Trace) -> tuple[dict[int, list[int]], set[int]]:
    """For each array that is used: by which steps (FOREVER for inputs and outputs); and
    the steps whose results are.
    """
    gradients = [g for _, g in trace.gradients if g is not None]
    ends = (*trace.inputs, *trace.outputs, *gradients)
    uses: dict[int, list[int]] = {id(a): [FOREVER] for a in ends}
    steps = set[int]()
    for i, step in reversed(list(enumerate(trace.steps))):
        results = (step.result, *step.kept)
        if type(step.op) is Effect or any(id(a) in uses for a in results):
            steps.add(i)
            for x in step.inputs:
                if isinstance(x, np.ndarray | np.generic):
                    uses.setdefault(id(x), []).append(i)
    return uses, steps


def _forward(op: Any, inputs: list[Any], targets: list[Array]) -> None:
    found = op.forward(*inputs)
    for target, value in zip(targets, found if op.keeps else (found,), strict=True):
        np.copyto(target, value)


def input_place(lane: Lane, value: Array) -> Array:
    """Memory for an input of the trace. Images lie there with the batch innermost, if
    operations would have to lay them so; first views of them remain those that they were.
    """
    like = lane.images_of(value)
    users = [lane.steps[i] for i in lane.uses[id(value)] if i < len(lane.steps)]
    if value.ndim == 4 and all(type(s.op) is Effect or not s.op.view for s in users):
        like = np.empty((*like.shape[1:], len(like)), like.dtype).transpose(3, 0, 1, 2)
    return lane.place(value, like)


def take_input(
    given: list[Array], number: int, images: range | None, place: Array
) -> None:
    """Write an input, or some images of it, to its place."""
    array = given[number]
    if images is not None:
        array = array[images.start : images.stop]
    n = len(array) if array.ndim == 4 else 0
    plain = array.flags.c_contiguous and array.flags.writeable
    floats = array.dtype.char in "fd" and array.dtype == place.dtype
    turned = n > 1 and place.transpose(1, 2, 3, 0).flags.c_contiguous
    worth = plain and floats and turned and array.size >= 4096
    if not worth or active.table != "fast":
        np.copyto(place, array)
    else:
        from ..kernels.fast.calls import run, transpose_call

        flat = place.transpose(1, 2, 3, 0).reshape(-1)
        run(transpose_call(array.reshape(-1), n, flat))
