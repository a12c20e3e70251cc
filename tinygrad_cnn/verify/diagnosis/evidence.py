"""What is known of a wrong gradient: what each output contributes to each of its entries.

The true gradient of entry k is Σ_i J_ik g_i. Its terms, from differences of the outputs at
x_k ± h, say more than their sum: which of them the code left out, say.
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np

from ..check import Checker
from ..difference import usual_step, with_values
from ..report import TensorReport
from ..subject import Array
from .recognition import ERRORS, Recognised, recognised

MOST = 1024
"""Up to so many entries are all looked at: the check has looked at all of them, too."""

SOME = 256
"""Of a larger tensor, half of those found wrong, and others drawn."""

PATIENCE = 48, 384
"""Runs of the forward pass in which other inputs are tried: two an entry, within these."""

ROOM = 2**21
"""Contributions that are held at a time: with more outputs fewer entries are looked at."""

DERIVED = {"true", "wrong"}
"""What is worked out from g."""

ENOUGH = 3
"""Wrong entries that a hypothesis must explain, where there are as many."""


class Hypothesis(NamedTuple):
    """A kind of mistake, what the gradient equals then, and that gradient.

    gradient: in the shape of the tensor; NaN where the hypothesis says nothing.
    """

    kind: str
    sentence: str
    gradient: Array


class Evidence:
    """The claim, and the contributions to the true gradient at some entries."""

    def __init__(self, checker: Checker, report: TensorReport, claim: Array) -> None:
        self.checker, self.subject = checker, checker.subject
        self.name, self.claim = report.name, claim
        self.x = self.subject.arrays[report.name]
        self.shape = self.x.shape
        self.g = np.concatenate([g.reshape(-1) for g in checker.cotangents])
        self.tolerance = usual_step(self.x.dtype)
        smooth = {}
        for k in self._choose(report).tolist():
            column, same = checker.differences.column(report.name, k)
            if same:
                smooth[k] = column * self.g
        self.entries = np.array(list(smooth), int)
        self.contributions = np.array(list(smooth.values())).reshape(-1, self.g.size)

    def _choose(self, report: TensorReport) -> Array:
        """Entries to look at (flat): some found wrong, some drawn, none on a kink."""
        places = np.arange(self.x.size).reshape(self.shape)
        wrong = np.array([places[at] for at in report.wrong], int)
        kinks = [places[kink.index] for kink in report.kinks]
        most = MOST if self.x.size <= MOST else SOME
        most = max(min(most, ROOM // self.g.size), 16)
        rng = np.random.default_rng(0)
        drawn = rng.permutation(self.x.size)
        if self.x.size > most:
            wrong = rng.permutation(wrong)[: most // 2]
            drawn = drawn[: most - wrong.size]
        return np.setdiff1d(np.union1d(wrong, drawn), kinks)

    # ------------------------------------------------------------- what is claimed and true

    @cached_property
    def true(self) -> Array:
        """The true gradient; NaN at the entries that were not looked at."""
        return self.summed(self.contributions)

    @cached_property
    def wrong(self) -> Array:
        """Where the claim is known to be wrong."""
        return ~self.close(self.claim, self.true) & ~np.isnan(self.true)

    def summed(self, terms: Array) -> Array:
        """The terms of each entry looked at, added up, in the shape of the tensor."""
        full = np.full(self.x.size, np.nan)
        full[self.entries] = terms.reshape(len(terms), -1).sum(axis=1)
        return full.reshape(self.shape)

    @cached_property
    def slopes(self) -> Array:
        """∂y/∂x of each entry looked at and each output."""
        return self.contributions / self.g  # no g is near zero

    def along(self, g: Array) -> Array:
        """The true gradient for another g, of the size of the output."""
        return self.summed(self.slopes @ g.reshape(-1, 1))

    def taking(self, g: Array) -> Evidence:
        """What would be known if g were this: for a second mistake after a first."""
        other = copy(self)
        for name in [k for k in vars(other) if k in DERIVED]:
            delattr(other, name)
        other.g = g.reshape(-1)
        other.contributions = self.slopes * other.g
        return other

    @property
    def is_complete(self) -> bool:
        """Whether every entry of the tensor was looked at."""
        return self.entries.size == self.x.size

    def close(self, a: Array, b: Array) -> Array:
        """Where a and b are the same up to the error of differences."""
        scale = float(np.nanmax(np.abs(self.true), initial=0))
        return np.isclose(a, b, self.tolerance, self.tolerance * scale)

    def agree(self, a: Array, b: Array) -> bool:
        """Whether a and b are the same wherever both are known, if they are anywhere."""
        known = ~np.isnan(a) & ~np.isnan(b)
        return bool(known.any() and np.all(self.close(a, b)[known]))

    def explains(self, gradient: Array) -> bool:
        """Whether this is what was claimed, also where that is wrong.

        Of a shift the edge is not known, but half of what is wrong has to be.
        """
        wrong = int(self.wrong.sum())
        needed = max(min(ENOUGH, wrong), (wrong + 1) // 2, 1)
        explained = int((self.wrong & ~np.isnan(gradient)).sum())
        return explained >= needed and self.agree(gradient, self.claim)

    def is_true_of(self, name: str) -> bool:
        """Whether the claim is the true gradient of this tensor, of the same shape.

        Entry by entry, so that what is not so ends soon.
        """
        looked = [*range(self.claim.size)]
        if self.claim.shape == self.shape:
            looked = [*np.flatnonzero(self.wrong), *self.entries[:8]]
        column = self.checker.differences.column
        return bool(looked) and all(
            self.close(self.claim.flat[k], self.g @ column(name, k)[0])
            for k in dict.fromkeys([*looked[:24], *looked[-8:]])
        )

    def is_true_with(self, name: str, values: Array) -> bool:
        """Whether the claim is the true gradient where this tensor has other values."""
        with suppress(*ERRORS):  # the code may not take such values
            return with_values(
                self.subject.arrays[name],
                slice(None),
                values,
                lambda: self.is_true_of(self.name),
            )
        return False

    # --------------------------------------------------------------------- the output

    @cached_property
    def output(self) -> Array:
        """The output; several are laid in one row."""
        base = self.checker.differences.base
        return base.outputs[0] if len(base.outputs) == 1 else base.row

    @cached_property
    def known(self) -> Recognised | None:
        """The operation that the code is, if its output is that of one."""
        return recognised(self.subject)

    @property
    def cotangent(self) -> Array:
        """g = ∂L/∂output."""
        return self.g.reshape(self.output.shape)

    @property
    def by_output(self) -> Array:
        """The contributions, one for each entry and each place of the output."""
        return self.contributions.reshape(-1, *self.output.shape)

    @cached_property
    def touched(self) -> Array:
        """Which outputs each entry contributes to."""
        sizes = np.abs(self.contributions)
        return sizes > 1e-9 * sizes.max(axis=1, keepdims=True, initial=0)

    @property
    def together(self) -> Array:
        """Which outputs each entry, or another of the same first index, contributes to."""
        first = self.entries // max(self.x[:1].size, 1) if self.shape else self.entries
        return np.equal.outer(first, first) @ self.touched

    @cached_property
    def own(self) -> Array:
        """Which output stands in the place of each entry, if they have one shape."""
        own = np.zeros_like(self.touched)
        if self.output.shape == self.shape:
            own[np.arange(self.entries.size), self.entries] = True
        return own

    @cached_property
    def is_elementwise(self) -> bool:
        """Whether each entry looked at touches the output in its own place alone."""
        return bool(self.own.any() and not (self.touched & ~self.own).any())

    @cached_property
    def reached(self) -> Array:
        """Which outputs each entry could contribute to, were it very large or small.

        Entries of images (and channels) that do not meet are all moved in one run.
        """
        reached = self.touched | self.own
        if self.is_elementwise:
            return reached
        far = 16 * (1 + float(np.max(np.abs(self.x))))
        apart = self._count_apart()
        part, place = np.divmod(self.entries, self.x.size // apart)
        before = self.output.reshape(apart, -1)
        for k, side in product(np.unique(place).tolist(), (far, -far)):
            rows = np.flatnonzero(place == k)
            with suppress(*ERRORS):  # the code may not take such values
                run = with_values(self.x, self.entries[rows], side, self.subject.run)
                self.checker.differences.runs += 1
                changed = run.row.reshape(apart, -1) != before
                parted = reached.reshape(len(reached), apart, -1)
                parted[rows, part[rows]] |= changed[part[rows]]
        return reached

    def _count_apart(self) -> int:
        """How many images, or channels of all images, there are that do not meet."""
        x, y, count = self.shape, self.output.shape, 1
        for axis in range(min(len(x), len(y))):
            n, size = x[axis], count * x[axis]
            here = self.entries // (self.x.size // size)
            there = np.arange(self.g.size) // (self.g.size // size)
            if n != y[axis] or (self.touched & (here[:, None] != there)).any():
                break
            count = size
        return count
