"""The true gradient for another g: turned, moved, cut, or left out before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, permutations

import numpy as np

from ..subject import Array
from .evidence import Evidence, Hypothesis
from .places import repeat, roll, turn


def of_other_cotangents(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient if g were rearranged, or another function of itself."""
    if len(e.checker.outputs) > 1:
        return
    g = e.cotangent
    for kind, how, values in chain(turn(g), repeat(g), _moved(g)):
        text = f"the true gradient if g is taken {how}"
        yield Hypothesis(f"g {kind}", text, e.along(values))
    sizes = list(zip(g.shape, e.shape, strict=False))
    if g.ndim == e.x.ndim and all(n % m == 0 for n, m in sizes):
        steps = [n // m for n, m in sizes]
        text = f"g at every place {tuple(steps)} apart: the others of g are left out"
        yield Hypothesis(
            "subset", text, g[tuple([slice(None, None, s) for s in steps])]
        )
    for how, values in _gathered(g):
        yield Hypothesis("one for all", how, e.along(values))
    for how, values in _functions(g):
        text = f"the true gradient for {how} in the place of g"
        yield Hypothesis("g changed", text, e.along(values))


def of_shifted_cotangents(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient if g were that of the place before, or of the next."""
    for kind, how, values in roll(e.cotangent) if len(e.checker.outputs) == 1 else ():
        text = f"the true gradient if g is taken {how}"
        yield Hypothesis(f"g {kind}", text, e.along(values))


def _moved(g: Array) -> Iterator[tuple[str, str, Array]]:
    """What belongs to output (i, j) moved to (i, i), (j, j) or, if not square, (j, i)."""
    grid = np.indices(g.shape)
    for a, b in permutations(range(g.ndim), 2):
        if min(g.shape[a], g.shape[b]) < 2:
            continue
        to = grid.copy()
        to[b] = grid[a]
        yield _put(g, to, f"at ({_names(a, a)}) instead of ({_names(a, b)})")
        if a < b and g.shape[a] != g.shape[b]:
            to[a] = grid[b]
            yield _put(g, to, f"at ({_names(b, a)}) instead of ({_names(a, b)})")


def _gathered(g: Array) -> Iterator[tuple[str, Array]]:
    """All of g over some axes at the first index: what the first window met, for all."""
    n = g.ndim
    for axes in [c for k in range(n) for c in combinations(range(n), k + 1)]:
        first = tuple([slice(0, 1) if a in axes else slice(None) for a in range(n)])
        values = np.zeros(g.shape)
        values[first] = g.sum(axis=axes, keepdims=True)
        along = f"{'axis' if len(axes) == 1 else 'axes'} {' and '.join(map(str, axes))}"
        text = f"g times what its first index along {along} alone has met, used for all"
        yield text, values


def _names(a: int, b: int) -> str:
    return f"index {a}, index {b}"


def _put(g: Array, to: Array, how: str) -> tuple[str, str, Array]:
    shape = np.reshape(g.shape, (-1, *[1] * g.ndim))
    inside = np.all(to < shape, axis=0)
    values = np.zeros(g.shape)
    np.add.at(values, tuple(to[:, inside]), g[inside])
    return "moved", f"{how}: one index stands where the other belongs", values


def _functions(g: Array) -> Iterator[tuple[str, Array]]:
    yield "1", np.ones(g.shape)
    yield "|g|", np.abs(g)
    yield "the sign of g", np.sign(g)
    yield "g²", g * g
    yield "g cut to integers", np.trunc(g)
    yield "g clipped to ±1", np.clip(g, -1, 1)
    for axis, n in enumerate(g.shape):
        if n > 1:
            yield f"g less its mean over axis {axis}", g - g.mean(axis, keepdims=True)
            yield f"the cumulative sum of g over axis {axis}", np.cumsum(g, axis)
