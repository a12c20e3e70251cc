"""The true gradient clipped, cut, or with something added to it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..subject import Array
from .evidence import Evidence, Hypothesis
from .factoring import align, quantities


def cuts(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient clipped to ±c, which the claim tells, or cut to fewer digits."""
    true, c = e.true, float(np.max(np.abs(e.claim), initial=0))
    if (e.wrong & e.close(np.abs(e.claim), np.full(e.shape, c))).sum() > 1:
        text = f"the true gradient clipped to ±{c:.6g}"
        yield Hypothesis("clipped", text, np.clip(true, -c, c))
    g = align(e.cotangent, e.shape)
    for base in (np.ones(e.shape), g):
        if base is not None:
            each, claimed = true / base, e.claim / base
            c = float(np.nanmax(np.abs(each), initial=0))
            at_edge = e.wrong & e.close(np.abs(each), np.full(e.shape, c))
            inside = ~np.isnan(each) & ~at_edge & ~e.close(each, np.zeros(e.shape))
            shown = min(at_edge.sum(), inside.sum()) > 1
            if shown and e.agree(np.clip(claimed, -c, c), each):
                text = f"what has to be clipped to ±{c:.6g} as forward does, and is not"
                yield Hypothesis("clip missing", text, e.claim)
    tidy = np.round(true, 9)  # 1.9999999999 is 2
    for how, cut in (
        ("without its decimals", np.trunc),
        ("rounded down to integers", np.floor),
        ("rounded to integers", np.rint),
    ):
        text = f"the true gradient {how}: an array of integers takes no decimals"
        yield Hypothesis("cut to integers", text, cut(tidy))
    for digits in (1, 2, 3, 4):
        text = f"the true gradient rounded to {digits} decimals"
        yield Hypothesis("rounded", text, np.round(true, digits))
    for how, values in (
        ("without its sign", np.abs(true)),
        ("where it is positive, and zero elsewhere", np.maximum(true, 0)),
        ("where it is negative, and zero elsewhere", np.minimum(true, 0)),
        ("squared", true**2),
    ):
        yield Hypothesis("bent", f"the true gradient {how}", values)
    yield Hypothesis("sign alone", "the sign of the true gradient", np.sign(true))


def sums(e: Evidence) -> Iterator[Hypothesis]:
    """λ times a known array added, of which λ is found: weight decay, say."""
    rest = e.claim - e.true
    known = {e.name: e.x, f"the sign of {e.name}": np.sign(e.x)}
    known |= {"1": np.ones(e.shape)} | quantities(e, e.shape)
    g = align(e.cotangent, e.shape)
    known |= {} if g is None else {"g": g}
    for t, values in known.items():
        there = ~np.isnan(rest)
        square = float(np.sum(values[there] ** 2))
        factor = float(np.sum(rest[there] * values[there])) / square if square else 0.0
        if factor:
            size = "" if np.isclose(abs(factor), 1) else f"{abs(factor):.6g} · "
            what = f"the true gradient {'−' if factor < 0 else '+'} {size}{t}"
            why = f"{t} is added that does not belong to it"
            if t == e.name:
                why = "weight decay (λ/2 · |x|²) is counted in, and forward has none"
            yield Hypothesis("added", f"{what}: {why}", e.true + factor * values)


def thresholds(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient, or g, only where some quantity is above (below) a number."""
    g = align(e.cotangent, e.shape)
    zero = e.close(e.claim, np.zeros(e.shape))
    known = quantities(e, e.shape)
    known |= {f"|{t}|": np.abs(values) for t, values in known.items()}
    for what, base in (("the true gradient", e.true), ("g", g)):
        if base is None:
            continue
        there = ~np.isnan(e.true) & ~e.close(base, np.zeros(e.shape))
        passed, stopped = there & ~zero, there & zero
        chance = math.comb(int(there.sum()), int(passed.sum()))
        if chance < 2000 * len(known) or not e.agree(base[passed], e.claim[passed]):
            continue
        for t, values in known.items():
            for sign, word in (1, ">"), (-1, "<"):
                low = float(np.max(sign * values[stopped]))
                high = float(np.min(sign * values[passed]))
                if low < high:
                    edge = _between(*sorted((sign * low, sign * high)))
                    text = f"{what} where {t} {word} {edge}, and zero elsewhere"
                    mask = sign * values > low
                    yield Hypothesis("mask", text, np.where(mask, base, 0))


def _between(low: float, high: float) -> str:
    """The simplest number between these two."""
    for digits in range(8):
        number = round((low + high) / 2, digits)
        if low <= number <= high:
            return f"{number:g}"
    return f"{(low + high) / 2:.6g}"


def slopes(e: Evidence) -> Iterator[Hypothesis]:
    """Of element-wise code: its two slopes exchanged, or the slopes of another mask."""
    if not e.is_elementwise:
        return
    g = e.cotangent
    true, claimed = e.true / g, e.claim / g
    there = ~np.isnan(true)
    levels = np.unique(np.round(true[there], 6))
    if levels.size != 2:
        return
    low, high = (float(np.mean(true[there][_near(true[there], v)])) for v in levels)
    other = np.where(_near(true, high), low, high)
    text = f"g times {low:.6g} where {high:.6g} belongs, and the other way round"
    yield Hypothesis("branches exchanged", f"{text}: the two are exchanged", g * other)
    up, down = _near(claimed, high), _near(claimed, low)
    more, less = there & up & ~_near(true, high), there & down & ~_near(true, low)
    exchanged = e.agree(g * other, e.claim)
    if np.all((up | down)[there]) and min(more.sum(), less.sum()) > 1 and not exchanged:
        text = "g through another mask than forward's: drawn anew, or not kept"
        yield Hypothesis("other mask", text, np.where(up, high, low) * g)


def _near(a: Array, value: float) -> Array:
    return np.abs(a - value) < 1e-5 * (1 + abs(value))
