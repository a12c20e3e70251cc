"""Operations that select: each value of the result is taken from one of several pieces.

g goes to what was taken. Between the pieces the derivative jumps; `branch` says which piece
each value took, and `margin` how far it is from another.
"""

from __future__ import annotations

import math
import operator
from typing import Any, ClassVar, Literal

import numpy as np

from .base import Elementwise, Op, Value


def side(a: Value, low: float | None, high: float | None) -> Value:
    """−1, 0 or 1 as a is below, between or above the bounds (None is no bound)."""
    above = np.greater(a, math.inf if high is None else high)
    return above.astype(np.int8) - np.less(a, -math.inf if low is None else low)


def distance(a: Value, low: float | None, high: float | None) -> Value:
    """How far a is from the nearer bound."""
    bounds = [np.abs(a - bound) for bound in (low, high) if bound is not None]
    return np.minimum.reduce(bounds)


class Decision(Op, register=False):
    """A comparison, or an argmax: no gradient passes, but what follows may depend on it."""

    name: str
    opaque = True

    def branch(self, y: Value) -> Value:
        return y


class Where(Elementwise):
    """y = a where condition, else b: g goes to the one that was taken.

    ∂L/∂a = g where condition, else 0;   ∂L/∂b = 0 where condition, else g.
    """

    constant = ("condition",)

    def forward(self, condition: Value, a: Value, b: Value) -> Value:
        return np.where(condition, a, b)

    def grad_a(self, g: Value, condition: Value) -> Value:
        return Where()(condition, g, 0.0)

    def grad_b(self, g: Value, condition: Value) -> Value:
        return Where()(condition, 0.0, g)

    def branch(self, condition: Value) -> Value:
        return condition


class Sign(Elementwise):
    """y = sign(a): −1, 0 or 1 as a is negative, zero or positive (`lenet`, activations).

    ∂L/∂a = 0: y is constant between the jumps. Of NaN it is 0, as in PyTorch.
    """

    def forward(self, a: Value) -> Value:
        above, below = (a > 0).view(np.int8), (a < 0).view(np.int8)
        return (above - below).astype(a.dtype)

    def grad_a(self, g: Value) -> Value:
        return Where()(False, g, 0.0)

    def branch(self, y: Value) -> Value:
        return y.astype(np.int8)

    def margin(self, a: Value) -> Value:
        return np.abs(a)


class Round(Elementwise):
    """y = round(a): the nearest integer, of two the even one; or the next below or above,
    or towards zero.

    ∂L/∂a = 0: y is constant between the jumps.
    """

    to: Literal["below", "above", "zero", "nearest"] = "nearest"

    def forward(self, a: Value) -> Value:
        ways = {"below": np.floor, "above": np.ceil, "zero": np.trunc}
        return ways.get(self.to, np.round)(a)

    def grad_a(self, g: Value) -> Value:
        return Where()(False, g, 0.0)

    def branch(self, y: Value) -> Value:
        return y

    def margin(self, a: Value) -> Value:
        from_jump = a + 0.5 if self.to == "nearest" else a
        jump = np.round(from_jump)
        if self.to == "zero":  # where there is no jump
            jump = np.where(jump == 0, np.copysign(1, a), jump)
        return np.abs(from_jump - jump)


class Abs(Elementwise):
    """y = |a|.   ∂L/∂a = g · sign(a); at the corner a = 0 it is 0."""

    def forward(self, a: Value) -> Value:
        return np.abs(a)

    def grad_a(self, g: Value, a: Value) -> Value:
        return g * Sign()(a)

    def branch(self, a: Value) -> Value:
        return np.sign(a).astype(np.int8)

    def margin(self, y: Value) -> Value:
        return y


class OneOfTwo(Elementwise, register=False):
    """Base of the larger and the smaller of two: g goes to the one that `beats`.

    Where one is NaN, none beats the other, and both have g, as in PyTorch.
    """

    beats: ClassVar[Any]

    def forward(self, a: Value, b: Value) -> Value:
        return self.ufunc(a, b)

    def grad_a(self, g: Value, a: Value, b: Value) -> Value:
        return Where()(a == b, g * 0.5, Where()(self.beats(b, a), 0.0, g))

    def grad_b(self, g: Value, a: Value, b: Value) -> Value:
        return Where()(a == b, g * 0.5, Where()(self.beats(a, b), 0.0, g))

    def branch(self, a: Value, b: Value) -> Value:
        return np.sign(a - b).astype(np.int8)

    def margin(self, a: Value, b: Value) -> Value:
        return np.abs(a - b)


class Maximum(OneOfTwo):
    """y = max(a, b): g goes to the larger input; where they tie, half to each;
    where one is NaN, all to each.

    ∂L/∂a = g where a > b, g / 2 where a = b, else 0;
    ∂L/∂b = g where b > a, g / 2 where a = b, else 0.
    """

    ufunc = np.maximum
    beats = operator.gt


class Minimum(OneOfTwo):
    """y = min(a, b): g goes to the smaller input; where they tie, half to each;
    where one is NaN, all to each.

    ∂L/∂a = g where a < b, g / 2 where a = b, else 0;
    ∂L/∂b = g where b < a, g / 2 where a = b, else 0.
    """

    ufunc = np.minimum
    beats = operator.lt


class Clip(Elementwise):
    """y = min(max(a, low), high); None is no bound.

    ∂L/∂a = g where low ≤ a ≤ high, else 0; the bounds are included, as in PyTorch.
    """

    low: float | None = None
    high: float | None = None
    adjusts = True

    def forward(self, a: Value) -> Value:
        return np.clip(a, self.low, self.high)

    def grad_a(self, g: Value, a: Value) -> Value:
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return Where()((a >= low) & (a <= high), g, 0.0)

    def branch(self, a: Value) -> Value:
        return side(a, self.low, self.high)

    def margin(self, a: Value) -> Value:
        return distance(a, self.low, self.high)

    def alive(self, a: Value) -> Value:
        return self.branch(a) == 0
