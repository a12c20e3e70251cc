"""Is there float32 inside of somebody's forward? Its outputs then move in steps.

A value that passes through float32 stays where it is while what it comes from moves by
less than 2⁻²³ of itself, and then jumps. So tiny steps give the same slope wherever they
are made (0, if all passes through float32), but another than far steps do. On a smooth
piece, and beyond a kink, slopes of tiny steps change with the place as far ones do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .subject import Array, Run

TINY, FAR = 1e-10, 1e-2
"""Moves as a share of the values: below a rounding of float32; above those of float16."""

WINDOWS = 1e-6, 1e-5, 1e-4, 1e-3
"""How far values are moved, as a share of themselves, to see the height of the steps."""


def find_precision(arrays: Sequence[Array]) -> float:
    """The precision ε that these values were rounded to: their own, or that of float32."""
    row = np.concatenate([a.reshape(-1) for a in arrays])
    # round numbers (0, 1.5) fit into float16 as well, and tell nothing
    lower = np.array_equal(row.astype("f4"), row) and not _fits(row, "f2").all()
    return float(np.finfo(np.float32 if lower else row.dtype).eps)


def _fits(values: Array, dtype: str) -> Array:
    return np.asarray(values.astype(dtype) == values)


class Steps:
    """The outputs along one random line in a tensor.

    at(t) is all outputs in one row, with each value x of the tensor moved by about t x.
    """

    def __init__(self, array: Array, run: Callable[[], Run], weights: Array) -> None:
        self.array, self.run, self.weights = array, run, weights
        self.start = array.copy()
        self.rng = np.random.default_rng(0)
        sizes = np.abs(array)
        sizes[sizes == 0] = float(np.max(sizes, initial=0)) or 1.0
        signs = self.rng.choice([-1, 1], array.shape)
        self.line = sizes * signs * self.rng.uniform(0.5, 1, array.shape)
        self.base = self.at(0.0)

    def at(self, t: float) -> Array:
        """The outputs there."""
        try:
            self.array[...] = self.start + t * self.line
            return self.run().row
        finally:
            self.array[...] = self.start

    def slope(self, t: float) -> Array:
        """Of each output at this place, by a tiny step."""
        return (self.at(t + TINY) - self.at(t - TINY)) / (2 * TINY)

    def height(self, noise: float) -> float:
        """What the steps are to Σ ⟨weights, y⟩; 0 if there are none.

        noise: what is known to jitter, steps or not.
        """
        far = self.at(FAR)
        moved = far != self.base
        # saturated outputs move with a far larger step only
        places = iter((0.5, -0.5, -0.9))
        told = far
        while not (told != self.base).any() and (t := next(places, None)):
            told = self.at(t)
        values = told[told != self.base]
        if not values.size or not np.isfinite(told).all():
            return 0.0
        height = 0.0
        if find_precision([values]) > np.finfo(values.dtype).eps:
            # the outputs themselves are float32
            height = float(
                np.finfo(np.float32).eps * np.linalg.norm(self.weights * told)
            )
        elif not moved.any() or not self._stepping(far).any():
            return 0.0
        found = [self._jitter(width) for width in WINDOWS]
        # the first windows may be narrower than the steps; over the last ones there is more
        # than steps, a kink perhaps
        first = next((i for i, r in enumerate(found) if r > 10 * noise), len(found))
        return max([height, *found[first : first + 3]])

    def _stepping(self, far: Array) -> Array:
        """Which outputs have one slope by tiny steps, and another by far ones."""
        chord, slope = (far - self.at(-FAR)) / (2 * FAR), self.slope(0.0)
        gap = np.abs(chord - slope)
        rounding = np.finfo(far.dtype).eps * np.max(np.abs(self.base)) / TINY
        larger = np.maximum(np.abs(chord), np.abs(slope))
        steps = np.asarray((gap > 0.05 * larger) & (gap > 100 * rounding))
        for t in (FAR / 4, FAR, -FAR, 0.37 * FAR, -0.61 * FAR):
            if not steps.any():
                break
            if t == FAR / 4:  # a kink, or the steps of a round(), may lie farther away
                near = (self.at(t) - self.base) / t
                steps &= np.abs(near - slope) > 0.3 * gap
            else:
                steps &= np.abs(self.slope(t) - slope) < 0.05 * gap
        return steps

    def _jitter(self, width: float) -> float:
        """How far Σ ⟨weights, y⟩ is from a parabola in this window."""
        t = self.rng.uniform(-1, 1, 9)
        values = np.array([self.weights @ (self.at(width * s) - self.base) for s in t])
        parabola = np.vander(t, 3)
        left = values - parabola @ np.linalg.lstsq(parabola, values, rcond=None)[0]
        return float(np.max(np.abs(left)))
