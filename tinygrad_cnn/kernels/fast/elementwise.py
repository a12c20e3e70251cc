"""Element-wise kernels, on two threads where the arrays are large."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .. import reference
from ..threads import parts_for
from .compiling import compiled, in_parallel
from .sums import Call, run

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
    return _mapped(RELU, reference.relu, x)


def gate(x: Array, by: Array) -> Array:
    """x where by > 0 or by is NaN, else +0."""
    return _mapped(GATE, reference.gate, x, by)


def keep(x: Array, mask: Array) -> Array:
    """x where the mask holds, else +0."""
    return _mapped(KEEP, reference.keep, np.asarray(x), np.asarray(mask))


def _mapped(kernels: Any, plain: Any, x: Array, *others: Array) -> Array:
    """The kernel's result in the layout of x; the plain one's where arrays are small, or
    do not all lie in one piece and alike.
    """
    if x.size < LARGE or any(not alike(x, other) for other in others):
        return plain(x, *others)
    flat = in_memory_order(x)
    if flat is None or not all(a.flags.writeable for a in (x, *others)):
        return plain(x, *others)
    y = np.empty_like(flat)
    y = y if flat is x else y.transpose(-1, *range(x.ndim - 1))
    run([map_call(kernels, x, *others, y)])
    return y


def alike(x: Array, other: Array) -> bool:
    """Whether the values of both lie in the same order."""
    if x.shape != other.shape:
        return False
    sizes = zip(x.shape, x.strides, other.strides, strict=True)
    return all(
        count == 1 or s * other.itemsize == t * x.itemsize for count, s, t in sizes
    )


def map_call(kernels: Any, *arrays: Array) -> Call:
    """Write the last of the arrays, which lie alike and in one piece, from the others."""
    flat = [in_memory_order(a).reshape(-1) for a in arrays]  # type: ignore[union-attr]
    part, parts = kernels
    number = parts_for(4 * flat[0].size)
    return Call(part, (0, 1, *flat)) if number == 1 else Call(parts, (number, *flat))


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


@compiled
def gate_part(part: int, parts: int, x: Array, by: Array, y: Array) -> None:
    """One of `parts` equal parts of flat arrays."""
    start, stop = part * x.size // parts, (part + 1) * x.size // parts
    x, by, y = x[start:stop], by[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = x.dtype.type(0) if by[i] <= 0 else x[i]


@in_parallel
def gate_parts(parts: int, x: Array, by: Array, y: Array) -> None:
    """All parts, one to a thread."""
    for part in numba.prange(parts):
        gate_part(part, parts, x, by, y)


RELU, KEEP, GATE = (
    (relu_part, relu_parts),
    (keep_part, keep_parts),
    (gate_part, gate_parts),
)
