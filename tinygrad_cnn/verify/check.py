"""The check of one tensor's gradient: a screen, single entries, and a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .branches import Corner
from .difference import Differences, Direction, Quotient, Slope, with_values
from .precision import find_precision
from .report import Kink, TensorReport, Worst
from .subject import Array, Run, Subject


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


LAST_BITS = 300
"""Roundings, of an array's largest value, that it may differ by when it is computed again."""

NOT_LINEAR = 1e-3
"""A gradient whose share of its own g changes by more than this is no rounded one."""

LOW_RTOL, LOW_UNCLEAR = 1e-3, 0.1
"""`rtol` and `unclear` of a tensor that the outputs follow in steps of float32."""

FEW = 8
"""Entries that are looked at one by one rather than in two sums."""

TINY = 1e-3
"""An error below this share of the largest entry is called tiny."""


def cotangents_for(outputs: Sequence[Array], rng: np.random.Generator) -> list[Array]:
    """Random weights for the outputs, none near zero: a mistake may cancel in a sum."""
    return [_weights(y.shape, rng).astype(y.dtype) for y in outputs]


def _weights(shape: int | tuple[int, ...], rng: np.random.Generator) -> Array:
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape))


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

    def index(self, k: int) -> tuple[int, ...]:
        """The position of entry k in the tensor."""
        return tuple(int(i) for i in np.unravel_index(k, self.claim.shape))


