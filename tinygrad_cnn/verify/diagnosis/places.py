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
    for i, j in combinations(range(n), 2):
        swapped = np.swapaxes(x, i, j)
        how = "" if (i, j) == (n - 2, n - 1) else f" (axes {i} and {j} exchanged)"
        read = "" if swapped.shape == x.shape else ", read under the wrong shape"
        back = np.swapaxes(x.reshape(swapped.shape), i, j)
        for values in (swapped.reshape(x.shape), back):
            yield "transposed", f"transposed{how}{read}", values
    if n >= 2:
        yield "rotated", "rotated by 180°", x[..., ::-1, ::-1]
    for axis in range(n):
        yield "flipped", f"with axis {axis} reversed", np.flip(x, axis)


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


def rearrange(change: Change, e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient, changed in this way."""
    for kind, how, values in change(e.true):
        yield Hypothesis(kind, f"the true gradient {how}", values)


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
