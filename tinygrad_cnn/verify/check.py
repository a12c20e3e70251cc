"""The check of one tensor's gradient: a screen, single entries, and a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .branches import Corner
from .difference import Differences, Direction, Quotient, Slope
from .report import Kink, TensorReport, Values, Worst
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
    return [_weights(y.shape, rng).astype(y.dtype) for y in outputs]


def _weights(shape: int | tuple[int, ...], rng: np.random.Generator) -> Array:
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape))


@dataclass
class Findings:
    """What is known so far of one tensor's entries (by flat position)."""

    name: str
    claim: Array
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
        base = subject.run()
        self.outputs = base.outputs
        self.cotangents = cotangents_for(base.outputs, self.rng)
        self.claims: dict[str, Array | None] = {}
        self.failure = self._find_unfit(subject.run()) or self._ask()
        self.differences = Differences(subject, self.cotangents, base, settings.step)

    def _find_unfit(self, again: Run) -> str | None:
        """Why no difference quotient would mean anything."""
        for first, second in zip(self.outputs, again.outputs, strict=False):
            if first.shape != second.shape or not np.array_equal(first, second, True):
                return "the forward pass is not deterministic: run twice, it differs"
        if not all(np.isfinite(y).all() for y in self.outputs):
            return "the forward pass gives values that are not finite (inf or NaN)"
        return None

    def _ask(self) -> str | None:
        """Ask for the gradients twice; why they cannot be checked."""
        before = {name: array.copy() for name, array in self.subject.arrays.items()}
        try:
            self.claims = self.subject.gradients(self.cotangents)
            again = self.subject.gradients(self.cotangents)
        except Exception as error:  # whatever the code under test raises is a finding
            return f"the backward pass raised {type(error).__name__}: {error}"
        for name, array in self.subject.arrays.items():
            if not np.array_equal(before[name], array, equal_nan=True):
                return f"the code changes its input {name} in place"
        for name, claim in self.claims.items():
            other = again[name]
            if claim is None or other is None:
                continue
            if not np.array_equal(claim, other, equal_nan=True):
                return (
                    "the backward pass is not deterministic: run twice, it gives two "
                    f"gradients of {name}"
                )
        return None

    def report(self, name: str) -> TensorReport:
        """What can be said of the gradient with respect to this tensor."""
        array = self.subject.arrays[name]
        if self.failure is not None:
            return TensorReport(name, array.shape, failure=self.failure)
        claim = self.claims[name]
        if claim is not None and claim.shape != array.shape:
            return TensorReport(name, array.shape, claimed_shape=claim.shape)
        found = Findings(name, np.zeros_like(array) if claim is None else claim)
        if array.size <= self.settings.full:
            self._look_at(found, range(array.size))
        else:
            self._look_at(found, self._sample(found.claim.reshape(-1)))
            found.blocks = self.settings.blocks
            for block in np.array_split(self.rng.permutation(array.size), found.blocks):
                if not self._agrees(found, block):
                    self._look_at(found, block)
        return self._judge(found)

    def _sample(self, claim: Array) -> list[int]:
        """The first and last entries, those with the largest gradients, and some drawn."""
        largest = np.argsort(-np.abs(claim), kind="stable")[: self.settings.sample // 4]
        drawn = self.rng.permutation(claim.size)
        chosen = dict.fromkeys([0, claim.size - 1, *largest.tolist(), *drawn.tolist()])
        return list(chosen)[: self.settings.sample]

    def _agrees(self, found: Findings, block: Array) -> bool:
        """Whether a random projection of all these entries is as claimed."""
        weights = _weights(block.size, self.rng)
        weights /= np.sqrt(np.sum(weights**2))
        slope = self.differences.slope(found.name, Direction(block, weights))
        if not isinstance(slope, Slope):
            return False
        parts = found.claim.reshape(-1)[block] * weights
        # rtol of a typical one of the parts, which add up like random numbers
        typical = float(np.sqrt(np.mean(parts**2)))
        allowed = 2 * slope.error + self.settings.rtol * typical
        seen = 2 * allowed / float(np.min(np.abs(weights)))
        found.sensitivity = max(found.sensitivity, seen)
        return bool(abs(slope.value - float(np.sum(parts))) <= allowed)

    def _look_at(self, found: Findings, entries: Iterable[int]) -> None:
        """Find the slopes of these entries one by one."""
        for k in map(int, entries):
            if k in found.slopes or k in found.kinks:
                continue
            slope = self._entry(found.name, k, found.claimed(k))
            if isinstance(slope, Slope):
                found.slopes[k] = slope
            else:
                found.kinks[k] = slope

    def _entry(self, name: str, k: int, claimed: float) -> Slope | list[Corner]:
        """The quotient at the first step, if that settles it; else the best one."""
        one = Direction.of_entry(self.subject.arrays[name], k)
        h = self.settings.step * one.scale
        first = self.differences.quotient(name, one, h)
        quick = Slope(first.value, first.step, 0.0, self.differences.rounding(h))
        if first.smooth and self._is_close(claimed, quick):
            return quick
        best = self.differences.slope(name, one, first)
        if isinstance(best, Slope) and not self._is_close(claimed, best):
            return self._jump(name, one, claimed, first) or best
        return best

    def _is_close(self, claimed: float, slope: Slope) -> bool:
        larger = max(abs(claimed), abs(slope.value))
        allowed = self.settings.rtol * larger + 2 * slope.error
        return bool(np.isfinite(claimed) and abs(claimed - slope.value) <= allowed)

    def _jump(
        self, name: str, one: Direction, claimed: float, first: Quotient
    ) -> list[Corner] | None:
        """A kink of code that cannot be asked for its branches, found by numbers alone.

        On a smooth piece the slopes to the left and to the right approach each other as
        the step shrinks; on a kink they stay apart.
        """
        h = self.settings.step / 64
        gap = abs(first.right - first.left)
        if self.subject.knows_branches or not gap > 8 * self.differences.rounding(h):
            return None
        level = self.differences.quotient(name, one, h * one.scale)
        low, high = sorted((level.left, level.right))
        room = 1e-3 * (high - low)
        if high - low > 0.5 * gap and low - room <= claimed <= high + room:
            text = f"the slope jumps from {level.left:.6g} to {level.right:.6g}"
            return [Corner(text, "", (), np.nan)]
        return None

    def _check_together(self, found: Findings) -> tuple[float, float] | None:
        """Claimed and true slope along all entries at once, if they disagree.

        Values that tie stay tied when all of them move alike: what is a kink for each alone
        can be smooth for all together.
        """
        n = found.claim.size
        scale = max(float(np.max(np.abs(self.subject.arrays[found.name]))), 1.0)
        common = Direction(np.arange(n), np.full(n, n**-0.5), scale)
        first = self.differences.quotient(
            found.name, common, self.settings.step * scale
        )
        slope = self.differences.slope(found.name, common, first)
        claimed = float(np.sum(found.claim) * n**-0.5)
        if not isinstance(slope, Slope) or self._is_close(claimed, slope):
            return None
        if self._jump(found.name, common, claimed, first):  # of a ReLU at zero, say
            return None
        return claimed, slope.value

    def _judge(self, found: Findings) -> TensorReport:
        slopes, claim = found.slopes, found.claim
        true = [abs(slope.value) for slope in slopes.values()]
        scale = max([*true, float(np.max(np.abs(claim), initial=0))])
        wrong, vague = [], []
        for k, slope in slopes.items():
            if not self._is_close(found.claimed(k), slope):
                wrong.append(k)
            elif slope.error > self.settings.unclear * scale > 0:
                vague.append(k)
        # zero, as far as the outputs can tell
        most = self.settings.unclear * self.differences.size
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
            unclear=0 if vanishing else len(vague),
            vanishing=vanishing,
            kinks=tuple(Kink(found.index(k), tuple(c)) for k, c in found.kinks.items()),
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
