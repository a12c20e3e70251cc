"""The compiled kernels that serve in a plan, by the name that an operation says.

Each takes the plan, a step, and the inputs of the step, where they lie, and returns the
calls that do it. One that cannot raises Unsuited, and the operation itself is called. This
module is imported when the compiled kernels serve, since they need Numba.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PlanningError
from ..kernels.fast import (
    convolution,
    elementwise,
    matrix,
    normalization,
    pooling,
    reduction,
)
from ..kernels.fast.calls import Call, transpose_call
from ..kernels.threads import WORTH
from ..ops.base import Op
from .tracing import Array, Step

if TYPE_CHECKING:
    from .lower import Lane

Calls = list[Call]

WITH_FLOOR = "conv2d", "linear"
"""Those that obey the floor of their step."""


class Unsuited(Exception):
    """The kernel is not made for these arrays."""


def check_finite(array: Array) -> None:
    """Stop a replay in which zeros that were left out would have made NaN."""
    if not np.isfinite(array).all():
        raise PlanningError("a weight is not finite")


def _require(suited: bool) -> None:
    if not suited:
        raise Unsuited


def _batch_last(*images: Array) -> list[Array]:
    """Images (N, C, H, W) as the contiguous (C, H, W, N) that they have to be."""
    turned = [x.transpose(1, 2, 3, 0) for x in images]
    _require(all(x.flags.c_contiguous for x in turned))
    return turned


def _by_channel(*images: Array) -> list[Array]:
    """Images (N, C, …) as the (C, M) that they have to be."""
    rows = [reduction.by_channel(x) for x in images]
    _require(all(x is not None for x in rows))
    return [x for x in rows if x is not None]


def _plain(*arrays: Array | None) -> bool:
    """Whether kernels can read these where they lie; of others they would make a copy."""
    flags = [a.flags for a in arrays if a is not None]
    return all(f.c_contiguous and f.writeable for f in flags)


def _alike(x: Array, *others: Array) -> bool:
    """Whether all lie in memory in one order, without gaps."""
    same = [elementwise.alike(x, other) for other in others]
    return elementwise.lies_in_order(x) and all(same)


def conv2d(plan: Lane, step: Step, x: Array, w: Array, b: Array | None) -> Calls:
    images, y = _batch_last(x, plan.place(step.result))
    _require(_plain(w, b))
    window = step.op.window(w.shape[2:])
    bordered = len(x) < convolution.VECTOR
    given = images, w, b, y, window, step.op.groups, bordered, step.floor
    checks = _checks(w, any(window.padding) and not bordered)
    return checks + convolution.gather_calls(False, *given)


def conv2d_input(plan: Lane, step: Step, g: Array, w: Array, b: Array | None) -> Calls:
    maps, x = _batch_last(g, plan.place(step.result))
    _require(b is None and _plain(w))
    bordered = len(g) < convolution.VECTOR
    window = step.op.window(w.shape[2:])
    given = maps, w, None, x, window, step.op.groups, bordered
    return _checks(w, bordered) + convolution.gather_calls(True, *given)


def conv2d_weight(plan: Lane, step: Step, x: Array, g: Array) -> Calls:
    images, maps = _batch_last(x, g)
    dw = plan.place(step.result)
    _require(dw.flags.c_contiguous)
    window = step.op.window(step.op.kernel)
    tap_by_tap = convolution.by_tap(window, images, dw)
    given = images, maps, dw, window, step.op.groups, tap_by_tap
    return convolution.weight_calls(*given) + _checks(dw, tap_by_tap)


def _checks(array: Array, wanted: bool) -> Calls:
    return [(check_finite, (array,))] if wanted else []


def max_pool2d(plan: Lane, step: Step, x: Array) -> Calls:
    tap = plan.place(step.kept[0])
    images, y, taps = _batch_last(x, plan.place(step.result), tap)
    _require(tap.dtype == np.uint8)
    return [pooling.pool_call(images, step.op.window, y, taps)]


def max_pool2d_put(plan: Lane, step: Step, g: Array, tap: Array) -> Calls:
    maps, taps, x = _batch_last(g, tap, plan.place(step.result))
    _require(tap.dtype == np.uint8)
    return [pooling.put_call(maps, taps, step.op.window, x)]


def _of_each(kernel: elementwise.Map, plan: Lane, step: Step, *inputs: Array) -> Calls:
    """One value after the other; the numbers are what the operation was made with."""
    y = plan.place(step.result, inputs[0])
    _require(_alike(*inputs, y) and elementwise.readable(y))
    numbers = getattr(step.op, "numbers", vars(step.op).values())
    return [elementwise.map_call(kernel, *inputs, y, *numbers)]


relu, gate = (partial(_of_each, f) for f in (elementwise.relu, elementwise.gate))
keep, bend = (partial(_of_each, f) for f in (elementwise.keep, elementwise.bend))
sigmoid, silu = (partial(_of_each, f) for f in (elementwise.sigmoid, elementwise.silu))
gelu, erf = (partial(_of_each, f) for f in (elementwise.gelu, elementwise.erf))
elu, softplus = (partial(_of_each, f) for f in (elementwise.elu, elementwise.softplus))


def slope(plan: Lane, step: Step, g: Array, x: Array) -> Calls:
    return _of_each(getattr(elementwise, step.op.kernel), plan, step, g, x)


def matmul(plan: Lane, step: Step, a: Array, b: Array) -> Calls:
    _require(a.ndim == b.ndim == 2)
    rows, sums = np.empty((len(a), b.shape[1]), a.dtype), a.shape[1] > 1
    if sums and matrix.images_innermost(a):
        return _turned(plan, step, b, a, None)
    over_images = sums and matrix.over_images(a, b)
    _require(plan.images is None or over_images)  # the same for any number of images
    y = plan.place(step.result, rows)
    if over_images:
        _require(_plain(a))
        calls, rows = _in_rows(plan, b)
        return calls + matrix.images_calls(a, rows, y)
    if sums and len(a) * b.size >= WORTH:
        _require(_plain(a))
        calls, rows = _in_rows(plan, b)
        return [*calls, matrix.outer_call(a, rows, None, y)]
    return [(np.matmul if sums else np.multiply, (a, b, y))]


def linear(plan: Lane, step: Step, x: Array, w: Array, b: Array | None) -> Calls:
    if matrix.many_images(x):
        return _turned(plan, step, w.T, x, b)
    _require(plan.images is None and x.ndim == 2)
    y = plan.place(step.result)
    calls: Calls = [(np.matmul, (x, w.T, y))]
    if b is not None:
        calls.append((np.add, (y, b, y)))
    if step.floor > -np.inf:
        calls.append((partial(np.maximum, out=y), (y, step.floor)))
    return calls


def _turned(plan: Lane, step: Step, w: Array, x: Array, bias: Array | None) -> Calls:
    """result = max(x w + bias, floor), images innermost in it, as those of x are made."""
    _require((_plain(w) or _plain(w.T)) and _plain(bias))
    n, outputs = len(x), w.shape[1]
    y = plan.place(step.result, np.empty((outputs, n), x.dtype).T)
    calls, rows = _in_rows(plan, x.T)
    return [*calls, matrix.outer_call(w.T, rows, bias, y.T, step.floor)]


def _in_rows(plan: Lane, b: Array) -> tuple[Calls, Array]:
    """b row by row, and the calls that make it so."""
    if b.flags.c_contiguous:
        return [], b
    _require(_plain(b.T))
    rows = plan.scratch(np.empty(b.shape, b.dtype))
    return [transpose_call(b.T.reshape(-1), b.shape[1], rows.reshape(-1))], rows


def sums(plan: Lane, step: Step, x: Array) -> Calls:
    axis, keepdims = step.op.axis, step.op.keepdims
    y = plan.place(step.result)
    if x.ndim > 1 and not keepdims and axis == (0, *range(2, x.ndim)):
        runs = reduction.runs_by_channel(x)
        if runs is not None:
            return [reduction.channel_sums_call(runs, len(x) // len(runs), y)]
    return [(np.add.reduce, (x, axis, None, y, keepdims))]


def batch_norm(
    plan: Lane, step: Step, x: Array, gamma: Array | None, beta: Array | None
) -> Calls:
    statistics = [plan.place(kept) for kept in step.kept]
    x, y = _by_channel(x, plan.place(step.result))
    return [normalization.forward_call(x, gamma, beta, step.op.eps, y, *statistics)]


def batch_norm_eval(plan: Lane, step: Step, x: Array, *given: Any) -> Calls:
    """given: mean and variance, γ and β, each an array or None."""
    y, (_, channels, *lengths) = plan.place(step.result), x.shape
    folded = plan.scratch(np.empty((2, channels, *[1 for _ in lengths]), y.dtype))
    scale, shift = folded

    def fold() -> None:
        found = step.op.scale_and_shift(*given)
        folded.reshape(2, channels)[...] = found

    return [(fold, ()), (np.multiply, (x, scale, y)), (np.add, (y, shift, y))]


def batch_norm_input(
    plan: Lane, step: Step, g: Array, x: Array, *statistics: Any
) -> Calls:
    """statistics: γ or None, μ and r."""
    g, x, dx = _by_channel(g, x, plan.place(step.result))
    return [normalization.input_call(g, x, dx, *statistics)]


def batch_norm_scale(
    plan: Lane, step: Step, g: Array, x: Array, mu: Array, r: Array
) -> Calls:
    g, x = _by_channel(g, x)
    return [normalization.scale_call(g, x, mu, r, plan.place(step.result))]


def log_softmax(plan: Lane, step: Step, x: Array) -> Calls:
    y = plan.place(step.result, x)
    _require(_alike(x, y) and elementwise.readable(y))
    return [reduction.log_softmax_call(x, y, step.op.axis)]


def log_softmax_input(plan: Lane, step: Step, g: Array, y: Array) -> Calls:
    dx = plan.place(step.result, y)
    _require(_alike(y, dx, g) and elementwise.readable(dx))
    return [reduction.log_softmax_input_call(g, y, dx, step.op.axis)]


def nll_loss(
    plan: Lane, step: Step, x: Array, target: Array, weight: Array | None
) -> Calls:
    """The mean of a batch."""
    _require(weight is None and step.op.plain(x, target) and len(x) > 0)
    _require(_alike(x) and target.dtype == np.int64 and _plain(target))
    written = [plan.place(value) for value in (step.result, *step.kept)]
    n = len(step.inputs[0])  # of which a lane may have a slice
    loss = reduction.mean_nll_call(x, target, n, *written)
    if (
        plan.images is not None
    ):  # the loss of all images, which is then NaN, is looked at
        return [loss]
    return [loss, (check_labels, (step.op, x, target, written))]


def check_labels(op: Op, x: Array, target: Array, written: list[Array]) -> None:
    """Where a label may be no class: the operation itself knows which do not count."""
    if np.isnan(written[0]):
        for place, value in zip(written, op.forward(x, target, None), strict=True):
            place[...] = value


def place(plan: Lane, step: Step, x: Array, label: Array) -> Calls:
    y = plan.place(step.result)
    _require(x.ndim == 1 and _plain(x, label) and label.dtype == np.int64 and _alike(y))
    return [reduction.place_call(x, label, y)]
