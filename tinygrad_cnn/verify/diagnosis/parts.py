"""Some of the contributions to an entry, or more than there are: loops and masks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, product

import numpy as np

from ..subject import Array
from .evidence import Evidence, Hypothesis

NAMES = {
    4: ("image of the batch", "channel of the output", "row", "column"),
    2: ("image of the batch", "feature of the output"),
}
"""What the axes of an output usually are."""

ASSIGNED = "it is assigned where it should be accumulated"


def loops(e: Evidence) -> Iterator[Hypothesis]:
    """The contributions of one image, channel, row or column; or of all but one."""
    if len(e.checker.outputs) > 1:
        return
    n = e.output.ndim
    usual = [f"slice of axis {axis} of the output" for axis in range(n)]
    ends = ("last", -1, "ends one too early"), ("first", 0, "begins one too late")
    for (axis, name), end in product(enumerate(NAMES.get(n, usual)), ends):
        which, at, late = end
        alone = e.summed(e.by_output.take(at, axis + 1))
        text = f"the true gradient of the {which} {name} alone: {ASSIGNED}"
        yield Hypothesis(f"{which} {name.split()[0]}", text, alone)
        if e.output.shape[axis] > 2:  # of two, it is the other one alone
            text = f"the true gradient without the {which} {name}: the loop {late}"
            yield Hypothesis("off by one", text, e.true - alone)
    if n == 4:
        text = "the true gradient of the last channel of the last image alone: it is"
        alone = e.summed(e.by_output[:, -1, -1])
        yield Hypothesis("last image", f"{text} assigned inside both loops", alone)
    names = NAMES.get(n, usual)
    several = [c for r in range(2, n + 1) for c in combinations(range(n), r)]
    for axes in several:  # the last ones are what is left by an assignment, below
        part = tuple([0 if axis in axes else slice(None) for axis in range(n)])
        what = " and ".join([f"first {names[axis]}" for axis in axes])
        text = f"the true gradient of the {what} alone: a return inside of the loops"
        alone = e.summed(e.by_output[(slice(None), *part)])
        yield Hypothesis("first output", text, alone)


def outputs(e: Evidence) -> Iterator[Hypothesis]:
    """Of several outputs, all but one."""
    sizes = [y.size for y in e.checker.outputs]
    parts = np.split(e.contributions, np.cumsum(sizes)[:-1], axis=1)
    for i, part in enumerate(parts) if len(parts) > 1 else ():
        text = f"the true gradient without what comes back from output {i} (of "
        text = f"{text}{len(parts)}): that part is missing"
        yield Hypothesis("part missing", text, e.true - e.summed(part))


def assignments(e: Evidence) -> Iterator[Hypothesis]:
    """One contribution to each entry, where all of them should be added up.

    Which one depends on the axes of the output that the code loops over, the others being
    summed; a window may overwrite an entry even where what it adds is zero.
    """
    axes = tuple(range(e.output.ndim))
    others = [axes[-2:], axes[1:], (*axes[:1], *axes[-2:])] if len(axes) > 2 else []
    loops = dict.fromkeys([axes, *others])
    for reached, loop in product((e.touched, e.together, e.reached), loops):
        rows = range(len(e.entries))
        touched, terms = _steps(e, reached, loop), _steps(e, e.contributions, loop)
        met: Array = np.any(touched, axis=2)
        last = met.shape[1] - 1 - met[:, ::-1].argmax(axis=1)
        for which, at in ("last", last), ("first", met.argmax(axis=1)):
            text = (
                f"the {which} contribution to each entry alone: where windows overlap, "
                "or a value is used again, it is assigned and should be added"
            )
            yield Hypothesis("assigned", text, e.summed(terms[rows, at]))


def _steps(e: Evidence, values: Array, loop: tuple[int, ...]) -> Array:
    """Values by entry, step of the loops over these axes, and what a step sums."""
    shaped = values.reshape(e.by_output.shape)
    outer = np.moveaxis(shaped, [a + 1 for a in loop], range(1, len(loop) + 1))
    count = math.prod(outer.shape[1 : len(loop) + 1])
    return outer.reshape(len(outer), count, -1)


def masks(e: Evidence) -> Iterator[Hypothesis]:
    """g passed on where it should be stopped, or stopped where it should pass."""
    slope, stopped = _slope(e), e.reached & ~e.touched
    if slope is not None and stopped.any():
        for scale in (1.0, slope):
            yield _pass_on(e, "mask missing", e.reached, scale)
        text = "g where it should be stopped, and zero where it should pass: the mask"
        inverted = e.summed(e.g * stopped) * slope
        yield Hypothesis("mask inverted", f"{text} is the wrong way round", inverted)
    positive = e.g > 0
    for text, terms in (
        ("the true gradient, but only where g is positive", e.contributions * positive),
        ("g where it is positive", e.g * (e.reached & positive)),
    ):
        if not positive.all():
            text = f"{text}: the mask is made of g, not of the input"
            yield Hypothesis("mask of g", text, e.summed(terms))


def passages(e: Evidence) -> Iterator[Hypothesis]:
    """g passed on as it is, only the rest passed on, or only one side of zero."""
    if _slope(e) is not None:
        return  # then it is a factor, or a mask
    for to in (e.own, e.reached):
        yield _pass_on(e, "derivative missing", to, 1.0)
    if e.own.any():
        text = f"the true gradient less g itself: the way of {e.name} past the"
        rest = e.true - e.summed(e.g * e.own)
        yield Hypothesis("part missing", f"{text} operation (a skip) is missing", rest)
        for sign, there in ("positive", e.x > 0), ("negative", e.x < 0):
            text = f"the true gradient where {e.name} is {sign}, and zero elsewhere"
            yield Hypothesis("branch missing", text, e.true * there)


def _slope(e: Evidence) -> float | None:
    """∂y/∂x, where it is the same wherever an entry contributes; 1 if none does."""
    slopes = (e.contributions / e.g)[e.touched]
    slope = float(slopes.mean()) if slopes.size else 1.0
    return slope if np.allclose(slopes, slope) else None


def _pass_on(e: Evidence, kind: str, to: Array, slope: float) -> Hypothesis:
    """That g of these outputs is passed on: the mask, or the derivative, is missing."""
    several = to.sum(axis=1).max(initial=0) > 1
    text = "g, summed over what an entry can reach" if several else "g itself"
    scale = "" if np.isclose(slope, 1) else f", times {slope:.6g}"
    what = kind.removesuffix(" missing")
    text = f"{text}{scale}: the {what} is missing"
    return Hypothesis(kind, text, e.summed(e.g * to) * slope)
