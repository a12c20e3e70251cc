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
from .precision import Steps
from .subject import Array, Run, Subject

SHRINK = 8.0
SMALLEST = 1 / 4096
"""The last step, as a share of the first usual one."""

HELD = 2**21
"""Derivatives of outputs that are held, since a diagnosis asks for the same entries."""

PLAIN = 100
"""A claim off by so many times the estimated error needs no smaller step to be wrong."""

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
    """D(h), the h that it was, whether it is smooth in between, and both runs."""

    value: float
    step: float
    smooth: bool
    up: Run
    down: Run


@dataclass(frozen=True)
class Slope:
    """A difference quotient and what it is worth.

    gap: how far apart the slopes to either side were at the second step tried.
    """

    value: float
    step: float
    truncation: float
    rounding: float
    gap: float = 0.0

    @property
    def error(self) -> float:
        """Truncation and rounding together."""
        return self.truncation + self.rounding


@dataclass(frozen=True)
class Scale:
    """The first step of differences in a tensor, the last one, and what Σ ⟨v, y⟩ jitters.

    low: whether that is since the outputs move in steps (`precision`).
    """

    first: float
    last: float
    noise: float
    low: bool = False


class Differences:
    """Central differences of Σ ⟨cotangent, output⟩ where a subject stands."""

    def __init__(
        self,
        subject: Subject,
        cotangents: Sequence[Array],
        base: Run,
        step: float,
        noise: float = 0.0,
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
        self.starts = {name: array.copy() for name, array in subject.arrays.items()}
        self.noise = self._noise(noise)
        self.scales: dict[str, Scale] = {}
        self.runners: dict[str, Callable[[], Run]] = {}
        self.columns: dict[tuple[str, int], tuple[Array, bool]] = {}

    def scale(self, name: str) -> Scale:
        """The steps that fit this tensor, and the noise that goes with them."""
        if name not in self.scales:
            self.scales[name] = self._find_scale(name)
        return self.scales[name]

    def _find_scale(self, name: str) -> Scale:
        usual = Scale(self.step, self.smallest, self.noise)
        array = self.subject.arrays[name]
        if self.subject.knows_branches or not array.size or not self.size:
            return usual
        weights = np.concatenate([v.reshape(-1) for v in self.cotangents])
        try:
            height = Steps(array, self.subject.run, weights).height(self.noise)
        except Exception:  # code may refuse values that are no longer what they were
            return usual
        if height <= 10 * self.noise:
            return usual
        step = min(max((height / self.size) ** (1 / 3), self.step), 0.05)
        return Scale(step, step / SHRINK**2, self.noise + 2 * height, low=True)

    def sides(
        self,
        name: str,
        direction: Direction,
        h: float,
        run: Callable[[], Run] | None = None,
    ) -> tuple[Run, Run, float]:
        """The runs on both sides in one tensor, and h as it is after rounding."""
        self.runs += 2
        array = self.subject.arrays[name]
        return central(array, direction, h, run or self.subject.run)

    def quotient(self, name: str, direction: Direction, h: float) -> Quotient:
        """D(h) along the direction in one tensor, and whether no branch changed."""
        if name not in self.runners:
            self.runners[name] = self.subject.runner(name)
        up, down, h = self.sides(name, direction, h, self.runners[name])
        value = self._weighted(up.outputs, down.outputs) / (2 * h) if h else np.nan
        return Quotient(value, abs(h), self.smooth(up, down), up, down)

    def ends(self, found: Quotient) -> tuple[float, float]:
        """The slopes from x to the left and to the right."""
        middle, h = self.base.outputs, found.step or np.nan
        left = self._weighted(middle, found.down.outputs) / h
        return left, self._weighted(found.up.outputs, middle) / h

    def gap(self, found: Quotient) -> float:
        """How far apart these are."""
        left, right = self.ends(found)
        return abs(right - left)

    def column(self, name: str, k: int) -> tuple[Array, bool]:
        """∂y/∂x of all outputs y for entry k, and whether no branch changed."""
        array, here = self.subject.arrays[name], self._stands()
        if here and (name, k) in self.columns:
            return self.columns[name, k]
        one = Direction.of_entry(array, k)
        up, down, h = self.sides(name, one, self._column_step(name) * one.scale)
        column = (up.row - down.row) / (2 * h), self.smooth(up, down)
        if here:
            self._hold(name, k, *column)
        return column

    def keep(self, name: str, k: int, found: Quotient) -> None:
        """Hold what a first quotient tells of all outputs, for `column`."""
        if self._column_step(name) == self.scale(name).first and found.step:
            column = (found.up.row - found.down.row) / (2 * found.step)
            self._hold(name, k, column, found.smooth)

    def _hold(self, name: str, k: int, column: Array, smooth: bool) -> None:
        if (len(self.columns) + 1) * column.size <= HELD:
            self.columns[name, k] = column, smooth

    def _column_step(self, name: str) -> float:
        scale = self.scale(name)
        return scale.first if scale.low else usual_step(self.starts[name].dtype)

    def _stands(self) -> bool:
        """Whether all tensors have the values that they had at first."""
        arrays = self.subject.arrays
        return all(np.array_equal(arrays[k], x) for k, x in self.starts.items())

    def smooth(self, *runs: Run) -> bool:
        """Whether all of them took the branches that are taken at x."""
        return all(run.path.same_as(self.base.path) for run in runs)

    def slope(
        self,
        name: str,
        direction: Direction,
        first: Quotient | None = None,
        claimed: float = np.nan,
    ) -> Slope | list[Corner]:
        """The best slope that some step gives, or the corners if all of them cross one.

        first: D of the first step, where it is known already. claimed: once this is plainly
        wrong, no smaller step is tried.
        """
        scale = self.scale(name)
        h, last = scale.first * direction.scale, scale.last * direction.scale
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
                if good[1:]:
                    truncation = _truncation(*good[-2:])
                    rounding = scale.noise / level.step
                    # smaller steps would only add rounding
                    if truncation < rounding:
                        break
                    # NaN is off by nothing
                    if abs(claimed - level.value) > PLAIN * (truncation + rounding):
                        break
            h /= SHRINK
            if h < last:
                break
            level = self.quotient(name, direction, h)
        if not good:
            return self.margins.corners(level.up.path, level.down.path)
        errors = [_truncation(a, b) for a, b in pairwise(good)]
        # the truncation of the first is 64 times that of the second
        errors = [SHRINK**2 * errors[0] if errors else 0.0, *errors]
        gap = self.gap(good[:2][-1])
        found = [
            Slope(
                level.value,
                level.step,
                max(
                    [error, *[self._refutes(scale, level, finer) for finer in good[i:]]]
                ),
                self.rounding(name, level.step),
                gap,
            )
            for i, (level, error) in enumerate(zip(good, errors, strict=True))
        ]
        return min([*found[1:], found[0]], key=lambda slope: slope.error)

    def _refutes(self, scale: Scale, level: Quotient, finer: Quotient) -> float:
        """How far a level is off at least, as a finer one sees it."""
        return abs(level.value - finer.value) - scale.noise / finer.step

    @cached_property
    def margins(self) -> Path:
        """The path at x, with how far each value is from its corner."""
        # the array checked is at x between two runs
        return self.subject.run(margins=True).path

    def rounding(self, name: str, h: float) -> float:
        """What the noise of the outputs does to D(h) in this tensor."""
        return self.scale(name).noise / h if h else np.inf

    def _weighted(self, up: Sequence[Array], down: Sequence[Array]) -> float:
        triples = zip(self.cotangents, up, down, strict=True)
        return float(sum(np.sum(v * (a - b)) for v, a, b in triples))

    def _noise(self, known: float) -> float:
        """How much Σ ⟨v, y⟩ jitters: the second difference where the step is next to none.

        known: how much it was seen to jitter without any step.

        At steps of a few roundings in all tensors at once the curvature is nothing; a few
        draws show the jitter, of which twice the largest is taken, and one rounding of each
        output at least.
        """
        rng, seen = np.random.default_rng(0), [self.precision * self.size, known]
        arrays = self.subject.arrays.values()
        starts = self.starts.values()
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
    """That of the smaller step, the next after the larger one.

    What falls as h² falls by 64; where both are far apart, nothing falls so as yet.
    """
    off = abs(larger.value - smaller.value)
    near = off < 0.1 * max(abs(larger.value), abs(smaller.value))
    return off / (SHRINK**2 - 1) if near else off


def usual_step(dtype: np.dtype[np.floating]) -> float:
    """u^⅓: 6e-6 in float64, 5e-3 in float32."""
    return float(np.finfo(dtype).eps ** (1 / 3))
