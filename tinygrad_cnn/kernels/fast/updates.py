"""The updates of the optimisers, in one pass over each parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import reference
from .compiling import compiled

Array = np.ndarray[Any, Any]


def _flat(*arrays: Array) -> list[Array] | None:
    """The arrays in one dimension, if all lie row by row."""
    if all(a.flags.c_contiguous and a.flags.writeable for a in arrays):
        return [a.reshape(-1) for a in arrays]
    return None


def momentum_step(
    p: Array,
    g: Array,
    b: Array,
    work: Array,
    lr: float,
    momentum: float,
    share: float,
    nesterov: bool,
) -> None:
    """b ← μ b + share · g, then p ← p − lr d, d = g + μ b if nesterov, else b."""
    flat, kind = _flat(p, g, b), p.dtype.type
    if flat is None or g.dtype != p.dtype:
        reference.momentum_step(p, g, b, work, lr, momentum, share, nesterov)
    else:
        momentum_loop(*flat, kind(lr), kind(momentum), kind(share), nesterov)


def adam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    work: Array,
    spare: Array,
    rate: float,
    betas: tuple[float, float],
    eps: float,
    correction: float,
) -> None:
    """m and v move towards g and g², then p ← p − rate · m / (√v / correction + ε)."""
    flat, kind = _flat(p, g, m, v), p.dtype.type
    if flat is None or g.dtype != p.dtype:
        given = work, spare, rate, betas, eps, correction
        return reference.adam_step(p, g, m, v, *given)
    weights = 1 - betas[0], betas[1], 1 - betas[1]
    numbers = [kind(x) for x in (rate, *weights, eps, correction)]
    adam_loop(*flat, *numbers, 1 - betas[0] < 0.5)


@compiled
def momentum_loop(
    p: Array, g: Array, b: Array, lr: Any, momentum: Any, share: Any, nesterov: bool
) -> None:
    """See `momentum_step`."""
    for i in range(p.size):
        b[i] = momentum * b[i] + share * g[i]
        d = g[i] + momentum * b[i] if nesterov else b[i]
        p[i] -= lr * d


@compiled
def adam_loop(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    rate: Any,
    weight: Any,
    beta2: Any,
    share: Any,
    eps: Any,
    correction: Any,
    near: bool,
) -> None:
    """See `adam_step`; near: whether the mean is worked out from its own end."""
    one = p.dtype.type(1)
    for i in range(p.size):
        step = g[i] - m[i]
        m[i] = m[i] + weight * step if near else g[i] - (one - weight) * step
        v[i] = beta2 * v[i] + share * g[i] * g[i]
        p[i] -= rate * m[i] / (np.sqrt(v[i]) / correction + eps)
