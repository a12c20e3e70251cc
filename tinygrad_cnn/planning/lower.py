"""From operations to kernel calls on fixed memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from ..kernels import active
from .buffers import Array, Buffers
from .tracing import Effect, Step, Trace

Call = tuple[Callable[..., Any], tuple[Any, ...]]

FOREVER = 1 << 60


class Lowering:
    """The calls of a trace, and where its inputs and outputs lie.

    An array of the trace is known by its id; `places` holds what stands for it here.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace, self.calls = trace, list[Call]()
        self.buffers = Buffers()
        self.changed: list[Array] = []
        self.places: dict[int, Array] = {id(a): a for a in trace.persistent}
        self.memory: dict[int, Array] = {}
        self.uses = _uses(trace)
        self.inputs = [self._batch_innermost(a) for a in trace.inputs]
        self.done = set[int]()
        for i, step in enumerate(trace.steps):
            if i not in self.done and self._wanted(step):
                self._lower(i, step)
            self._release(i)
        self.outputs = [self.places[id(a)] for a in trace.outputs[:2]]
        for a in trace.outputs[2:]:
            self.outputs.append(self._apart(a))

    def _batch_innermost(self, array: Array) -> Array:
        """A place for an input; images lie in it with the batch innermost."""
        like = array
        if array.ndim == 4:
            like = np.empty((*array.shape[1:], len(array)), array.dtype)
            like = like.transpose(3, 0, 1, 2)
        return self.place(array, like)

    def _apart(self, gradient: Any) -> Array:
        """A gradient in memory of its own, for whoever has it may change it."""
        place = self.places[id(gradient)]
        others = self.outputs[2:]
        own = id(gradient) in self.memory and place.flags.writeable
        if own and not any(np.may_share_memory(place, other) for other in others):
            return place
        copy, _ = self.buffers.like(np.empty_like(place))
        self.call(np.copyto, copy, place)
        return copy

    def place(self, value: Any, like: Array | None = None) -> Array:
        """New memory for an array of the trace, in its own layout or that of `like`."""
        found, memory = self.buffers.like(np.asarray(value) if like is None else like)
        self.places[id(value)], self.memory[id(value)] = found, memory
        return found

    def at(self, x: Any) -> Any:
        """What stands for an input of a step: an array here, or the number itself."""
        return self.places.get(id(x), x)

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Add a call."""
        self.calls.append((function, arguments))

    def _wanted(self, step: Step) -> bool:
        results = (step.result, *step.kept)
        return type(step.op) is Effect or any(id(a) in self.uses for a in results)

    def _lower(self, i: int, step: Step) -> None:
        """Add the calls of a step, and note which later step they do as well."""
        inputs = [self.at(x) for x in step.inputs]
        if type(step.op) is Effect:
            self._affect(step.op, inputs)
            return
        if step.op.view:
            view = step.op.forward(*inputs)
            if np.shares_memory(view, inputs[0]) or not view.size:
                self._alias(step, view)
                return
        if step.op.ufunc is not None:
            self.call(partial(step.op.ufunc, out=self.place(step.result)), *inputs)
            return
        fast = active.table == "fast" and step.result.dtype.char in "fd"
        if not (fast and self._compute(i, step, inputs)):
            self._apply(step, inputs)

    def _compute(self, i: int, step: Step, inputs: list[Any]) -> bool:
        """Add the calls of a compiled kernel, if there is one for this."""
        from .compiled import KERNELS, WITH_FLOOR, Job, Unsuited

        kernel = KERNELS.get(step.op.compiled)
        if kernel is None:
            return False
        at, floor = i, -np.inf
        if step.op.compiled in WITH_FLOOR:
            at, floor = self._floor_after(i, step)
        result = self.trace.steps[at].result
        job = Job(step.op, self.place, self._scratch, result, step.kept, floor)
        with suppress(Unsuited):
            self.calls += kernel(job, *inputs)
            self.done.add(at)
            return True
        return False

    def _scratch(self, like: Array) -> Array:
        array, memory = self.buffers.like(like)
        self.buffers.release(memory)
        return array

    def _affect(self, effect: Effect, inputs: list[Any]) -> None:
        arrays = [t._array for t in effect.tensors]
        self.changed += arrays
        self.call(effect.function, *arrays, *inputs)
        for t in effect.tensors:
            self.call(t.mark_changed)

    def _alias(self, step: Step, view: Array) -> None:
        self.places[id(step.result)] = view
        memory = self.memory.get(id(step.inputs[0]))
        if memory is not None:
            self.memory[id(step.result)] = memory

    def _apply(self, step: Step, inputs: list[Any]) -> None:
        """The operation itself, its results copied to their places."""
        targets = [self.place(a) for a in (step.result, *step.kept)]
        self.call(_forward, step.op, inputs, targets)

    def _floor_after(self, i: int, step: Step) -> tuple[int, float]:
        """Which step's result a kernel can write, and the least value of that: those of
        a ReLU, where it alone uses the result of this step.
        """
        uses = self.uses.get(id(step.result), [])
        if len(uses) == 1 and uses[0] < FOREVER:
            floor = getattr(self.trace.steps[uses[0]].op, "floor", None)
            if floor is not None:
                return uses[0], floor
        return i, -np.inf

    def _release(self, i: int) -> None:
        """Give back the memory of what was used for the last time in step i."""
        step = self.trace.steps[i]
        for a in (*step.inputs, step.result, *step.kept):
            memory = self.memory.get(id(a))
            if memory is None:
                continue
            sharing = [k for k, m in self.memory.items() if m is memory]
            if all(max(self.uses.get(k, [i]), default=i) <= i for k in sharing):
                for k in sharing:
                    del self.memory[k]
                self.buffers.release(memory)


def _uses(trace: Trace) -> dict[int, list[int]]:
    """For each array that is used: by which steps; FOREVER for inputs and outputs."""
    uses: dict[int, list[int]] = {id(a): [FOREVER] for a in trace.outputs}
    for a in trace.inputs:
        uses[id(a)] = [FOREVER]
    for i, step in reversed(list(enumerate(trace.steps))):
        results = (step.result, *step.kept)
        if type(step.op) is Effect or any(id(a) in uses for a in results):
            for x in step.inputs:
                if isinstance(x, np.ndarray | np.generic):
                    uses.setdefault(id(x), []).append(i)
    return uses


def _forward(op: Any, inputs: list[Any], targets: list[Array]) -> None:
    found = op.forward(*inputs)
    for target, value in zip(targets, found if op.keeps else (found,), strict=True):
        np.copyto(target, value)


def fill(place: Array, array: Array) -> None:
    """Write an input to its place, where images have the batch innermost."""
    n = len(array) if array.ndim == 4 else 0
    plain = array.flags.c_contiguous and array.flags.writeable
    floats = array.dtype.char in "fd" and array.dtype == place.dtype
    worth = plain and floats and n > 1 and array.size >= 4096
    if not worth or active.table != "fast":
        np.copyto(place, array)
    else:
        from ..kernels.fast.calls import transpose

        transpose(array.reshape(-1), n, place.transpose(1, 2, 3, 0).reshape(-1))
