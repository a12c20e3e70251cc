"""The compiled kernels that serve in a plan, operation by operation.

Each function adds the calls of one step and says whether it could; if not, the operation
itself is called. `floor` is 0 where ReLU follows and its result is to be written at once.
The kernels are imported when they are asked for, since they need Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PlanningError
from ..ops import (
    activation,
    classification,
    convolution,
    linear,
    normalization,
    pooling,
    reduction,
)
from .buffers import Array
from .trace import Step

if TYPE_CHECKING:
    from .lower import Lowering

Call = tuple[Callable[..., Any], tuple[Any, ...]]


def check_finite(array: Array) -> None:
    """Stop a replay in which zeros that were left out would have made NaN."""
    if not np.isfinite(array).all():
        raise PlanningError("a weight is not finite")


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
    from ..kernels.fast.calls import transpose
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