class Checker:
    """Checks the tensors of one subject against differences in one cotangent.

    notes: what the reader of the reports should know.
    """

    def __init__(self, subject: Subject, settings: Settings) -> None:
        self.subject, self.settings = subject, settings
        self.rng = np.random.default_rng(settings.seed)
        base = subject.run()
        self.outputs = base.outputs
        self.cotangents = cotangents_for(base.outputs, self.rng)
        self.claims: dict[str, Array | None] = {}
        self.rooms: dict[str, float] = {}
        """How far each claim may be off by its own rounding."""
        self.notes: list[str] = []
        again = subject.run()
        self.failure = self._find_unfit(again) or self._ask()
        noise = 0.0 if self.failure else self._find_noise(again)
        self.differences = Differences(
            subject, self.cotangents, base, settings.step, noise
        )

    def _find_unfit(self, again: Run) -> str | None:
        """Why no difference quotient would mean anything."""
        for first, second in zip(self.outputs, again.outputs, strict=False):
            if first.shape != second.shape or _difference(first, second) is None:
                return "the forward pass is not deterministic: run twice, it differs"
        if not all(np.isfinite(y).all() for y in self.outputs):
            return "the forward pass gives values that are not finite (inf or NaN)"
        return None

    def _find_noise(self, again: Run) -> float:
        """What other last bits of the same outputs are to Σ ⟨v, y⟩."""
        outputs = zip(self.cotangents, self.outputs, again.outputs, strict=True)
        noise = float(np.sqrt(sum(np.sum((v * (a - b)) ** 2) for v, a, b in outputs)))
        if noise:
            self.notes.append(
                "run twice, the forward pass gives other last digits (it adds in another "
                "order, perhaps): taken for rounding"
            )
        return noise

    def _ask(self) -> str | None:
        """Ask for the gradients twice; why they cannot be checked."""
        before = {name: array.copy() for name, array in self.subject.arrays.items()}
        try:
            self.claims = self.subject.gradients(self.cotangents)
            again = self.subject.gradients(self.cotangents)
            if not self.subject.knows_branches:
                self._find_rounding()
        except Exception as error:  # whatever the code under test raises is a finding
            return f"the backward pass raised {type(error).__name__}: {error}"
        for name, array in self.subject.arrays.items():
            if not np.array_equal(before[name], array, equal_nan=True):
                return f"the code changes its input {name} in place"
        loose = []
        for name, claim in self.claims.items():
            other = again[name]
            if claim is None or other is None:
                continue
            off = _difference(claim, other)
            if off is None:
                return (
                    "the backward pass is not deterministic: run twice, it gives two "
                    f"gradients of {name}"
                )
            if off:
                loose.append(name)
                self.rooms[name] = max(self.rooms.get(name, 0.0), 4 * off)
        if loose:
            self.notes.append(
                f"run twice, the backward pass gives {', '.join(loose)} other last digits "
                "(it adds in another order, perhaps): taken for rounding"
            )
        return None

    def _find_rounding(self) -> None:
        """How precise the claims are: what s times the cotangents gives, beside s claims."""
        for s in (1.09, 0.93, 1.17):
            found = self.subject.gradients([s * v for v in self.cotangents])
            for name, claim in self.claims.items():
                other = found[name]
                if claim is None or other is None or claim.shape != other.shape:
                    continue
                off = float(np.max(np.abs(s * claim - other), initial=0))
                if off <= NOT_LINEAR * float(np.max(np.abs(claim), initial=0)):
                    self.rooms[name] = max(self.rooms.get(name, 0.0), 2 * off)

    def report(self, name: str) -> TensorReport:
        """What can be said of the gradient with respect to this tensor."""
        array = self.subject.arrays[name]
        if self.failure is not None:
            return TensorReport(name, array.shape, failure=self.failure)
        claim = self.claims[name]
        if claim is not None and claim.shape != array.shape:
            return TensorReport(name, array.shape, claimed_shape=claim.shape)
        settings, scale = self.settings, self.differences.scale(name)
        if scale.low:
            self.notes.append(
                f"the outputs move in steps as {name} does: forward computes in float32 (or "
                f"less) on the way; so {name} is checked with larger steps "
                f"({scale.first:.0e}) and to {LOW_RTOL:g} only"
            )
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
        if array.size and not found.moves and not found.kinks:
            others = array * self.rng.uniform(0.7, 1.4, array.shape)
            others += self.rng.uniform(-0.1, 0.1, array.shape)
            try:
                after = with_values(array, slice(None), others, self.subject.run)
            except (
                Exception
            ):  # the code may refuse such values, and then depends on them
                return
            if np.array_equal(after.row, self.differences.base.row):
                self.notes.append(f"the output does not depend on {name}")
        if found.wrong:
            true = {k: found.slopes[k].value for k in found.wrong}
            largest = max([abs(slope.value) for slope in found.slopes.values()])
            error = max(map(found.error, true))
            if error <= TINY * largest and all(
                found.error(k) <= 0.1 * abs(y) for k, y in true.items()
            ):
                self.notes.append(
                    f"the error of {name} is tiny: {error / largest:.0e} of its largest "
                    "entry at most, as from an ε that only forward or only backward has"
                )

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
        quick = Slope(first.value, first.step, 0.0, rounding, first.gap)
        if first.smooth and self._is_close(found, claimed, quick):
            return quick
        self.differences.keep(name, k, first)
        best = self.differences.slope(name, one, first, claimed)
        if isinstance(best, Slope) and not self._is_close(found, claimed, best):
            return self._jump(name, one, claimed, first, best) or best
        return best

    def _is_close(self, found: Findings, claimed: float, slope: Slope) -> bool:
        larger = max(abs(claimed), abs(slope.value))
        allowed = found.rtol * larger + 2 * slope.error + found.room
        return bool(np.isfinite(claimed) and abs(claimed - slope.value) <= allowed)

    def _jump(
        self, name: str, one: Direction, claimed: float, first: Quotient, best: Slope
    ) -> list[Corner] | None:
        """A kink of code that cannot be asked for its branches, found by numbers alone.

        On a smooth piece the slopes to the left and to the right approach each other as
        the step shrinks; on a kink they stay apart.
        """
        h, gap = self.differences.scale(name).first / 64, first.gap
        if self.subject.knows_branches or best.gap < 0.5 * gap:
            return None
        if not gap > 8 * self.differences.rounding(name, h):
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
        h = self.differences.scale(found.name).first * scale
        first = self.differences.quotient(found.name, common, h)
        slope = self.differences.slope(found.name, common, first)
        claimed = float(np.sum(found.claim) * n**-0.5)
        if not isinstance(slope, Slope) or self._is_close(found, claimed, slope):
            return None
        if self._jump(
            found.name, common, claimed, first, slope
        ):  # of a ReLU at zero, say
            return None
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
            unclear=0 if vanishing else len(vague),
            vanishing=vanishing,
            kinks=tuple(Kink(found.index(k), tuple(c)) for k, c in kinks),
            never_computed=self.claims[found.name] is None,
            together=self._check_together(found) if found.kinks else None,
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


def _difference(first: Array, second: Array) -> float | None:
    """How far two results of one computation are apart; None: by more than last digits."""
    if first.shape != second.shape:
        return None
    if np.array_equal(first, second, equal_nan=True):
        return 0.0
    largest = float(np.max(np.abs(first), initial=0))
    off = float(np.max(np.abs(first - second), initial=0))
    room = LAST_BITS * find_precision([first]) * largest
    return off if off <= room < np.inf else None
