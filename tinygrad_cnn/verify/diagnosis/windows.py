"""What each output adds, put in the wrong place: windows, indices, axes, time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from ..subject import Array
from .evidence import Evidence, Hypothesis


class Touch(NamedTuple):
    """Each contribution that is not zero: its value, its entry and output (indices)."""

    values: Array
    entry: tuple[Array, ...]
    output: tuple[Array, ...]


def _touches(e: Evidence) -> Touch:
    rows, outputs = np.nonzero(e.touched)
    return Touch(
        e.contributions[rows, outputs],
        np.unravel_index(e.entries[rows], e.shape),
        np.unravel_index(outputs, e.output.shape),
    )


STARTS = {
    ("i", "j"): "the stride is forgotten",
    ("i", "s j"): "the stride is forgotten in the rows",
    ("s i", "j"): "the stride is forgotten in the columns",
    ("s i", "s i"): "i stands where j belongs",
    ("s j", "s j"): "j stands where i belongs",
    ("s j", "s i"): "i and j are exchanged",
    ("0", "0"): "where the window begins is not added",
    ("0", "s j"): "the row where the window begins is not added",
    ("s i", "0"): "the column where the window begins is not added",
    ("2 i", "2 j"): "the stride is another",
    ("3 i", "3 j"): "the stride is another",
}
"""Where the window of the output (i, j) may be said to begin; right is (s i, s j)."""


def moves(e: Evidence) -> Iterator[Hypothesis]:
    """What comes back from an output lands in the window of another, or turned in it."""
    if min(e.x.ndim, e.output.ndim) < 2 or not e.is_complete or not e.touched.any():
        return
    touch = _touches(e)
    for a, b in product(_grids(e.x.ndim), _grids(e.output.ndim)):
        p, q = [touch.entry[axis] for axis in a]
        i, j = [touch.output[axis] for axis in b]
        steps = {_step(p, i), _step(q, j)}
        if len(steps) != 1 or not (s := steps.pop()):
            continue
        known = {"0": 0 * i, "i": i, "j": j, "s i": s * i, "s j": s * j}
        known |= {"2 i": 2 * i, "2 j": 2 * j, "3 i": 3 * i, "3 j": 3 * j}
        for (row, column), why in STARTS.items():
            to = p - s * i + known[row], q - s * j + known[column]
            at = f"({row}, {column})".replace("s ", f"{s} " if s > 1 else "")
            text = (
                f"what comes back if the window of output (i, j) begins at {at}: {why}"
            )
            yield Hypothesis("window", text, _land(e, touch, a, to))
        text = "what comes back if row and column within a window are exchanged"
        to = s * i + (q - s * j), s * j + (p - s * i)
        yield Hypothesis("window", text, _land(e, touch, a, to))


def _grids(n: int) -> list[tuple[int, int]]:
    """Pairs of axes that may be rows and columns: the last two, or those before."""
    return [(a, a + 1) for a in (n - 2, n - 3) if a >= 0]


def _step(p: Array, i: Array) -> int:
    """How far an entry's place goes on as the output's does, by one: the stride."""
    if i.size == 0 or np.ptp(i) == 0:
        return 0
    return round(float(np.polyfit(i, p, 1)[0]))


def _land(
    e: Evidence, touch: Touch, axes: tuple[int, int], to: tuple[Array, ...]
) -> Array:
    """The sum of the contributions, each at its new place; what falls out is lost."""
    entry = list(touch.entry)
    inside = np.ones(touch.values.shape, bool)
    for axis, places in zip(axes, to, strict=True):
        entry[axis] = places
        inside &= (places >= 0) & (places < e.shape[axis])
    values = np.zeros(e.shape)
    np.add.at(values, tuple([k[inside] for k in entry]), touch.values[inside])
    return values


def slopes_of_one(e: Evidence) -> Iterator[Hypothesis]:
    """The local derivative of one channel, image, … used for all: its mask, its argmax."""
    if len(e.checker.outputs) > 1 or not e.is_complete:
        return
    x, y = e.shape, e.output.shape
    full = np.zeros((e.x.size, e.g.size))
    full[e.entries] = e.slopes
    full = full.reshape(x + y)
    for axis in range(min(len(x), len(y))):
        n = x[axis]
        if n != y[axis] or n < 2:
            continue
        for which, at in ("first", 0), ("last", n - 1):
            # of one index, from one index to itself, for every g
            one = full.take(at, len(x) + axis).take(at, axis)
            g = np.moveaxis(e.cotangent, axis, -1)
            d = np.tensordot(one, g, len(y) - 1)
            text = (
                f"the derivative of the {which} index along axis {axis} (its mask, or "
            )
            text = f"g times {text}the place of its maximum), used for all {n}"
            yield Hypothesis("one for all", text, np.moveaxis(d, -1, axis))


def adjoint(e: Evidence) -> Iterator[Hypothesis]:
    """J g in the place of Jᵀ g."""
    if e.output.shape == e.shape and e.is_complete:
        d = e.slopes.T @ e.g[e.entries]
        text = (
            "J g where Jᵀ g belongs: what each output takes from g is exchanged with "
        )
        text += "what it gives (a sum from the wrong end, a matrix not transposed)"
        yield Hypothesis("not transposed", text, d.reshape(e.shape))


def own_steps(e: Evidence) -> Iterator[Hypothesis]:
    """Only what an index along an axis does to the same index of the output."""
    if len(e.checker.outputs) > 1 or not e.output.ndim:
        return
    place = np.unravel_index(e.entries, e.shape)
    out = np.indices(e.output.shape).reshape(e.output.ndim, -1)
    for a, b in product(range(e.x.ndim), range(e.output.ndim)):
        n = e.shape[a]
        if n < 2 or n != e.output.shape[b]:
            continue
        here, there = place[a][:, None], out[b]
        if not np.any(e.touched & (here != there)):
            continue
        later = not np.any(e.touched & (here > there))
        for kept, what in (
            (here == there, "its own place"),
            ((here == there) | (here + 1 == there), "its own place and the next"),
        ):
            text = f"the true gradient of {what} along axis {a} alone"
            why = (
                "the path through time, through what a step hands to the next, is missing"
                if later
                else "what one does to the others is missing"
            )
            kind = "path through time" if later else "path missing"
            values = e.summed(e.contributions * kept)
            yield Hypothesis(kind, f"{text}: {why}", values)
