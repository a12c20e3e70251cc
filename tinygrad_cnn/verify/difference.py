"""Slopes by central differences, each with an estimate of its own error.

    D(h) = ⟨v, y(x + h d) − y(x − h d)⟩ / 2h

is off by h² f‴/6 + … (truncation, which falls with h) and by the noise of y over h
(rounding, which grows). A first step of u^⅓ balances the two, u being the precision of the
dtype. Where that is not good enough, the step is divided by 8 again and again, and the
level with the smallest sum of both errors is taken: truncation from two levels, which
differ by 63/64 of it, rounding from the noise measured at x.

A level counts only if x − h d, x and x + h d take the same branches: then nothing between
them bends. If no level does, x lies on a kink.

`central` is the difference alone. `autograd.gradcheck` divides it as PyTorch does, the
diagnosis looks at each output of it, and `Differences` judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from .branches import Corner, Path
from .subject import Array, Run, Subject

SHRINK = 8.0
SMALLEST = 1 / 4096
"""The last step, as a share of the first usual one."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Direction:
    """Some entries of a tensor (flat), and how much of the step each takes."""

    entries: Array
    weights: Array
    scale: float = 1.0
    """The size of the values, which the step is multiplied by."""

    @classmethod
    def of_entry(cls, array: Array, k: int) -> Direction:
        """One entry alone."""
        return cls(np.array([k]), np.ones(1), max(abs(float(array.flat[k])), 1.0))


def with_values(
    array: Array, entries: Any, values: Any, run: Callable[[], Result]
) -> Result:
    """What `run` gives while these entries (flat) have other values."""
    start = array.flat[entries]
    try:
        array.flat[entries] = values
        return run()
    finally:
        array.flat[entries] = start


def central(
    array: Array, direction: Direction, h: float, run: Callable[[], Result]
) -> tuple[Result, Result, float]:
    """What `run` gives at x + h d and at x − h d, and h as it is after rounding."""
    d = direction.weights
    start = array.flat[direction.entries]
    up, down = [(start + step * d).astype(array.dtype) for step in (h, -h)]
    rounded = float(np.sum((up - down) * d) / (2 * np.sum(d**2)))
    sides = [with_values(array, direction.entries, x, run) for x in (up, down)]
    return sides[0], sides[1], rounded


@dataclass(frozen=True)
class Quotient:
    """D(h), the h that it was, whether it is smooth in between, and both paths.

    left, right: the slopes from x to either side.
    """

    value: float
    step: float
    smooth: bool
    paths: tuple[Path, Path]
    left: float
    right: float


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
        products = zip(cotangents, base.outputs, strict=True)
        self.size = float(np.sqrt(sum(np.sum((v * y) ** 2) for v, y in products)))
        """That of Σ ⟨v, y⟩, if its terms had random signs."""
        self.noise = self._noise()

    def sides(
        self, name: str, direction: Direction, h: float
    ) -> tuple[Run, Run, float]:
        """The runs on both sides in one tensor, and h as it is after rounding."""
        self.runs += 2
        return central(self.subject.arrays[name], direction, h, self.subject.run)

    def quotient(self, name: str, direction: Direction, h: float) -> Quotient:
        """D(h) along the direction in one tensor, and whether no branch changed."""
        up, down, h = self.sides(name, direction, h)
        middle, paths = self.base.outputs, (up.path, down.path)
        ends = [
            (up.outputs, down.outputs),
            (middle, down.outputs),
            (up.outputs, middle),
        ]
        rise, left, right = [
            self._weighted(*pair) / h if h else np.nan for pair in ends
        ]
        return Quotient(rise / 2, abs(h), self.smooth(up, down), paths, left, right)

    def column(self, name: str, k: int) -> tuple[Array, bool]:
        """∂y/∂x of all outputs y for entry k, and whether no branch changed."""
        array = self.subject.arrays[name]
        one = Direction.of_entry(array, k)
        up, down, h = self.sides(name, one, usual_step(array.dtype) * one.scale)
        return (up.row - down.row) / (2 * h), self.smooth(up, down)

    def smooth(self, *runs: Run) -> bool:
        """Whether all of them took the branches that are taken at x."""
        return all(run.path.same_as(self.base.path) for run in runs)

    def slope(
        self, name: str, direction: Direction, first: Quotient | None = None
    ) -> Slope | list[Corner]:
        """The best slope that some step gives, or the corners if all of them cross one.

        first: D of the first step, where it is known already.
        """
        h, last = self.step * direction.scale, self.smallest * direction.scale
        level = first or self.quotient(name, direction, h)
        if not level.smooth:
            # where even the smallest step crosses a corner, those between do so too
            up, down, _ = self.sides(name, direction, last)
            if not self.smooth(up, down):
                return self.margins.corners(up.path, down.path)
        good: list[Quotient] = []
        while True:
            if level.smooth and np.isfinite(level.value):
                good.append(level)
                # smaller steps would only add rounding
                if good[1:] and _truncation(*good[-2:]) < self.rounding(level.step):
                    break
            h /= SHRINK
            if h < last:
                break
            level = self.quotient(name, direction, h)
        if not good:
            return self.margins.corners(*level.paths)
        errors = [_truncation(a, b) for a, b in pairwise(good)]
        # the truncation of the first is 64 times that of the second
        errors = [SHRINK**2 * errors[0] if errors else 0.0, *errors]
        found = [
            Slope(level.value, level.step, error, self.rounding(level.step))
            for level, error in zip(good, errors, strict=True)
        ]
        return min([*found[1:], found[0]], key=lambda slope: slope.error)

    @cached_property
    def margins(self) -> Path:
        """The path at x, with how far each value is from its corner."""
        # the array checked is at x between two runs
        return self.subject.run(margins=True).path

    def rounding(self, h: float) -> float:
        """What the noise of the outputs does to D(h)."""
        return self.noise / h if h else np.inf

    def _weighted(self, up: Sequence[Array], down: Sequence[Array]) -> float:
        triples = zip(self.cotangents, up, down, strict=True)
        return float(sum(np.sum(v * (a - b)) for v, a, b in triples))

    def _noise(self) -> float:
        """How much Σ ⟨v, y⟩ jitters: the second difference where the step is next to none.

        At steps of a few roundings in all tensors at once the curvature is nothing; a few
        draws show the jitter, of which twice the largest is taken, and one rounding of each
        output at least.
        """
        rng, seen = np.random.default_rng(0), [self.precision * self.size]
        arrays = self.subject.arrays.values()
        starts = [array.copy() for array in arrays]
        middle = [2 * y for y in self.base.outputs]
        for _ in range(4):
            moves = [
                2
                * self.precision
                * rng.choice([-1, 1], x.shape)
                * np.maximum(abs(x), 1)
                for x in starts
            ]
            sides = []
            for sign in (1, -1):
                for array, start, move in zip(arrays, starts, moves, strict=True):
                    array[...] = start + sign * move
                sides.append(self.subject.run())
            if self.smooth(*sides):
                up, down = [side.outputs for side in sides]
                both = [a + b for a, b in zip(up, down, strict=True)]
                seen.append(abs(self._weighted(both, middle)))
        for array, start in zip(arrays, starts, strict=True):
            array[...] = start
        return 2 * max(seen)


def _truncation(larger: Quotient, smaller: Quotient) -> float:
    """That of the smaller step, the next after the larger one."""
    return abs(larger.value - smaller.value) / (SHRINK**2 - 1)


def usual_step(dtype: np.dtype[np.floating]) -> float:
    """u^⅓: 6e-6 in float64, 5e-3 in float32."""
    return float(np.finfo(dtype).eps ** (1 / 3))
