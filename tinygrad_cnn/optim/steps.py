"""In-place steps that the optimisers are made of, with PyTorch's names and order of work.

`work` is scratch memory of the shape of `a`; it may be an operand, except `a` itself.
Python numbers leave the dtype alone, and everything is written into existing memory.
"""

from __future__ import annotations

import numpy as np

from .optimizer import Array


def add_(a: Array, b: Array, alpha: float, work: Array) -> None:
    """a ← a + α b."""
    if alpha != 1:
        b = np.multiply(b, alpha, out=work)
    a += b


def lerp_(a: Array, b: Array, weight: float, work: Array) -> None:
    """a ← a + w (b − a), worked out from the nearer end."""
    np.subtract(b, a, out=work)
    if weight < 0.5:
        work *= weight
        a += work
    else:
        work *= 1 - weight
        np.subtract(b, work, out=a)


def addcmul_(a: Array, b: Array, c: Array, value: float, work: Array) -> None:
    """a ← a + v b c."""
    np.multiply(b, value, out=work)
    work *= c
    a += work


def addcdiv_(a: Array, b: Array, c: Array, value: float, work: Array) -> None:
    """a ← a + v b / c."""
    np.multiply(b, value, out=work)
    work /= c
    a += work
