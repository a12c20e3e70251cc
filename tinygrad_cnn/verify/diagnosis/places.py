"""The right numbers in the wrong places, or under the wrong shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations, product

import numpy as np

from ..subject import Array
from .evidence import Evidence, Hypothesis

Change = Callable[[Array], Iterator[tuple[str, str, Array]]]


def turn(x: Array) -> Iterator[tuple[str, str, Array]]:
    """An array transposed, rotated, or with an axis reversed: kind, words, values."""
    n = x.ndim
    for order in _orders(n):
        moved = [axis for axis in range(n) if order[axis] != axis]
        how = f" (axes in the order {order})"
        if len(moved) == 2:
            how = f" (axes {moved[0]} and {moved[1]} exchanged)"
        how = "" if moved == [n - 2, n - 1] else how
        turned = x.transpose(order)
        read = "" if turned.shape == x.shape else ", read under the wrong shape"
        back = x.reshape(turned.shape).transpose(np.argsort(order))
        for values in (turned.reshape(x.shape), back):
            yield "transposed", f"transposed{how}{read}", values
    if n >= 2:
        yield "rotated", "rotated by 180°", x[..., ::-1, ::-1]
    for axis in range(n):
        yield "flipped", f"with axis {axis} reversed", np.flip(x, axis)


def _orders(n: int) -> list[tuple[int, ...]]:
    """Other orders of n axes: where two are exchanged first, then, of few axes, all."""
    swaps = [list(range(n)) for _ in combinations(range(n), 2)]
    for order, (i, j) in zip(swaps, combinations(range(n), 2), strict=True):
        order[i], order[j] = j, i
    others = permutations(range(n)) if n <= 4 else ()
    orders = dict.fromkeys([*map(tuple, swaps), *others])
    return [order for order in orders if order != tuple(range(n))]


def shift(x: Array) -> Iterator[tuple[str, str, Array]]:
    """An array one or two places on; what stands at the edge left is NaN."""
    n = x.ndim
    moves = [(axis,) for axis in range(n)] + ([(n - 2, n - 1)] if n >= 2 else [])
    for step, axes in product((1, -1, 2, -2), moves):
        values = np.full_like(x, np.nan)
        to, source = [slice(None)] * n, [slice(None)] * n
        for axis in axes:
            ahead, behind = slice(abs(step), None), slice(None, -abs(step))
            to[axis], source[axis] = (ahead, behind) if step > 0 else (behind, ahead)
        values[tuple(to)] = x[tuple(source)]
        along = f"{'the ' if len(axes) > 1 else ''}{_axes(axes)}"
        text = f"shifted by {step:+d} along {along}: the window or an index is off by"
        yield "shifted", f"{text} that much", values


def repeat(x: Array) -> Iterator[tuple[str, str, Array]]:
    """One index along an axis, or the sum or mean over it, in the place of all."""
    for axis, n in enumerate(x.shape):
        if n > 1:
            for which, at in ("first", 0), ("last", -1):
                text = f"of the {which} index along axis {axis}, used for all {n}"
                yield "one for all", text, _spread(x.take([at], axis), x)
            for word, found in ("summed", x.sum), ("averaged", x.mean):
                text = f"{word} over axis {axis}, used for all {n}"
                one = found(axis=axis, keepdims=True)
                yield "one for all", text, _spread(one, x)


def roll(x: Array) -> Iterator[tuple[str, str, Array]]:
    """An array one place on, what leaves at one end entering at the other."""
    for axis, step in product(range(x.ndim), (1, -1)):
        if x.shape[axis] > 2:
            text = f"shifted by {step:+d} along axis {axis}, what leaves at one end"
            yield "shifted", f"{text} entering at the other", np.roll(x, step, axis)


def _spread(part: Array, x: Array) -> Array:
    return np.array(np.broadcast_to(part, x.shape))


def rearrange(change: Change, e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient, changed in this way."""
    for kind, how, values in change(e.true):
        yield Hypothesis(kind, f"the true gradient {how}", values)


def gaps(e: Evidence) -> Iterator[Hypothesis]:
    """Zero but for some rows, columns, images, …, or zero in some of them only."""
    why = "a loop ends too early (a return inside of it?), or a part is left out"
    box, where = describe_box(~e.close(e.claim, np.zeros(e.shape)))
    if where:
        text = f"the true gradient at index {where}, and zero elsewhere: {why}"
        yield Hypothesis("partly zero", text, np.where(box, e.true, 0))
    box, where = describe_box(e.wrong)
    if where:
        text = f"zero at index {where}, and the true gradient elsewhere: {why}"
        yield Hypothesis("partly zero", text, np.where(box, 0, e.true))


def describe_box(mask: Array, most: int = 1) -> tuple[Array, str]:
    """The smallest set of rows, columns, … with all of these entries, and its words.

    Without words, if it is all of the tensor or nothing, or follows no rule: each axis has
    a range or a regular step, or one axis up to `most` ranges.
    """
    axes = range(mask.ndim)
    parts = [np.any(mask, axis=tuple([b for b in axes if b != a])) for a in axes]
    words = [
        f"{_listed(np.flatnonzero(part))} of axis {axis}"
        for axis, part in enumerate(parts)
        if part.any() and not part.all()
    ]
    steps = [np.diff(np.flatnonzero(part)) for part in parts]
    regular = all(np.unique(step).size <= 1 for step in steps)
    if len(words) == 1 and not regular:
        regular = 1 + max(int((step > 1).sum()) for step in steps) <= most
    box = np.ones(mask.shape, bool)
    for axis, part in enumerate(parts):
        box &= np.expand_dims(part, [b for b in axes if b != axis])
    return box, " and ".join(words) if regular else ""


def _listed(indices: Array) -> str:
    """As 0, as 0, 2, 5, or as 3 to 9, 12 to 15."""
    runs = np.split(indices, 1 + np.flatnonzero(np.diff(indices) > 1))
    words = [
        f"{run[0]} to {run[-1]}" if run.size > 2 else ", ".join(map(str, run.tolist()))
        for run in runs
    ]
    return ", ".join(words[:6]) + ", …" * (len(words) > 6)


def misshapen(e: Evidence) -> Iterator[Hypothesis]:
    """How a gradient of another shape than its tensor's came about."""

    def same(a: Array, b: Array) -> bool:
        return a.size == b.size and e.agree(a.reshape(b.shape), b)

    for axes in permutations(range(e.claim.ndim)):
        values = e.claim.transpose(axes)
        if values.shape == e.shape and same(values, e.true):
            yield Hypothesis("transposed", "the true gradient transposed", e.true)
    if same(e.claim, e.true):
        text = "the true gradient, but under another shape"
        yield Hypothesis("reshaped", text, e.true)
    for axes in _subsets(e.claim.ndim):
        if same(e.claim.sum(axis=axes), e.true):
            text = f"the true gradient once it is summed over its {_axes(axes)}"
            why = "what broadcasting repeated (the batch, say) must be summed"
            yield Hypothesis("not summed", f"{text}: {why}", e.true)
    for axes in _subsets(e.true.ndim):
        if same(e.true.sum(axis=axes), e.claim):
            text = f"the true gradient summed over its {_axes(axes)}, which it should"
            yield Hypothesis("summed too far", f"{text} not be", e.true)


def _subsets(n: int) -> Iterator[tuple[int, ...]]:
    """Of n axes, the smallest first."""
    for count in range(1, n + 1):
        yield from combinations(range(n), count)


def _axes(axes: tuple[int, ...]) -> str:
    numbers = " and ".join(map(str, axes))
    return f"axis {numbers}" if len(axes) == 1 else f"axes {numbers}"
