"""The updates of the optimisers, in one pass over each parameter; see `reference`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

from .. import reference
from .calls import FLOATS, Array
from .compiling import compiled


def _flat(*arrays: Array) -> list[Array] | None:
    """The same memory as flat arrays, if the loops serve: floats of one dtype, each in one
    piece.
    """
    dtype = arrays[0].dtype
    for x in arrays:
        if x.dtype != dtype or not x.flags.carray:
            return None
    return [x.reshape(-1) for x in arrays] if dtype.char in FLOATS else None


def momentum_step(p: Array, g: Array, b: Array, work: Array, *numbers: Any) -> None:
    """b ← μ b + share · g, then p ← p − lr d, d = g + μ b if nesterov, else b.

    numbers: lr, μ (momentum), share, nesterov. Of b, what is left below the smallest normal
    number becomes 0; so with m in `adam_step`.
    """
    flat = _flat(p, g, b)
    if flat is None:
        return reference.momentum_step(p, g, b, work, *numbers)
    momentum_loop(*flat, *numbers)


@register_jitable(forceinline=True)
def without_remnant(x: Any, itemsize: int) -> Any:
    """x, or 0 where it is too small for all its digits.

    Where no gradient comes any more, as behind a dead ReLU, a momentum shrinks until
    rounding holds it at a few of the smallest numbers there are. These move no parameter,
    but each takes a processor a hundred times as long as others.
    """
    least = 2.0**-126 if itemsize == 4 else 2.0**-1022
    return type(x)(0) if abs(x) < type(x)(least) else x


@compiled
def momentum_loop(p: Array, g: Array, b: Array, *numbers: Any) -> None:
    """See `momentum_step`."""
    lr, momentum, share, nesterov = numbers
    kind = p.dtype.type
    rate, factor, part = kind(lr), kind(momentum), kind(share)
    for i in range(p.size):
        b[i] = without_remnant(factor * b[i] + part * g[i], p.itemsize)
        d = g[i] + factor * b[i] if nesterov else b[i]
        p[i] -= rate * d


def adam_step(
    p: Array, g: Array, m: Array, v: Array, work: Array, spare: Array, *numbers: Any
) -> None:
    """m and v move towards g and g², then p ← p − rate · m / (√v / correction + ε).

    numbers: rate, betas, ε, correction, and the largest v so far or None.
    """
    rate, betas, eps, correction, largest = numbers
    flat = None if largest is not None else _flat(p, g, m, v)
    if flat is None:
        return reference.adam_step(p, g, m, v, work, spare, *numbers)
    p, g, m, v = flat
    adam_loop(p, g, m, v, rate, betas[0], betas[1], eps, correction)


@compiled
def adam_loop(p: Array, g: Array, m: Array, v: Array, *numbers: float) -> None:
    """See `adam_step`."""
    rate, beta1, beta2, eps, correction = numbers
    kind = p.dtype.type
    near, weight, rest = 1 - beta1 < 0.5, kind(1 - beta1), kind(beta1)
    factor, share = kind(beta2), kind(1 - beta2)
    step_size, least, divisor = kind(rate), kind(eps), kind(correction)
    for i in range(p.size):
        step = g[i] - m[i]
        moved = m[i] + weight * step if near else g[i] - rest * step
        m[i] = without_remnant(moved, p.itemsize)
        v[i] = factor * v[i] + share * g[i] * g[i]
        p[i] -= step_size * m[i] / (np.sqrt(v[i]) / divisor + least)
