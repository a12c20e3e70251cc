"""The compiled kernels that serve in a plan, by the name that an operation says.

Each function takes a job and the inputs of the operation, where they lie, and returns the
calls that do it. One that cannot raises Unsuited, and the operation itself is called. This
module is imported when the compiled kernels serve, since they need Numba.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

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
from ..kernels.fast.calls import transpose
from ..kernels.threads import WORTH
from .buffers import Array

Call = tuple[Callable[..., Any], tuple[Any, ...]]


class Unsuited(Exception):
    """The kernel is not made for these arrays."""


class Job(NamedTuple):
    """What a kernel is to do."""

    op: Any
    place: Callable[..., Array]
    """place(result) is memory for a result, laid out as it is; place(result, x) as x is."""
    scratch: Callable[[Array], Array]
    """scratch(x) is memory like x that is free again after this step."""
    result: Array
    kept: Sequence[Array]
    floor: float
    """The result is to be at least this: 0 where ReLU follows, else −∞."""


Kernel = Callable[..., list[Call]]

KERNELS: dict[str, Kernel] = {}
WITH_FLOOR = "conv2d", "linear"
"""Those that obey the floor of their job."""


def kernel(function: Kernel) -> Kernel:
    """Let this serve the operations that say its name."""
    KERNELS[function.__name__] = function
    return function


def check_finite(array: Array) -> None:
    """Stop a replay in which zeros that were left out would have made NaN."""
    if not np.isfinite(array).all():
        raise PlanningError("a weight is not finite")


def _require(suited: bool) -> None:
    if not suited:
        raise Unsuited


def _made(call: Call | None) -> list[Call]:
    if call is None:
        raise Unsuited
    return [call]


def _batch_last(*images: Array) -> list[Array]:
    """Images (N, C, H, W) as the contiguous (C, H, W, N) that they have to be."""
    turned = [x.transpose(1, 2, 3, 0) for x in images]
    _require(all(x.flags.c_contiguous for x in turned))
    return turned


def _plain(*arrays: Array | None) -> bool:
    """Whether kernels can read these where they lie; of others they would make a copy."""
    flags = [a.flags for a in arrays if a is not None]
    return all(f.c_contiguous and f.writeable for f in flags)


def _alike(x: Array, *others: Array) -> bool:
    """Whether all lie in memory in one order, without gaps."""
    same = [elementwise.alike(x, other) for other in others]
    return elementwise.in_memory_order(x) is not None and all(same)


@kernel
def conv2d(job: Job, x: Array, w: Array, b: Array | None) -> list[Call]:
    images, y = _batch_last(x, job.place(job.result))
    _require(_plain(w, b))
    window = job.op.window(w.shape[2:])
    bordered = len(x) < convolution.VECTOR
    checked = any(window.padding) and not bordered
    calls = convolution.forward_calls(
        images, w, b, y, window, job.op.groups, bordered, job.floor
    )
    return [*_checks(w, checked), *calls]


@kernel
def conv2d_input(job: Job, g: Array, w: Array, b: Array | None) -> list[Call]:
    maps, x = _batch_last(g, job.place(job.result))
    _require(b is None and _plain(w))
    bordered = len(g) < convolution.VECTOR
    window = job.op.window(w.shape[2:])
    calls = convolution.adjoint_calls(maps, w, x, window, job.op.groups, bordered)
    return [*_checks(w, bordered), *calls]


@kernel
def conv2d_weight(job: Job, x: Array, g: Array) -> list[Call]:
    images, maps = _batch_last(x, g)
    dw = job.place(job.result)
    _require(dw.flags.c_contiguous)
    window = job.op.window(job.op.kernel)
    tap_by_tap = convolution.by_tap(window, dw)
    calls = convolution.weight_calls(
        images, maps, dw, window, job.op.groups, tap_by_tap
    )
    return [*calls, *_checks(dw, tap_by_tap)]


def _checks(array: Array, wanted: bool) -> list[Call]:
    return [(check_finite, (array,))] if wanted else []


@kernel
def max_pool2d(job: Job, x: Array) -> list[Call]:
    tap = job.place(job.kept[0])
    images, y, taps = _batch_last(x, job.place(job.result), tap)
    _require(tap.dtype == np.uint8)
    return [pooling.pool_call(images, job.op.window, y, taps)]


@kernel
def max_pool2d_put(job: Job, g: Array, tap: Array) -> list[Call]:
    maps, taps, x = _batch_last(g, tap, job.place(job.result))
    _require(tap.dtype == np.uint8)
    return [pooling.put_call(maps, taps, job.op.window, x)]


@kernel
def gate(job: Job, x: Array, by: Array) -> list[Call]:
    y = job.place(job.result, x)
    _require(_alike(x, by, y))
    return [elementwise.map_call(elementwise.GATE, x, by, y)]


@kernel
def matmul(job: Job, a: Array, b: Array) -> list[Call]:
    _require(a.ndim == b.ndim == 2)
    return _product(job, a, b, None)


@kernel
def linear(job: Job, x: Array, w: Array, b: Array | None) -> list[Call]:
    _require(x.ndim == 2)
    return _product(job, x, w.T, b)


def _product(job: Job, a: Array, b: Array, bias: Array | None) -> list[Call]:
    """result = max(a b + bias, floor), bias one for each column."""
    calls = list[Call]()
    y = job.place(job.result)
    across = not y.flags.c_contiguous
    if across:
        a, b, y = b.T, a.T, y.T
    plain = all(_plain(x) or _plain(x.T) for x in (a, b)) and _plain(bias)
    if plain and a.shape[0] * b.size >= WORTH and (across or bias is None):
        if not b.flags.c_contiguous:
            turned = job.scratch(np.empty(b.shape, b.dtype))
            flat = b.T.reshape(-1), b.shape[1], turned.reshape(-1)
            calls.append((transpose, flat))
            b = turned
        return [*calls, matrix.outer_call(a, b, bias, y, job.floor)]
    product = np.multiply if a.shape[1] == 1 else np.matmul
    calls.append((product, (a, b, y)))
    if bias is not None:
        calls.append((np.add, (y, bias[:, None] if across else bias, y)))
    if job.floor > -np.inf:
        calls.append((partial(np.maximum, out=y), (y, job.floor)))
    return calls


@kernel
def sums(job: Job, x: Array) -> list[Call]:
    axis, keepdims = job.op.axis, job.op.keepdims
    y = job.place(job.result)
    if x.ndim > 2 and not keepdims and axis == (0, *range(2, x.ndim)):
        rows = reduction.by_channel(x)
        if rows is not None:
            return [reduction.channel_sums_call(rows, y)]
    return [(np.add.reduce, (x, axis, None, y, keepdims))]


@kernel
def batch_norm(
    job: Job, x: Array, gamma: Array | None, beta: Array | None
) -> list[Call]:
    statistics = [job.place(kept) for kept in job.kept]
    y = job.place(job.result)
    return _made(normalization.forward_call(x, gamma, beta, job.op.eps, y, *statistics))


@kernel
def batch_norm_input(
    job: Job, g: Array, x: Array, gamma: Array | None, mu: Array, r: Array
) -> list[Call]:
    return _made(normalization.input_call(g, x, gamma, mu, r, job.place(job.result)))


@kernel
def batch_norm_scale(job: Job, g: Array, x: Array, mu: Array, r: Array) -> list[Call]:
    return _made(normalization.scale_call(g, x, mu, r, job.place(job.result)))


@kernel
def log_softmax(job: Job, x: Array) -> list[Call]:
    y = job.place(job.result, x)
    _require(x.ndim == 2 and job.op.axis % 2 == 1 and _alike(x, y))
    return [reduction.log_softmax_call(x, y)]
