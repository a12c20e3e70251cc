"""Element-wise kernels, on two threads where the arrays are large."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .. import reference
from ..threads import parts_for
from .compiling import compiled, in_parallel

Array = np.ndarray[Any, Any]

LARGE = 16_384
"""Values from which on a compiled loop is faster than NumPy's."""


def in_memory_order(x: Array) -> Array | None:
    """x with its axes as they lie in memory, if that is C or batch-innermost order."""
    if x.flags.c_contiguous:
        return x
    y = x.transpose(*range(1, x.ndim), 0)
    return y if y.flags.c_contiguous else None


def relu(x: Array) -> Array:
    """max(0, x); NaN stays."""
    flat = in_memory_order(x) if x.size >= LARGE else None
    if flat is None or not x.flags.writeable:
        return reference.relu(x)
    y = np.empty_like(flat)
    _run(relu_part, relu_parts, flat.reshape(-1), y.reshape(-1))
    return y if flat is x else y.transpose(-1, *range(x.ndim - 1))


def keep(x: Array, mask: Array) -> Array:
    """x where the mask holds, else +0."""
    x, mask = np.asarray(x), np.asarray(mask)
    flat = in_memory_order(x) if x.size >= LARGE and x.shape == mask.shape else None
    if flat is None or mask.strides != tuple([s // x.itemsize for s in x.strides]):
        return reference.keep(x, mask)
    held = in_memory_order(mask)
    if held is None or not (x.flags.writeable and mask.flags.writeable):
        return reference.keep(x, mask)
    y = np.empty_like(flat)
    _run(keep_part, keep_parts, flat.reshape(-1), held.reshape(-1), y.reshape(-1))
    return y if flat is x else y.transpose(-1, *range(x.ndim - 1))


def _run(part: Any, parts: Any, *arrays: Array) -> None:
    number = parts_for(4 * arrays[0].size)
    if number == 1:
        part(0, 1, *arrays)
    else:
        parts(number, *arrays)


@compiled
def relu_part(part: int, parts: int, x: Array, y: Array) -> None:
    """One of `parts` equal parts of flat arrays."""
    start, stop = part * x.size // parts, (part + 1) * x.size // parts
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        value = x[i]
        y[i] = x.dtype.type(0) if value < 0 else value


@in_parallel
def relu_parts(parts: int, x: Array, y: Array) -> None:
    """All parts, one to a thread."""
    for part in numba.prange(parts):
        relu_part(part, parts, x, y)


@compiled
def keep_part(part: int, parts: int, x: Array, mask: Array, y: Array) -> None:
    """One of `parts` equal parts of flat arrays."""
    start, stop = part * x.size // parts, (part + 1) * x.size // parts
    x, mask, y = x[start:stop], mask[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = x[i] if mask[i] else x.dtype.type(0)


@in_parallel
def keep_parts(parts: int, x: Array, mask: Array, y: Array) -> None:
    """All parts, one to a thread."""
    for part in numba.prange(parts):
        keep_part(part, parts, x, mask, y)
