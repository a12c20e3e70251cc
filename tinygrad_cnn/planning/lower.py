"""From operations to kernel calls on fixed memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..errors import PlanningError
from ..kernels import active
from .tracing import Array, Effect, Step, Trace

Call = tuple[Callable[..., Any], tuple[Any, ...]]

FOREVER = 1 << 60


class Plan:
    """The kernel calls of a trace, and where its inputs and outputs lie.

    An array of the trace is known by its id; `places` holds what stands for it here. The
    memory of a result is taken over by another after its last use (`free`).
    """

    def __init__(self, trace: Trace) -> None:
        self.calls: list[Call] = []
        self.free: list[Array] = []
        self.nbytes = 0
        self.changed: list[Array] = []
        self.places: dict[int, Array] = {id(a): a for a in trace.persistent}
        self.memory: dict[int, Array] = {}
        self.uses, steps = _uses(trace)
        self.inputs = []
        for a in trace.inputs:
            like = a
            if a.ndim == 4:  # images lie there with the batch innermost
                like = np.empty((*a.shape[1:], len(a)), a.dtype).transpose(3, 0, 1, 2)
            self.inputs.append(self.place(a, like))
        done = set[int]()
        for i, step in enumerate(trace.steps):
            if i in steps and i not in done:
                done.add(self._lower(i, step, trace.steps))
            self._release(i, step)
        self.outputs = [self.places[id(a)] for a in trace.outputs]
        self.updated: list[tuple[Tensor, Tensor | None]] = []
        for parameter, g in trace.gradients:
            gradient = None if g is None else Tensor._wrap(self._apart(g))
            self.updated.append((parameter, gradient))
        del self.free, self.places, self.memory, self.uses  # only the making needs them

    def replay(self, arrays: list[Array]) -> list[Tensor]:
        """The output, and the loss if there is one; gradients are set.

        Raises PlanningError, having changed nothing, where a result is not finite.
        """
        for place, array in zip(self.inputs, arrays, strict=True):
            fill(place, array)
        before = [array.copy() for array in self.changed]
        try:
            for function, arguments in self.calls:
                function(*arguments)
            if not np.isfinite(self.outputs[-1]).all():
                raise PlanningError("the result is not finite")
        except Exception:
            for array, values in zip(self.changed, before, strict=True):
                array[...] = values
            raise
        for parameter, g in self.updated:
            if g is not None:
                g._version.count += 1
            parameter._grad = g
        return [Tensor._wrap(a.copy()) for a in self.outputs]

    def _apart(self, gradient: Array) -> Array:
        """A gradient in memory of its own, for whoever has it may change it."""
        place = self.places[id(gradient)]
        others = [g._array for _, g in self.updated if g is not None]
        own = id(gradient) in self.memory and place.flags.writeable
        if own and not any(np.may_share_memory(place, other) for other in others):
            return place
        copy, _ = self.like(np.empty_like(place))
        self.call(np.copyto, copy, place)
        return copy

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
        found, memory = self.like(np.asarray(value) if like is None else like)
        self.places[id(value)], self.memory[id(value)] = found, memory
        return found

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Add a call."""
        self.calls.append((function, arguments))

    def _lower(self, i: int, step: Step, steps: Sequence[Step]) -> int:
        """Add the calls of step i, and return the last step that they do."""
        inputs = [self.places.get(id(x), x) for x in step.inputs]  # numbers stay
        if type(step.op) is Effect:
            arrays = [t._array for t in step.op.tensors]
            self.changed += arrays
            self.call(step.op.function, *arrays, *inputs)
            for t in step.op.tensors:
                self.call(t.mark_changed)
            return i
        if step.op.view:
            view = step.op.forward(*inputs)
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
                at, floor = self._floor_after(i, steps)
            with suppress(compiled.Unsuited):
                if kernel is not None:
                    whole = step._replace(result=steps[at].result, floor=floor)
                    self.calls += kernel(self, whole, *inputs)
                    return at
        targets = [self.place(a) for a in (step.result, *step.kept)]
        self.call(_forward, step.op, inputs, targets)
        return i

    def scratch(self, like: Array) -> Array:
        """Memory that is free again after this step."""
        array, memory = self.like(like)
        self.free.append(memory)
        return array

    def _floor_after(self, i: int, steps: Sequence[Step]) -> tuple[int, float]:
        """Which step's result a kernel can write, and the least value of that: those of
        a ReLU, where it alone uses the result of this step.
        """
        uses = self.uses.get(id(steps[i].result), [])
        if len(uses) == 1 and uses[0] < FOREVER:
            floor = getattr(steps[uses[0]].op, "floor", None)
            if floor is not None:
                return uses[0], floor
        return i, -np.inf

    def _release(self, i: int, step: Step) -> None:
        """Give back the memory of what was used for the last time in step i."""
        for a in (*step.inputs, step.result, *step.kept):
            memory = self.memory.get(id(a))
            if memory is None:
                continue
            sharing = [k for k, m in self.memory.items() if m is memory]
            if all(max(self.uses.get(k, [i]), default=i) <= i for k in sharing):
                for k in sharing:
                    del self.memory[k]
                self.free.append(memory)


def _uses(trace: Trace) -> tuple[dict[int, list[int]], set[int]]:
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
