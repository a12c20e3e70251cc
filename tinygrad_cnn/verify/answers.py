"""What the code under test gives: outputs, gradients, and how many of their digits hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .precision import find_precision
from .subject import Array, Run, Subject

LAST_DIGITS = 300
"""Roundings, of its largest value, by which an array computed again may be another."""

NOT_LINEAR = 1e-3
"""A gradient that is no multiple of g by more than this share is wrong, not rounded."""


def cotangents_for(outputs: Sequence[Array], rng: np.random.Generator) -> list[Array]:
    """Random weights for the outputs, none near zero: a mistake may cancel in a sum."""
    return [weights_of(y.shape, rng).astype(y.dtype) for y in outputs]


def weights_of(shape: int | tuple[int, ...], rng: np.random.Generator) -> Array:
    """Random numbers of both signs in this shape, between 0.5 and 1.5 in size."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape))


class Answers:
    """One run, random cotangents, and the gradients claimed for them.

    failure: why no check would mean anything, or None. rooms: what each claim may be off by
    its own rounding; noise: what Σ ⟨cotangent, output⟩ was seen to jitter. notes: what of
    this the reader should know.
    """

    def __init__(self, subject: Subject, rng: np.random.Generator) -> None:
        self.subject = subject
        self.base = subject.run()
        self.cotangents = cotangents_for(self.base.outputs, rng)
        self.claims: dict[str, Array | None] = {}
        self.rooms: dict[str, float] = {}
        self.notes: list[str] = []
        self.noise = 0.0
        self.failure = self._run_again(subject.run()) or self._ask()

    def _run_again(self, again: Run) -> str | None:
        """Why no difference quotient would mean anything."""
        outputs, others = self.base.outputs, again.outputs
        pairs = list(zip(outputs, others, strict=False))
        if len(outputs) != len(others) or any(_distance(*p) is None for p in pairs):
            return "the forward pass is not deterministic: run twice, it differs"
        if not all(np.isfinite(y).all() for y in outputs):
            return "the forward pass gives values that are not finite (inf or NaN)"
        moved = [v * (a - b) for v, (a, b) in zip(self.cotangents, pairs, strict=True)]
        self.noise = float(np.sqrt(sum(np.sum(m**2) for m in moved)))
        if self.noise:
            self._note_digits("forward pass gives")
        return None

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
            off = _distance(claim, other)
            if off is None:
                return (
                    "the backward pass is not deterministic: run twice, it gives two "
                    f"gradients of {name}"
                )
            if off:
                loose.append(name)
                self.rooms[name] = max(self.rooms.get(name, 0.0), 4 * off)
        if loose:
            self._note_digits(f"backward pass gives {', '.join(loose)}")
        return None

    def _note_digits(self, who: str) -> None:
        self.notes.append(
            f"run twice, the {who} other last digits (it adds in another order, perhaps): "
            "taken for rounding"
        )

    def _find_rounding(self) -> None:
        """How precise the claims are: those for s times g, beside s times those for g."""
        for s in (1.09, 0.93, 1.17):
            found = self.subject.gradients([np.asarray(s * v) for v in self.cotangents])
            for name, claim in self.claims.items():
                other = found[name]
                if claim is None or other is None or claim.shape != other.shape:
                    continue
                off = float(np.max(np.abs(s * claim - other), initial=0))
                if off <= NOT_LINEAR * float(np.max(np.abs(claim), initial=0)):
                    self.rooms[name] = max(self.rooms.get(name, 0.0), 2 * off)


def _distance(first: Array, second: Array) -> float | None:
    """How far two results of one computation are apart; None: by more than last digits."""
    if first.shape != second.shape:
        return None
    if np.array_equal(first, second, equal_nan=True):
        return 0.0
    largest = float(np.max(np.abs(first), initial=0))
    off = float(np.max(np.abs(first - second), initial=0))
    room = LAST_DIGITS * find_precision([first]) * largest
    return off if off <= room < np.inf else None
