"""From operations to kernel calls on fixed memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import PlanningError
from ..kernels import active
from ..ops import (
    activation,
    arithmetic,
    classification,
    convolution,
    linear,
    normalization,
    pooling,
    reduction,
)
from .buffers import Array, Buffers
from .trace import Effect, Step, Trace

Call = tuple[Callable[..., Any], tuple[Any, ...]]
FOREVER = 1 << 60

UFUNCS: dict[type, np.ufunc] = {
    arithmetic.Add: np.add,
    arithmetic.Sub: np.subtract,
    arithmetic.Mul: np.multiply,
    arithmetic.Div: np.divide,
    arithmetic.Neg: np.negative,
    arithmetic.Exp: np.exp,
}


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
        done: set[int] = set()
        for i, step in enumerate(trace.steps):
            if i not in done and self._wanted(step):
                done.add(i)
                done |= self._lower(i, step)
            self._release(i)
        self.outputs = [self.places[id(a)] for a in trace.outputs[:2]]
        for a in trace.outputs[2:]:
            self.outputs.append(self._apart(a))

    def _batch_innermost(self, array: Array) -> Array:
        """A place for an input: of images, as convolutions want them."""
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

    def _lower(self, i: int, step: Step) -> set[int]:
        """Add the calls of a step; the numbers of later steps that they do as well."""
        inputs = [self.at(x) for x in step.inputs]
        if type(step.op) is Effect:
            self._affect(step.op, inputs)
            return set()
        if step.op.view:
            view = step.op.forward(*inputs)
            if np.shares_memory(view, inputs[0]) or not view.size:
                self._alias(step, view)
                return set()
        kind = type(step.op)
        if kind in UFUNCS:
            self.call(UFUNCS[kind], *inputs, self.place(step.result))
            return set()
        relu = self._followed_by_relu(i, step)
        lower = LOWERED.get(kind)
        compiled = active.table == "fast" and step.result.dtype.char in "fd"
        if lower is not None and compiled:
            result = step.result if relu is None else self.trace.steps[relu].result
            if lower(self, step, inputs, result, -np.inf if relu is None else 0.0):
                return set() if relu is None else {relu}
        self._apply(step, inputs)
        return set()

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

    def _followed_by_relu(self, i: int, step: Step) -> int | None:
        """The number of the ReLU that alone uses the result of a convolution or layer."""
        if type(step.op) not in (convolution.Conv2d, linear.Linear):
            return None
        uses = self.uses.get(id(step.result), [])
        if len(uses) == 1 and uses[0] < FOREVER:
            after = self.trace.steps[uses[0]]
            if type(after.op) is activation.ReLU:
                return uses[0]
        return None

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
        from ..kernels.fast.layout import transpose

        transpose(array.reshape(-1), n, place.transpose(1, 2, 3, 0).reshape(-1))


def check_finite(array: Array) -> None:
    """Stop a replay in which zeros that were left out would have made NaN."""
    if not np.isfinite(array).all():
        raise PlanningError("a weight is not finite")


# ------------------------------------------------------------------ compiled kernels


def _batch_last(*images: Array) -> list[Array] | None:
    """Images (N, C, H, W) as the contiguous (C, H, W, N) that they are, or None."""
    turned = [x.transpose(1, 2, 3, 0) for x in images]
    return turned if all(x.flags.c_contiguous for x in turned) else None


def _plain(*arrays: Array | None) -> bool:
    """Whether kernels can read these where they lie; of others they would make a copy."""
    flags = [a.flags for a in arrays if a is not None]
    return all(f.c_contiguous and f.writeable for f in flags)


def _conv2d(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.convolution import VECTOR, forward_calls

    (x, w, b), op = inputs, step.op
    y = plan.place(result)
    images = _batch_last(x, y)
    if images is None or not _plain(w, b):
        return False
    window = op.window(w.shape[2:])
    bordered = len(x) < VECTOR
    if any(window.padding) and not bordered:
        plan.call(check_finite, w)
    plan.calls += forward_calls(
        *(images[0], w, b, images[1]), window, op.groups, bordered, floor
    )
    return True


def _conv2d_input(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.convolution import VECTOR, adjoint_calls

    (g, w, b), op = inputs, step.op
    images = _batch_last(g, plan.place(result))
    if images is None or b is not None or not _plain(w):
        return False
    bordered = len(g) < VECTOR
    if bordered:
        plan.call(check_finite, w)
    window = op.window(w.shape[2:])
    plan.calls += adjoint_calls(images[0], w, images[1], window, op.groups, bordered)
    return True


def _conv2d_weight(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.convolution import by_tap, weight_calls

    images, op = _batch_last(*inputs), step.op
    dw = plan.place(result)
    if images is None or not dw.flags.c_contiguous:
        return False
    window = op.window(op.kernel)
    tap_by_tap = by_tap(window, dw)
    x, g = images
    plan.calls += weight_calls(x, g, dw, window, op.groups, tap_by_tap)
    if tap_by_tap:
        plan.call(check_finite, dw)
    return True


def _max_pool2d(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.pooling import pool_call

    tap = plan.place(step.kept[0])
    images = _batch_last(inputs[0], plan.place(result), tap)
    if images is None or tap.dtype != np.uint8 or result.dtype.char not in "fd":
        return False
    x, y, tap = images
    plan.calls.append(pool_call(x, step.op.window, y, tap))
    return True


def _max_pool_put(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.pooling import put_call

    images = _batch_last(*inputs, plan.place(result))
    if images is None or inputs[1].dtype != np.uint8:
        return False
    g, tap, x = images
    plan.calls.append(put_call(g, tap, step.op.window, x))
    return True


def _gate(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.elementwise import GATE, alike, in_memory_order, map_call

    x, by = inputs
    y = plan.place(result, x)
    if in_memory_order(x) is None or not (alike(x, by) and alike(x, y)):
        return False
    plan.calls.append(map_call(GATE, x, by, y))
    return True


def _matmul(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    a, b = inputs
    if a.ndim != 2 or b.ndim != 2:
        return False
    _product(plan, a, b, None, plan.place(result), floor)
    return True


def _linear(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    x, w, b = inputs
    if x.ndim != 2:
        return False
    _product(plan, x, w.T, b, plan.place(result), floor)
    return True


def _product(
    plan: Lowering, a: Array, b: Array, bias: Array | None, y: Array, floor: float
) -> None:
    """y = max(a b + bias, floor), bias one for each column."""
    from ..kernels.fast.layout import transpose
    from ..kernels.fast.matrix import outer_call
    from ..kernels.threads import WORTH

    if not y.flags.c_contiguous:
        a, b, y, across = b.T, a.T, y.T, True
    else:
        across = False
    plain = all(_plain(x) or _plain(x.T) for x in (a, b)) and _plain(bias)
    if plain and a.shape[0] * b.size >= WORTH and (across or bias is None):
        if not b.flags.c_contiguous:
            turned, memory = plan.buffers.like(np.empty(b.shape, b.dtype))
            plan.call(transpose, b.T.reshape(-1), b.shape[1], turned.reshape(-1))
            plan.buffers.release(memory)
            b = turned
        plan.calls.append(outer_call(a, b, bias, y, floor))
        return
    if a.shape[1] == 1:
        plan.call(np.multiply, a, b, y)
    else:
        plan.call(np.matmul, a, b, y)
    if bias is not None:
        plan.call(np.add, y, bias[:, None] if across else bias, y)
    if floor == 0:
        plan.call(_cut_off, y)


def _cut_off(y: Array) -> None:
    np.maximum(y, 0, out=y)


def _sum(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.reduction import by_channel, channel_sums_call

    (x,), (axis, keepdims) = inputs, (step.op.axis, step.op.keepdims)
    y = plan.place(result)
    if x.ndim > 2 and not keepdims and axis == (0, *range(2, x.ndim)):
        rows = by_channel(x)
        if rows is not None:
            plan.calls.append(channel_sums_call(rows, y))
            return True
    plan.call(np.add.reduce, x, axis, None, y, keepdims)
    return True


def _batch_norm(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.normalization import forward_call

    x, gamma, beta = inputs
    statistics = [plan.place(kept) for kept in step.kept]
    call = forward_call(x, gamma, beta, step.op.eps, plan.place(result), *statistics)
    return _added(plan, call)


def _batch_norm_input(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.normalization import input_call

    g, x, gamma, mu, r = inputs
    return _added(plan, input_call(g, x, gamma, mu, r, plan.place(result)))


def _batch_norm_scale(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.normalization import scale_call

    g, x, mu, r = inputs
    return _added(plan, scale_call(g, x, mu, r, plan.place(result)))


def _added(plan: Lowering, call: Call | None) -> bool:
    if call is not None:
        plan.calls.append(call)
    return call is not None


def _log_softmax(
    plan: Lowering, step: Step, inputs: list[Any], result: Array, floor: float
) -> bool:
    from ..kernels.fast.elementwise import alike, in_memory_order
    from ..kernels.fast.reduction import log_softmax_call

    (x,) = inputs
    y = plan.place(result, x)
    if x.ndim != 2 or step.op.axis % 2 != 1 or in_memory_order(x) is None:
        return False
    if not alike(x, y):
        return False
    plan.calls.append(log_softmax_call(x, y))
    return True


LOWERED: dict[type, Callable[..., bool]] = {
    convolution.Conv2d: _conv2d,
    convolution.Conv2dInput: _conv2d_input,
    convolution.Conv2dWeight: _conv2d_weight,
    pooling.MaxPool2d: _max_pool2d,
    pooling.MaxPoolPut: _max_pool_put,
    activation.Gate: _gate,
    reduction.Sum: _sum,
    normalization.BatchNorm: _batch_norm,
    normalization.BatchNormInput: _batch_norm_input,
    normalization.BatchNormScale: _batch_norm_scale,
    classification.LogSoftmax: _log_softmax,
    linear.Matmul: _matmul,
    linear.Linear: _linear,
}
"""Whether each could add its calls; if not, the operation itself is called."""
