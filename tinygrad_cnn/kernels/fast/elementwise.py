"""Element-wise kernels, on two threads where the arrays are large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import reference
from .calls import FLOATS, Array, Call, InParts, run

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


def _mapped(
    kernel: InParts, plain: Callable[..., Array], x: Array, *others: Array
) -> Array:
    """The kernel's result in the layout of x; the plain one's where arrays are small, or
    do not all lie in one piece and alike.
    """
    if x.size < LARGE or x.dtype.char not in FLOATS:
        return plain(x, *others)
    flat = in_memory_order(x)
    if flat is None or not all(alike(x, other) for other in others):
        return plain(x, *others)
    if not all(a.flags.writeable for a in (x, *others)):
        return plain(x, *others)
    y = np.empty_like(flat)
    y = y if flat is x else y.transpose(-1, *range(x.ndim - 1))
    run(map_call(kernel, x, *others, y))
    return y


def alike(x: Array, other: Array) -> bool:
    """Whether the values of both lie in the same order."""
    if x.shape != other.shape:
        return False
    sizes = zip(x.shape, x.strides, other.strides, strict=True)
    return all(
        count == 1 or s * other.itemsize == t * x.itemsize for count, s, t in sizes
    )


def map_call(kernel: InParts, *arrays: Array) -> Call:
    """Write the last of the arrays, which lie alike and in one piece, from the others."""
    flat = [in_memory_order(a).reshape(-1) for a in arrays]  # type: ignore[union-attr]
    return kernel.call(4 * flat[0].size, *flat)


def relu_flat(part: int, parts: int, x: Array, y: Array) -> None:
    """y = max(0, x) of flat arrays."""
    start, stop = part * x.size // parts, (part + 1) * x.size // parts
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        value = x[i]
        y[i] = x.dtype.type(0) if value < 0 else value


def keep_flat(part: int, parts: int, x: Array, mask: Array, y: Array) -> None:
    """y = x where the mask holds, else 0, of flat arrays."""
    start, stop = part * x.size // parts, (part + 1) * x.size // parts
    x, mask, y = x[start:stop], mask[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = x[i] if mask[i] else x.dtype.type(0)


def gate_flat(part: int, parts: int, x: Array, by: Array, y: Array) -> None:
    """y = 0 where by ≤ 0, else x, of flat arrays."""
    start, stop = part * x.size // parts, (part + 1) * x.size // parts
    x, by, y = x[start:stop], by[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = x.dtype.type(0) if by[i] <= 0 else x[i]


RELU, KEEP, GATE = InParts(relu_flat), InParts(keep_flat), InParts(gate_flat)
