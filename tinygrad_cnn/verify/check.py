"""The check of one tensor's gradient: a screen, single entries, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .branches import Corner
from .difference import Differences, Direction, Slope
from .report import Kink, TensorReport, Worst
from .subject import Array, Run, Subject


@dataclass(frozen=True)
class Settings:
    """How thorough a check is, and how exact.

    full: tensors of at most so many entries are checked entry by entry. sample: entries of
    a larger one that are checked so in any case. blocks: projections that together cover
    all entries of a larger one. rtol: what an entry may be off, as a share of itself,
    beyond the estimated error of the difference quotient. unclear: an estimated error above
    this share of the tensor's largest gradient settles nothing.
    """

    step: float
    full: int = 1024
    sample: int = 256
    blocks: int = 64
    rtol: float = 1e-6
    unclear: float = 1e-3
    seed: int = 0


def cotangents_for(outputs: Sequence[Array], rng: np.random.Generator) -> list[Array]:
    """Random weights for the outputs, none near zero: a mistake may cancel in a sum."""
    return [
        np.array(rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1, 1], y.shape), y.dtype)
        for y in outputs
    ]


class Checker:
    """Checks the tensors of one subject against differences in one cotangent."""

    def __init__(self, subject: Subject, settings: Settings) -> None:
        self.subject, self.settings = subject, settings
        self.rng = np.random.default_rng(settings.seed)
        base = subject.run()
        self.outputs = base.outputs
        self.cotangents = cotangents_for(base.outputs, self.rng)
        self.failure = self._unfit(subject.run())
        self.claims: dict[str, Array | None] = {}
        if self.failure is None:
            self.claims = self._claims()
        self.differences = Differences(subject, self.cotangents, base, settings.step)

    def _unfit(self, again: Run) -> str | None:
        """Why no difference quotient would mean anything."""
        for first, second in zip(self.outputs, again.outputs, strict=False):
            if first.shape != second.shape or not np.array_equal(first, second, True):
                return "the forward pass is not deterministic: run twice, it differs"
        if not all(np.isfinite(y).all() for y in self.outputs):
            return "the forward pass gives values that are not finite (inf or NaN)"
        return None

    def _claims(self) -> dict[str, Array | None]:
        before = {name: array.copy() for name, array in self.subject.arrays.items()}
        try:
            first = self.subject.gradients(self.cotangents)
            second = self.subject.gradients(self.cotangents)
        except Exception as error:  # whatever the code under test raises is a finding
            self.failure = f"the backward pass raised {type(error).__name__}: {error}"
            return {}
        for name, claim in first.items():
            other = second[name]
            if claim is None or other is None:
                continue
            if not np.array_equal(claim, other, equal_nan=True):
                self.failure = (
                    f"the backward pass is not deterministic: run twice, it gives two "
                    f"gradients of {name}"
                )
            if not np.array_equal(before[name], self.subject.arrays[name], True):
                self.failure = f"the code changes its input {name} in place"
        return first

    def report(self, name: str) -> TensorReport:
        """What can be said of the gradient with respect to this tensor."""
        if self.failure is not None:
            shape = self.subject.arrays[name].shape
            return TensorReport(name, shape, failure=self.failure)
        array, claim = self.subject.arrays[name], self.claims[name]
        if claim is not None and claim.shape != array.shape:
            return TensorReport.misshapen(name, array.shape, claim.shape)
        found = Findings(name, np.zeros_like(array) if claim is None else claim)
        found.never_computed = claim is None
        if array.size <= self.settings.full:
            self._entries(found, range(array.size))
        else:
            self._entries(found, self._sample(found.claim.reshape(-1)))
            for block in self._blocks(array.size):
                if not self._agrees(found, block):
                    self._entries(found, block)
            found.blocks = self.settings.blocks
        if found.kinks:
            found.together = self._together(found)
        return self._judged(found)

    def _together(self, found: Findings) -> tuple[float, float] | None:
        """Claimed and true slope along all entries at once, if they disagree.

        Values that tie stay tied when all of them move alike: what is a kink for each alone
        can be smooth for all together.
        """
        n = found.claim.size
        scale = max(float(np.max(np.abs(self.subject.arrays[found.name]))), 1.0)
        common = Direction(np.arange(n), np.full(n, n**-0.5), scale)
        slope, claimed = (
            self.differences.slope(found.name, common),
            float(np.sum(found.claim) * n**-0.5),
        )
        if not isinstance(slope, Slope) or self._close(claimed, slope):
            return None
        if self._jump(found.name, common, claimed):  # of a ReLU at zero, say
            return None
        return claimed, slope.value

    def _sample(self, claim: Array) -> list[int]:
        """The first and last entries, those with the largest gradients, and some drawn."""
        largest = np.argsort(-np.abs(claim), kind="stable")[: self.settings.sample // 4]
        drawn = self.rng.permutation(claim.size)
        chosen = dict.fromkeys([0, claim.size - 1, *largest.tolist(), *drawn.tolist()])
        return list(chosen)[: self.settings.sample]

    def _blocks(self, size: int) -> Iterator[Array]:
        yield from np.array_split(self.rng.permutation(size), self.settings.blocks)

    def _agrees(self, found: Findings, block: Array) -> bool:
        """Whether a random projection of all these entries is as claimed."""
        weights = self.rng.uniform(0.5, 1.5, block.size) * self.rng.choice(
            [-1, 1], block.size
        )
        weights /= np.sqrt(np.sum(weights**2))
        slope = self.differences.slope(found.name, Direction(block, weights))
        if not isinstance(slope, Slope):
            return False
        parts = found.claim.reshape(-1)[block] * weights
        # rtol of a typical one of the parts, which add up like random numbers
        typical = float(np.sqrt(np.mean(parts**2)))
        allowed = 2 * slope.error + self.settings.rtol * typical
        found.sensitivity = max(
            found.sensitivity, 2 * allowed / float(np.min(np.abs(weights)))
        )
        return bool(abs(slope.value - float(np.sum(parts))) <= allowed)

    def _entries(self, found: Findings, entries: Sequence[int] | Array) -> None:
        claims = found.claim.reshape(-1)
        for k in map(int, entries):
            if k not in found.claimed:
                one, claimed = self._one(found.name, k), float(claims[k])
                found.add(k, claimed, self._entry(found.name, one, claimed))

    def _entry(self, name: str, one: Direction, claimed: float) -> Slope | list[Corner]:
        """The quotient at the first step, if that settles it; else the best one."""
        h = self.settings.step * one.scale
        first = self.differences.quotient(name, one, h)
        quick = Slope(first.value, first.step, 0.0, self.differences.rounding(h))
        if first.smooth and self._close(claimed, quick):
            return quick
        best = self.differences.slope(name, one, first)
        if isinstance(best, Slope) and not self._close(claimed, best):
            return self._jump(name, one, claimed) or best
        return best

    def _close(self, claimed: float, slope: Slope) -> bool:
        larger = max(abs(claimed), abs(slope.value))
        allowed = self.settings.rtol * larger + 2 * slope.error
        return bool(np.isfinite(claimed) and abs(claimed - slope.value) <= allowed)

    def _jump(self, name: str, one: Direction, claimed: float) -> list[Corner] | None:
        """A kink of code that cannot be asked for its branches, found by numbers alone.

        On a smooth piece the slopes to the left and to the right approach each other as
        the step shrinks; on a kink they stay apart.
        """
        if self.subject.knows_branches:
            return None
        gaps = []
        for h in (self.settings.step, self.settings.step / 64):
            left, right = self.differences.one_sided(name, one, h * one.scale)
            gaps.append(abs(right - left))
        apart = gaps[1] > 0.5 * gaps[0] > 4 * self.differences.rounding(h)
        low, high = sorted((left, right))
        room = 1e-3 * gaps[1]
        if apart and low - room <= claimed <= high + room:
            text = f"the slope jumps from {left:.6g} to {right:.6g}"
            return [Corner(text, "", (), np.nan)]
        return None

    def _judged(self, found: Findings) -> TensorReport:
        wrong, vague = [], []
        for k, slope in found.slopes.items():
            if not self._close(found.claimed[k], slope):
                wrong.append(k)
            elif slope.error > self.settings.unclear * found.scale > 0:
                vague.append(k)
        vanishing = len(vague) == len(found.slopes) and all(
            map(partial(self._vanishes, found), vague)
        )
        error = max(map(found.error, found.slopes), default=0.0)
        return TensorReport(
            name=found.name,
            shape=found.claim.shape,
            checked=len(found.claimed),
            blocks=found.blocks,
            sensitivity=found.sensitivity,
            max_abs_error=error,
            max_rel_error=error / found.scale if found.scale else 0.0,
            worst=self._worst(found, wrong),
            wrong=tuple(found.index(k) for k in wrong),
            unclear=0 if vanishing else len(vague),
            vanishing=vanishing and bool(vague),
            kinks=tuple(Kink(found.index(k), tuple(c)) for k, c in found.kinks.items()),
            never_computed=found.never_computed,
            together=found.together,
        )

    def _vanishes(self, found: Findings, k: int) -> bool:
        """Whether the entry is zero as far as the outputs can tell."""
        error = found.slopes[k].error
        sizes = zip(self.cotangents, self.outputs, strict=True)
        total = float(np.sqrt(sum(np.sum((v * y) ** 2) for v, y in sizes)))
        return abs(found.claimed[k]) <= error <= self.settings.unclear * total

    def _worst(self, found: Findings, wrong: Sequence[int]) -> Worst | None:
        """The entry that is off most, its difference with both errors estimated."""
        if not found.slopes:
            return None
        k = max(wrong or found.slopes, key=found.error)
        slope = found.slopes[k]
        if not slope.truncation:
            better = self.differences.slope(found.name, self._one(found.name, k))
            slope = better if isinstance(better, Slope) else slope
        return Worst(
            *(found.index(k), found.claimed[k], slope.value),
            *(slope.step, slope.truncation, slope.rounding),
        )

    def _one(self, name: str, k: int) -> Direction:
        x = float(self.subject.arrays[name].reshape(-1)[k])
        return Direction(np.array([k]), np.ones(1), max(abs(x), 1.0))


class Findings:
    """What is known so far of one tensor's entries (by flat position)."""

    def __init__(self, name: str, claim: Array) -> None:
        self.name, self.claim = name, claim
        self.claimed: dict[int, float] = {}
        self.slopes: dict[int, Slope] = {}
        self.kinks: dict[int, list[Corner]] = {}
        self.blocks = 0
        self.sensitivity = 0.0
        self.never_computed = False
        self.together: tuple[float, float] | None = None

    def add(self, k: int, claimed: float, result: Slope | list[Corner]) -> None:
        """Note the result of one entry."""
        self.claimed[k] = claimed
        if isinstance(result, Slope):
            self.slopes[k] = result
        else:
            self.kinks[k] = result

    @property
    def scale(self) -> float:
        """The largest gradient of the tensor, claimed or true."""
        true = [abs(slope.value) for slope in self.slopes.values()]
        return max([*true, float(np.max(np.abs(self.claim), initial=0))])

    def error(self, k: int) -> float:
        """How far the claim is from the difference quotient; infinite if it is NaN."""
        error = abs(self.claimed[k] - self.slopes[k].value)
        return error if error == error else np.inf

    def index(self, k: int) -> tuple[int, ...]:
        """The position of entry k in the tensor."""
        return tuple(int(i) for i in np.unravel_index(k, self.claim.shape))
