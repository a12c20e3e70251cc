"""Two mistakes in one gradient: a hypothesis, and a second one of what it gives.

There are many pairs, so that all are first compared with the claim in a few matrix
products; each up to a constant factor, which may be a mistake of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from ..subject import Array
from .evidence import Evidence, Hypothesis
from .factoring import meaning, quantities_of_output
from .places import describe_box, turn

PAIRED = 2**14
"""Entries of a tensor up to which all that was tried is held, for a second mistake."""

FEWEST = 4
"""Wrong entries below which two mistakes at once explain too much by chance."""


def two_at_once(e: Evidence, tried: Sequence[Hypothesis]) -> Iterator[Hypothesis]:
    """What explains the claim, each first mistake being one of those tried."""
    if e.wrong.sum() < FEWEST:
        return
    for pairs in (
        _in_a_part(e, tried),
        _turned(e, tried),
        _decayed(e, tried),
        _after_g(e),
    ):
        yield from (h for h in pairs if e.explains(h.gradient))


def _in_a_part(e: Evidence, tried: Sequence[Hypothesis]) -> Iterator[Hypothesis]:
    """One mistake in some rows, columns, … only, or on one side of zero."""
    sides = ("negative", e.x < 0), ("positive", e.x > 0)
    parts = [(f"where {e.name} is {sign}", side) for sign, side in sides]
    box, where = describe_box(e.wrong, 2)
    parts += [(f"at index {where}", box)] if where else []
    for (where, part), h in product(parts, tried):
        if not (e.wrong & ~part).any():
            text = f"{h.sentence}; but that {where} only, elsewhere it is right"
            yield Hypothesis(h.kind, text, np.where(part, h.gradient, e.true))


def _turned(e: Evidence, tried: Sequence[Hypothesis]) -> Iterator[Hypothesis]:
    """What each gives as it is, or turned; and all of it times a constant."""
    gradients = np.array([h.gradient.reshape(-1) for h in tried])
    places = np.arange(e.x.size).reshape(e.shape)
    ways = {tuple(places.ravel().tolist()): ("", "")}
    for kind, how, moved in turn(places) if e.shape else ():
        ways.setdefault(tuple(moved.ravel().tolist()), (kind, how))
    for order, (kind, how) in ways.items():
        values = gradients[:, list(order)]
        for at, factor in _proportional(e, values):
            h = tried[at]
            text = h.sentence + (f"; and all of it {how}" if how else "")
            words = [h.kind, kind] if kind else [h.kind]
            yield from _multiplied(e, words, text, values[at], factor)


def _decayed(e: Evidence, tried: Sequence[Hypothesis]) -> Iterator[Hypothesis]:
    """What each gives, and λ times the tensor itself: weight decay."""
    rests = np.array([(e.claim - h.gradient).reshape(-1) for h in tried])
    own, known = e.x.reshape(-1), ~np.isnan(rests)
    factors = np.where(known, rests, 0) @ own / np.sum(own**2)
    room = e.tolerance * np.nanmax(np.abs(e.true), initial=0)
    fits = np.all((np.abs(rests - factors[:, None] * own) <= room) | ~known, axis=1)
    for at in np.flatnonzero(fits & (factors != 0)).tolist():
        h, factor = tried[at], float(factors[at])
        text = f"{h.sentence}; and {factor:.6g} · {e.name} is added: weight decay"
        yield Hypothesis(f"{h.kind} and added", text, h.gradient + factor * e.x)


def _after_g(e: Evidence) -> Iterator[Hypothesis]:
    """g taken otherwise, and then only one image, row, …, or all but one."""
    g = e.cotangent
    if len(e.checker.outputs) > 1 or not g.ndim:
        return
    changes = [
        *turn(g),
        *[
            ("missing factor", f"without the factor {t}", g / values)
            for t, values in quantities_of_output(e)
        ],
    ]
    stack = np.array([values.reshape(-1) for _, _, values in changes])
    finite = np.isfinite(stack).all(axis=1)
    stack = np.where(finite[:, None], stack, 0)
    for axis, (which, at), rest in product(range(g.ndim), ENDS, ("alone", "left out")):
        some = np.zeros(g.shape, bool)
        some[(slice(None),) * axis + (at,)] = True
        some = (some if rest == "alone" else ~some).reshape(-1)
        found = np.full((len(changes), e.x.size), np.nan)
        found[:, e.entries] = stack[:, some] @ e.slopes[:, some].T
        for row, factor in _proportional(e, found):
            kind, how, _ = changes[row]
            text = f"the true gradient with the {which} index of axis {axis} of the "
            text = f"{text}output {rest}; and g is taken {how}"
            words = [f"{which} {rest}", f"g {kind}"]
            yield from _multiplied(e, words, text, found[row], factor)


ENDS = ("first", 0), ("last", -1)


def _proportional(e: Evidence, gradients: Array) -> list[tuple[int, float]]:
    """Which of these (a row each) are the claim up to a factor, and that factor."""
    claim, true = e.claim.reshape(-1), e.true.reshape(-1)
    known = np.isfinite(gradients) & ~np.isnan(true)
    values = np.where(known, gradients, 0)
    squares = np.sum(values**2, axis=1)
    factors = (
        values @ np.where(np.isnan(true), 0, claim) / np.where(squares, squares, 1)
    )
    room = e.tolerance * (np.abs(claim) + np.nanmax(np.abs(true), initial=0))
    fits = np.all((np.abs(values * factors[:, None] - claim) <= room) | ~known, axis=1)
    rows = np.flatnonzero(fits & (squares > 0) & (factors != 0))
    return [(int(row), float(factors[row])) for row in rows]


def _multiplied(
    e: Evidence, kinds: Sequence[str], text: str, gradient: Array, factor: float
) -> Iterator[Hypothesis]:
    """Times a factor that has a meaning; any number may come about by chance."""
    values, number = gradient.reshape(e.shape), meaning(e, factor)
    if np.isclose(factor, 1, rtol=e.tolerance):
        yield Hypothesis(" and ".join(kinds), text, values)
    elif number == "−1" or "(" in number or "which is" in number:
        text += f"; and all of it times {number}"
        yield Hypothesis(" and ".join([*kinds, "factor"]), text, factor * values)
