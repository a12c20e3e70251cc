"""Slopes by central differences, each with an estimate of its own error.

    D(h) = ⟨v, y(x + h d) − y(x − h d)⟩ / 2h

is off by h² f‴/6 + … (truncation, which falls with h) and by the noise of y over h
(rounding, which grows). A first step of u^⅓ balances the two, u being the precision of the
dtype. Where that is not good enough, the step is divided by 8 again and again, and the
level with the smallest sum of both errors is taken: truncation from two levels, which
differ by 63/64 of it, rounding from the noise measured at x.

A level counts only if x − h d, x and x + h d take the same branches: then nothing between
them bends. If no level does, x lies on a kink.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .branches import Corner, Path
from .subject import Array, Run, Subject

SHRINK = 8.0
SMALLEST = 1 / 4096
"""The last step, as a share of the first usual one."""


@dataclass(frozen=True)
class Slope:
    """A difference quotient and what it is worth."""

    value: float
    step: float
    truncation: float
    rounding: float

    @property
    def error(self) -> float:
        """Truncation and rounding together."""
        return self.truncation + self.rounding


class Differences:
    """Central differences of Σ ⟨cotangent, output⟩ where a subject stands."""

    def __init__(
        self, subject: Subject, cotangents: Sequence[Array], base: Run, step: float
    ) -> None:
        self.subject, self.cotangents, self.base = subject, cotangents, base
        self.step = step
        self.runs = 0
        dtype = base.outputs[0].dtype
        self.precision = float(np.finfo(dtype).eps)
        self.smallest = min(step, usual_step(dtype)) * SMALLEST
        self.noise = self._noise()

    def quotient(self, name: str, direction: Direction, h: float) -> Quotient:
        """D(h) along the direction in one tensor, and whether no branch changed."""
        array = self.subject.arrays[name]
        start = array.reshape(-1)[direction.entries]
        sides: list[Run] = []
        width = 0.0
        for sign in (1, -1):
            moved = start + sign * h * direction.weights
            array.reshape(-1)[direction.entries] = moved
            # what was really added, after rounding
            width += sign * float(np.sum((moved - start) * direction.weights))
            sides.append(self.subject.run())
        array.reshape(-1)[direction.entries] = start
        self.runs += 2
        width /= float(np.sum(direction.weights**2))
        up, down = sides
        same = all(side.path.same_as(self.base.path) for side in sides)
        value = self._weighted(up.outputs, down.outputs) / width if width else np.nan
        return Quotient(value, abs(width / 2), same, (up.path, down.path))

    def one_sided(
        self, name: str, direction: Direction, h: float
    ) -> tuple[float, float]:
        """The slopes to the left and to the right."""
        flat = self.subject.arrays[name].reshape(-1)
        start = flat[direction.entries]
        slopes = []
        for sign in (-1, 1):
            flat[direction.entries] = start + sign * h * direction.weights
            there = self.subject.run().outputs
            slopes.append(sign * self._weighted(there, self.base.outputs) / h)
        flat[direction.entries] = start
        self.runs += 2
        return slopes[0], slopes[1]

    def slope(
        self, name: str, direction: Direction, first: Quotient | None = None
    ) -> Slope | list[Corner]:
        """The best slope that some step gives, or the corners if all of them cross one.

        first: D of the first step, where it is known already.
        """
        h = self.step * direction.scale
        good: list[Quotient] = []
        while h >= self.smallest * direction.scale:
            level = first or self.quotient(name, direction, h)
            first = None
            h /= SHRINK
            if not (level.smooth and np.isfinite(level.value)):
                continue
            good.append(level)
            # smaller steps would only add rounding
            if len(good) > 1 and self._truncation(*good[-2:]) < self.rounding(
                level.step
            ):
                break
        if not good:
            return self._corners(level)
        found = [self._judged(b, self._truncation(a, b)) for a, b in pairwise(good)]
        # the truncation of the first is 64 times that of the second
        at_first = 64 * self._truncation(*good[:2]) if len(good) > 1 else 0.0
        found.append(self._judged(good[0], at_first))
        return min(found, key=lambda slope: slope.error)

    def rounding(self, h: float) -> float:
        """What the noise of the outputs does to D(h)."""
        return self.noise / h if h else np.inf

    @staticmethod
    def _truncation(larger: Quotient, smaller: Quotient) -> float:
        """That of the smaller step, the next after the larger one."""
        return abs(larger.value - smaller.value) / (SHRINK**2 - 1)

    def _judged(self, level: Quotient, truncation: float) -> Slope:
        return Slope(level.value, level.step, truncation, self.rounding(level.step))

    def _corners(self, last: Quotient) -> list[Corner]:
        # an array in the margins' place is looked at only here, so they are found anew
        path = self.subject.run(margins=True).path
        return path.corners(*last.paths)

    def _weighted(self, up: Sequence[Array], down: Sequence[Array]) -> float:
        triples = zip(self.cotangents, up, down, strict=True)
        return float(sum(np.sum(v * (a - b)) for v, a, b in triples))

    def _noise(self) -> float:
        """How much Σ ⟨v, y⟩ jitters: the second difference where the step is next to none.

        At steps of a few roundings in all tensors at once the curvature is nothing; a few
        draws show the jitter, of which twice the largest is taken, and one rounding of each
        output at least.
        """
        sizes = zip(self.cotangents, self.base.outputs, strict=True)
        least = self.precision * float(
            np.sqrt(sum(np.sum((v * y) ** 2) for v, y in sizes))
        )
        rng, seen = np.random.default_rng(0), [least]
        starts = {name: array.copy() for name, array in self.subject.arrays.items()}
        for _ in range(4):
            sides = []
            steps = {
                name: rng.choice([-1, 1], a.shape) * np.maximum(np.abs(a), 1)
                for name, a in starts.items()
            }
            for sign in (1, -1):
                for name, array in self.subject.arrays.items():
                    array[...] = starts[name] + sign * 2 * self.precision * steps[name]
                sides.append(self.subject.run())
            if all(side.path.same_as(self.base.path) for side in sides):
                up, down = sides
                middle = [2 * y for y in self.base.outputs]
                both = [a + b for a, b in zip(up.outputs, down.outputs, strict=True)]
                seen.append(abs(self._weighted(both, middle)))
        for name, array in self.subject.arrays.items():
            array[...] = starts[name]
        return 2 * max(seen)


@dataclass(frozen=True)
class Direction:
    """Some entries of a tensor (flat), and how much of the step each takes."""

    entries: Array
    weights: Array
    scale: float = 1.0
    """The size of the values, which the step is multiplied by."""


@dataclass(frozen=True)
class Quotient:
    """D(h), the h that it was, whether it is smooth in between, and both paths."""

    value: float
    step: float
    smooth: bool
    paths: tuple[Path, Path]


def usual_step(dtype: np.dtype[np.floating]) -> float:
    """u^⅓: 6e-6 in float64, 5e-3 in float32."""
    return float(np.finfo(dtype).eps ** (1 / 3))
