"""What is known of a wrong gradient: what each output contributes to each of its entries.

The true gradient of entry k is Σ_i J_ik g_i. Its terms, from differences of the outputs at
x_k ± h, say more than their sum: which of them the code left out, say.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...errors import TinygradError
from ..check import Checker
from ..difference import usual_step
from ..subject import Array

MOST = 512
"""Entries that are looked at; of a larger tensor half of those found wrong, half drawn."""

ROOM = 2**21
"""Contributions that are held at a time; with more outputs fewer entries are looked at."""

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
    """The claim, and the contributions to the true gradient at some entries.

    suspects: flat positions of entries known to be wrong; kinks: of those on kinks, which
    prove nothing.
    """

    def __init__(
        self, checker: Checker, name: str, claim: Array, suspects: Array, kinks: Array
    ) -> None:
        self.checker, self.subject = checker, checker.subject
        self.name, self.claim = name, claim
        self.x = self.subject.arrays[name]
        self.shape = self.x.shape
        self.g = np.concatenate([g.reshape(-1) for g in checker.cotangents])
        self.tolerance = usual_step(self.x.dtype)
        self.entries, self.contributions = self._gathered(suspects, kinks)

    # ------------------------------------------------------------------- what is true

    @cached_property
    def true(self) -> Array:
        """The true gradient; NaN at the entries that were not looked at."""
        return self.full(self.contributions.sum(axis=1))

    @cached_property
    def wrong(self) -> Array:
        """Where the claim is known to be wrong."""
        return ~self.close(self.claim, self.true) & ~np.isnan(self.true)

    def full(self, values: Array) -> Array:
        """Values at the entries looked at, in the shape of the tensor."""
        full = np.full(self.x.size, np.nan)
        full[self.entries] = values
        return full.reshape(self.shape)

    def close(self, a: Array, b: Array) -> Array:
        """Where a and b are the same up to the error of differences."""
        scale = float(np.nanmax(np.abs(self.true), initial=0))
        return np.isclose(a, b, self.tolerance, self.tolerance * scale)

    def explains(self, gradient: Array) -> bool:
        """Whether this is what was claimed, also where that is wrong."""
        known = ~np.isnan(gradient)
        needed = min(ENOUGH, int(self.wrong.sum()))
        if not needed or (self.wrong & known).sum() < needed:
            return False
        return bool(np.all(self.close(gradient, self.claim)[known]))

    def explains_some(self, name: str) -> bool:
        """Whether the true gradient of this tensor, as things stand, is what was claimed.

        Found entry by entry, so that what is not true ends soon.
        """
        some = [*np.flatnonzero(self.wrong)[:24], *self.entries[:8]]
        claimed = self.claim.reshape(-1)
        flat = self.subject.arrays[name].reshape(-1)
        for k in some:
            try:
                up, down, width = self._sides(flat, k)
            except (ValueError, TypeError, TinygradError):
                return False
            true = np.sum((up - down) * self.g) / width
            if not self.close(claimed[k], true):
                return False
        return bool(some)

    # --------------------------------------------------------------------- the output

    @cached_property
    def output(self) -> Array:
        """The output, if there is one alone; else all of them in one row."""
        outputs = self.checker.outputs
        if len(outputs) == 1:
            return outputs[0]
        return np.concatenate([y.reshape(-1) for y in outputs])

    @property
    def cotangent(self) -> Array:
        """∂L/∂output."""
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

    @cached_property
    def reached(self) -> Array:
        """Which outputs each entry could contribute to, if it were very large or small."""
        reached = self.touched.copy()
        if self.output.shape == self.shape:
            reached[np.arange(len(self.entries)), self.entries] = True
        base = self.output.reshape(-1)
        flat, far = self.x.reshape(-1), 16 * (1 + float(np.max(np.abs(self.x))))
        for row, k in enumerate(self.entries):
            start = flat[k]
            for value in (far, -far):
                flat[k] = value
                try:
                    reached[row] |= self._run() != base
                except (ValueError, TypeError, TinygradError):
                    pass  # the code does not take such values
                finally:
                    flat[k] = start
        return reached

    # ------------------------------------------------------------------------ gathering

    def _gathered(self, suspects: Array, kinks: Array) -> tuple[Array, Array]:
        base = self.subject.run()
        flat, rows, entries = self.x.reshape(-1), [], []
        for k in np.setdiff1d(self._chosen(suspects), kinks):
            up, down, width = self._sides(flat, k)
            if self.same_path(base):
                entries.append(k)
                rows.append((up - down) / width * self.g)
        found = np.array(rows).reshape(len(rows), self.g.size)
        return np.array(entries, int), found

    def _chosen(self, suspects: Array) -> Array:
        most = max(min(MOST, ROOM // self.g.size), 16)
        if self.x.size <= most:
            return np.arange(self.x.size)
        rng = np.random.default_rng(0)
        wrong = rng.permutation(suspects)[: most // 2]
        return np.union1d(wrong, rng.permutation(self.x.size)[: most - wrong.size])
