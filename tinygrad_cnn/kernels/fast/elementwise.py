"""Element-wise kernels, on two threads where the arrays are large."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .. import reference
from .calls import FLOATS, Array, Call, InParts, run

LARGE = 16_384
"""Values from which on a compiled loop is faster than NumPy's."""


def lies_in_order(x: Array) -> bool:
    """Whether x lies in one piece, in C order or with the batch innermost."""
    if x.flags.c_contiguous:
        return True
    return x.transpose(*range(1, x.ndim), 0).flags.c_contiguous


def relu(x: Array) -> Array:
    """max(0, x); NaN stays."""
    return _mapped(RELU, reference.relu, x)


def erf(x: Array) -> Array:
    """The error function."""
    return _mapped(ERF, reference.erf, x)


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
    large = x.size >= LARGE and readable(x)
    if not large or not all(alike(x, o) and o.flags.writeable for o in others):
        return plain(x, *others)
    y = np.empty_like(x)
    run(map_call(kernel, x, *others, y))
    return y


def readable(x: Array) -> bool:
    """Whether a kernel that goes through the values one by one can read them in place."""
    return x.flags.writeable and lies_in_order(x) and x.dtype.char in FLOATS


def alike(x: Array, other: Array) -> bool:
    """Whether the values of both lie in the same order."""
    if x.shape != other.shape:
        return False
    axes = zip(x.shape, x.strides, other.strides, strict=True)
    one, two = x.itemsize, other.itemsize
    return all(count == 1 or s * two == t * one for count, s, t in axes)


def map_call(kernel: InParts, *arrays: Array) -> Call:
    """Write the last of the arrays, which lie alike and in one piece, from the others."""
    flat = [a.ravel("K") for a in arrays]  # views
    return kernel.call(4 * flat[0].size, *flat)


def relu_flat(part: int, parts: int, x: Array, y: Array) -> None:
    """y = max(0, x) of flat arrays."""
    start, stop = part * x.size // parts, (part + 1) * x.size // parts
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        value = x[i]
        y[i] = x.dtype.type(0) if value < 0 else value


def erf_flat(part: int, parts: int, x: Array, y: Array) -> None:
    """y = erf x of flat arrays."""
    for i in range(part * x.size // parts, (part + 1) * x.size // parts):
        y[i] = math.erf(x[i])


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


RELU, ERF = InParts(relu_flat), InParts(erf_flat)
KEEP, GATE = InParts(keep_flat), InParts(gate_flat)
