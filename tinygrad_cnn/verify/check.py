"""The check of one tensor's gradient: a screen, single entries, and a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .answers import Answers, weights_of
from .answers import cotangents_for as cotangents_for
from .branches import Corner
from .difference import SHRINK, Differences, Direction, Quotient, Slope, with_values
from .report import Kink, TensorReport, Values, Worst
from .subject import Array, Subject


@dataclass(frozen=True)
class Settings:
    """How thorough a check is, and how exact.

    full: tensors of at most so many entries are checked entry by entry. sample: entries of
    a larger one that are checked so in any case. blocks: projections that together cover
    all entries of a larger one. rtol: what an entry may be off, as a share of itself,
    beyond the estimated error of the difference quotient. unclear: an estimated error above
    this share of the tensor's largest gradient settles nothing. enough: once so many
    entries of a tensor are wrong, no more are looked at.
    """

    step: float
    full: int = 1024
    sample: int = 256
    blocks: int = 64
    rtol: float = 1e-6
    unclear: float = 1e-3
    enough: int = 64
    seed: int = 0


LOW_RTOL, LOW_UNCLEAR = 1e-3, 0.1
"""`rtol` and `unclear` of a tensor that the outputs follow in steps of float32."""

CLOSES = 0.2
"""An eighth of the step closes the gap of both slopes to this share, but not on a kink."""

ALIKE = 1e-7
"""Entries move alike if rounding changes their steps by no more than this share."""

FEW = 8
"""Entries that are looked at one by one rather than in two sums."""

TINY = 1e-3
"""An error below this share of the largest entry is called tiny."""


@dataclass
class Findings:
    """What is known so far of one tensor's entries (by flat position).

    rtol, room: what the claim may be off beside the errors of differences, as a share of
    an entry, and by its own rounding. moves: whether the outputs moved with any entry.
    """

    name: str
    claim: Array
    rtol: float
    room: float = 0.0
    wrong: set[int] = field(default_factory=set)
    moves: bool = False
    tiny: bool = False
    slopes: dict[int, Slope] = field(default_factory=dict)
    kinks: dict[int, list[Corner]] = field(default_factory=dict)
    blocks: int = 0
    sensitivity: float = 0.0

    def claimed(self, k: int) -> float:
        """The claim for one entry."""
        return float(self.claim.flat[k])

    def error(self, k: int) -> float:
        """How far the claim is from the difference quotient; infinite if it is NaN."""
        error = abs(self.claimed(k) - self.slopes[k].value)
        return error if error == error else np.inf

    def values(self) -> Values:
        """The claim, and the slopes that are known."""
        measured = np.full(self.claim.shape, np.nan)
        for k, slope in self.slopes.items():
            measured.flat[k] = slope.value
        return Values(self.claim, measured)

    def index(self, k: int) -> tuple[int, ...]:
        """The position of entry k in the tensor."""
        return tuple(int(i) for i in np.unravel_index(k, self.claim.shape))


class Checker:
    """Checks the tensors of one subject against differences in one cotangent."""

    def __init__(self, subject: Subject, settings: Settings) -> None:
        self.subject, self.settings = subject, settings
        self.rng = np.random.default_rng(settings.seed)
        answers = Answers(subject, self.rng)
        self.outputs, self.cotangents = answers.base.outputs, answers.cotangents
        self.claims, self.failure = answers.claims, answers.failure
        self.remarks = answers.notes
        self.rooms, self.stepped = answers.rooms, False
        self.differences = Differences(
            subject, self.cotangents, answers.base, settings.step, answers.noise
        )
        self.stepping: list[str] = []

    @property
    def notes(self) -> list[str]:
        """What the reader of the reports should know."""
        if not self.stepping:
            return self.remarks
        return [
            *self.remarks,
            f"the outputs follow {', '.join(self.stepping)} in steps: forward computes in "
            f"float32 or less on the way; checked with larger steps, to {LOW_RTOL:g} only",
        ]

    def report(self, name: str) -> TensorReport:
        """What can be said of the gradient with respect to this tensor."""
        array = self.subject.arrays[name]
        if self.failure is not None:
            return TensorReport(name, array.shape, failure=self.failure)
        claim = self.claims[name]
        if claim is not None and claim.shape != array.shape:
            return TensorReport(name, array.shape, claimed_shape=claim.shape)
        settings, scale = self.settings, self.differences.scale(name)
        self._find_stepping()
        found = Findings(
            name,
            np.zeros_like(array) if claim is None else claim,
            max(settings.rtol, LOW_RTOL) if scale.low else settings.rtol,
            self.rooms.get(name, 0.0),
        )
        if array.size <= settings.full:
            self._look_at(found, self.rng.permutation(array.size))
        else:
            self._look_at(found, self._sample(found.claim.reshape(-1)))
            self._screen(found)
        self._note(found)
        return self._judge(found)

    def _find_stepping(self) -> None:
        """Find the tensors that pass through a lower precision; all claims show its ε."""
        if self.stepped:
            return
        self.stepped, arrays = True, self.subject.arrays
        scales = {k: self.differences.scale(k) for k in arrays}
        self.stepping = [k for k, scale in scales.items() if scale.low]
        if self.stepping:
            noise = max([scales[k].noise for k in self.stepping])
            share = noise / self.differences.size
            for k, claim in self.claims.items():
                if claim is not None:
                    largest = float(np.max(np.abs(claim), initial=0))
                    self.rooms[k] = self.rooms.get(k, 0.0) + 2 * share * largest

    def _screen(self, found: Findings) -> None:
        """Look at all entries in sums, and in smaller ones whatever a sum doubts."""
        order = self.rng.permutation(found.claim.size)
        for block in np.array_split(order, self.settings.blocks):
            if len(found.wrong) >= self.settings.enough:
                found.blocks = 0  # not all were looked at
                return
            found.blocks += 1
            if not self._agrees(found, block):
                self._narrow(found, block)

    def _narrow(self, found: Findings, block: Array) -> None:
        """Look at the entries of a sum that is not as claimed, by halves."""
        if block.size <= FEW:
            self._look_at(found, block)
            return
        halves = [block[: block.size // 2], block[block.size // 2 :]]
        doubted = [half for half in halves if not self._agrees(found, half)]
        for half in doubted:
            if len(found.wrong) < self.settings.enough:
                self._narrow(found, half)
        if not doubted:  # what is off in the sum is in no half: each by itself
            self._look_at(found, block)

    def _note(self, found: Findings) -> None:
        """Say that the outputs do not depend on the tensor, or that its errors are tiny."""
        array, name = self.subject.arrays[found.name], found.name
        if (
            array.size
            and not found.moves
            and not found.kinks
            and self._is_unused(array)
        ):
            self.remarks.append(f"the output does not depend on {name}")
        if found.wrong:
            true = {k: found.slopes[k].value for k in found.wrong}
            largest = max([abs(slope.value) for slope in found.slopes.values()])
            error = max(map(found.error, true))
            if error <= TINY * largest and all(
                found.error(k) <= 0.1 * abs(y) for k, y in true.items()
            ):
                found.tiny = True
                self.remarks.append(
                    f"the error of {name} is tiny: {error / largest:.0e} of its largest "
                    "entry at most, as from an ε that only forward or only backward has"
                )

    def _is_unused(self, array: Array) -> bool:
        """Whether the outputs stay as they are for far other values of either sign."""
        base = self.differences.base.row
        for sign in (1, -1):
            others = sign * array * self.rng.uniform(0.5, 2, array.shape)
            others += self.rng.uniform(-0.1, 0.1, array.shape)
            try:
                after = with_values(array, slice(None), others.flat, self.subject.run)
            except (
                Exception
            ):  # the code may refuse such values, and then depends on them
                return False
            if not np.array_equal(after.row, base):
                return False
        return True

    def _sample(self, claim: Array) -> list[int]:
        """The first and last entries, those with the largest gradients, and some drawn."""
        largest = np.argsort(-np.abs(claim), kind="stable")[: self.settings.sample // 4]
        drawn = self.rng.permutation(claim.size)
        chosen = dict.fromkeys([0, claim.size - 1, *largest.tolist(), *drawn.tolist()])
        return list(chosen)[: self.settings.sample]

    def _agrees(self, found: Findings, block: Array) -> bool:
        """Whether a random projection of all these entries is as claimed."""
        weights = weights_of(block.size, self.rng)
        weights /= np.sqrt(np.sum(weights**2))
        slope = self.differences.slope(found.name, Direction(block, weights))
        if not isinstance(slope, Slope):
            return False
        parts = found.claim.reshape(-1)[block] * weights
        # rtol of a typical one of the parts, which add up like random numbers
        typical = float(np.sqrt(np.mean(parts**2)))
        allowed = 2 * slope.error + found.rtol * typical + 2 * found.room
        found.moves |= slope.value != 0
        seen = 2 * allowed / float(np.min(np.abs(weights)))
        found.sensitivity = max(found.sensitivity, seen)
        return bool(abs(slope.value - float(np.sum(parts))) <= allowed)

    def _look_at(self, found: Findings, entries: Iterable[int]) -> None:
        """Find the slopes of these entries one by one, until enough are wrong."""
        for k in map(int, entries):
            if k in found.slopes or k in found.kinks:
                continue
            if len(found.wrong) >= self.settings.enough:
                return
            slope = self._entry(found, k)
            if isinstance(slope, Slope):
                found.slopes[k] = slope
                found.moves |= slope.value != 0
                if not self._is_close(found, found.claimed(k), slope):
                    found.wrong.add(k)
            else:
                found.kinks[k] = slope

    def _entry(self, found: Findings, k: int) -> Slope | list[Corner]:
        """The quotient at the first step, if that settles it; else the best one."""
        name, claimed = found.name, found.claimed(k)
        one = Direction.of_entry(self.subject.arrays[name], k)
        h = self.differences.scale(name).first * one.scale
        first = self.differences.quotient(name, one, h)
        rounding = self.differences.rounding(name, h)
        quick = Slope(first.value, first.step, 0.0, rounding)
        if first.smooth and self._is_close(found, claimed, quick):
            return quick
        self.differences.keep(name, k, first)
        best = self.differences.slope(name, one, first, claimed)
        if isinstance(best, Slope) and not self._is_close(found, claimed, best):
            return self._settle(name, one, claimed, first, best)
        return best

    def _is_close(self, found: Findings, claimed: float, slope: Slope) -> bool:
        larger = max(abs(claimed), abs(slope.value))
        allowed = found.rtol * larger + 2 * slope.error + found.room
        return bool(np.isfinite(claimed) and abs(claimed - slope.value) <= allowed)

    def _settle(
        self, name: str, one: Direction, claimed: float, first: Quotient, best: Slope
    ) -> Slope | list[Corner]:
        """The slope of code that cannot be asked for its branches, or a kink.

        On a smooth piece the slopes to the left and to the right approach each other as
        the step shrinks; on a kink they stay apart, or do so until the step is too short
        for a kink near by.
        """
        gap, h = self.differences.gap(first), first.step
        if self.subject.knows_branches or best.gap < CLOSES * gap:
            return best
        near = 2 * self.differences.rounding(name, h)
        for _ in range(4):
            h /= SHRINK
            rounding = self.differences.rounding(name, h)
            if not gap > SHRINK * rounding:  # too noisy to see whether it closes
                return replace(best, truncation=best.truncation + gap)
            level = self.differences.quotient(name, one, h)
            left, right = self.differences.ends(level)
            before, gap = gap, abs(right - left)
            low, high = sorted((left, right))
            room = max(1e-3 * gap, near)
            if gap < CLOSES * before:
                return self.differences.slope(name, one, first)
            if low - room <= claimed <= high + room:
                text = f"the slope jumps from {left:.6g} to {right:.6g}"
                return [Corner(text, "", (), np.nan)]
        return best

    def _check_together(self, found: Findings) -> tuple[float, float] | None:
        """Claimed and true slope along all entries at once, if they disagree.

        Values that tie stay tied when all of them move alike: what is a kink for each alone
        can be smooth for all together.
        """
        n, sizes = found.claim.size, np.abs(self.subject.arrays[found.name])
        common = Direction(
            np.arange(n), np.full(n, n**-0.5), max(float(sizes.min()), 1.0)
        )
        h = self.differences.scale(found.name).first * common.scale
        if self.differences.precision * sizes.max() > ALIKE * h * n**-0.5:
            return None  # added to large values the step is another one
        first = self.differences.quotient(found.name, common, h)
        slope = self.differences.slope(found.name, common, first)
        claimed = float(np.sum(found.claim) * n**-0.5)
        if not isinstance(slope, Slope) or self._is_close(found, claimed, slope):
            return None
        slope = self._settle(found.name, common, claimed, first, slope)
        if not isinstance(slope, Slope) or self._is_close(found, claimed, slope):
            return None  # a ReLU at zero, say
        return claimed, slope.value

    def _judge(self, found: Findings) -> TensorReport:
        slopes, claim = found.slopes, found.claim
        wrong, kinks = sorted(found.wrong), sorted(found.kinks.items())
        true = [abs(slope.value) for slope in slopes.values()]
        scale = max([*true, float(np.max(np.abs(claim), initial=0))])
        low = self.differences.scale(found.name).low
        unclear = max(self.settings.unclear, LOW_UNCLEAR if low else 0)
        vague = [
            k
            for k, slope in slopes.items()
            if k not in found.wrong and slope.error > unclear * scale > 0
        ]
        # zero, as far as the outputs can tell
        most = unclear * self.differences.size
        vanishing = len(vague) == len(slopes) > 0 and all(
            abs(found.claimed(k)) <= slopes[k].error <= most for k in vague
        )
        error = max(map(found.error, slopes), default=0.0)
        return TensorReport(
            name=found.name,
            shape=claim.shape,
            checked=len(slopes) + len(found.kinks),
            blocks=found.blocks,
            sensitivity=found.sensitivity,
            max_abs_error=error,
            max_rel_error=error / scale if scale else 0.0,
            worst=self._worst(found, wrong),
            wrong=tuple(found.index(k) for k in wrong),
            tiny=found.tiny,
            unclear=0 if vanishing else len(vague),
            vanishing=vanishing,
            kinks=tuple(Kink(found.index(k), tuple(c)) for k, c in kinks),
            never_computed=self.claims[found.name] is None,
            together=self._check_together(found) if found.kinks else None,
            values=found.values() if wrong else None,
        )

    def _worst(self, found: Findings, wrong: Sequence[int]) -> Worst | None:
        """The entry that is off most, its difference with both errors estimated."""
        if not found.slopes:
            return None
        k = max(wrong or found.slopes, key=found.error)
        slope = found.slopes[k]
        if not slope.truncation:
            one = Direction.of_entry(self.subject.arrays[found.name], k)
            better = self.differences.slope(found.name, one)
            slope = better if isinstance(better, Slope) else slope
        return Worst(
            found.index(k),
            found.claimed(k),
            slope.value,
            slope.step,
            slope.truncation,
            slope.rounding,
        )
