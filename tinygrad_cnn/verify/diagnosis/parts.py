"""Some of the contributions to an entry, or more than there are: loops and masks."""

from __future__ import annotations

from collections.abc import Iterator

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
    n = e.output.ndim
    if len(e.checker.outputs) > 1:
        return
    usual = [f"slice of axis {axis} of the output" for axis in range(n)]
    ends = ("last", -1, "ends one too early"), ("first", 0, "begins one too late")
    for axis, name in enumerate(NAMES.get(n, usual)):
        for which, at, late in ends:
            alone = e.summed(e.by_output.take(at, axis + 1))
            kind = f"{which} {name.split()[0]}"
            text = f"the true gradient of the {which} {name} alone: {ASSIGNED}"
            yield Hypothesis(kind, text, alone)
            if e.output.shape[axis] > 2:  # of two, it is the other one alone
                text = f"the true gradient without the {which} {name}: the loop {late}"
                yield Hypothesis("off by one", text, e.true - alone)


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
    for reached in (e.touched, e.together, e.reached):
        for loop in dict.fromkeys([axes, *others]):
            for which in ("last", "first"):
                text = (
                    f"the {which} contribution to each entry alone: where windows "
                    "overlap, or a value is used again, it is assigned and should be "
                    "added"
                )
                one = _one_of(e, reached, loop, which == "last")
                yield Hypothesis("assigned", text, e.full(one))


def _one_of(e: Evidence, reached: Array, loop: tuple[int, ...], last: bool) -> Array:
    def steps(values: Array) -> Array:
        """Entry, step of the loops, and what is summed in a step."""
        shaped = values.reshape(e.by_output.shape)
        outer = np.moveaxis(shaped, [a + 1 for a in loop], range(1, len(loop) + 1))
        count = int(np.prod(outer.shape[1 : len(loop) + 1]))
        ordered = outer.reshape(len(outer), count, -1)
        return ordered[:, ::-1] if last else ordered

    at = steps(reached).any(axis=2).argmax(axis=1)
    return steps(e.contributions)[np.arange(at.size), at].sum(axis=1)


def masks(e: Evidence) -> Iterator[Hypothesis]:
    """g passed on where it should be stopped, or stopped where it should pass."""
    slope, stopped = _slope(e), e.reached & ~e.touched
    if slope is not None and stopped.any():
        for passed, what in _pass_on(e, e.reached, 1.0), _pass_on(e, e.reached, slope):
            yield Hypothesis("mask missing", f"{what}: the mask is missing", passed)
        text = "g where it should be stopped, and zero where it should pass: the mask"
        text = f"{text} is the wrong way round"
        yield Hypothesis("mask inverted", text, _pass_on(e, stopped, slope)[0])
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
    for passed, what in _pass_on(e, e.own, 1.0), _pass_on(e, e.reached, 1.0):
        text = f"{what}: the derivative is missing"
        yield Hypothesis("derivative missing", text, passed)
    if e.own.any():
        text = f"the true gradient less g itself: the way of {e.name} past the"
        text = f"{text} operation (a skip) is missing"
        rest = e.true - _pass_on(e, e.own, 1.0)[0]
        yield Hypothesis("part missing", text, rest)
        for sign, there in ("positive", e.x > 0), ("negative", e.x < 0):
            text = f"the true gradient where {e.name} is {sign}, and zero elsewhere"
            yield Hypothesis("branch missing", text, e.true * there)


def _slope(e: Evidence) -> float | None:
    """∂y/∂x, where it is the same wherever an entry contributes; 1 if none does."""
    slopes = (e.contributions / e.g)[e.touched]
    slope = float(slopes.mean()) if slopes.size else 1.0
    return slope if np.allclose(slopes, slope) else None


def _pass_on(e: Evidence, to: Array, slope: float) -> tuple[Array, str]:
    """g of these outputs, summed, and how that is said."""
    several = to.sum(axis=1).max(initial=0) > 1
    text = "g, summed over what an entry can reach" if several else "g itself"
    scale = "" if np.isclose(slope, 1) else f", times {slope:.6g}"
    return e.summed(e.g * to) * slope, f"{text}{scale}"
