"""The right numbers in the wrong places, or under the wrong shape."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations, product

import numpy as np

from ..subject import Array
from .evidence import Evidence, Hypothesis


def turned(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient transposed, rotated, or with an axis reversed."""
    true, n = "the true gradient", e.true.ndim
    for i, j in combinations(range(n), 2):
        swapped = np.swapaxes(e.true, i, j)
        how = "" if (i, j) == (n - 2, n - 1) else f" (axes {i} and {j} exchanged)"
        read = "" if swapped.shape == e.shape else ", read under the wrong shape"
        back = np.swapaxes(e.true.reshape(swapped.shape), i, j)
        for gradient in (swapped.reshape(e.shape), back):
            yield Hypothesis("transposed", f"{true} transposed{how}{read}", gradient)
    if n >= 2:
        yield Hypothesis("rotated", f"{true} rotated by 180°", e.true[..., ::-1, ::-1])
    for axis in range(n):
        text = f"{true} with axis {axis} reversed"
        yield Hypothesis("flipped", text, np.flip(e.true, axis))


def shifted(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient one or two places on; what stands at the edge left is free."""
    n = e.true.ndim
    moves = [(axis,) for axis in range(n)] + ([(n - 2, n - 1)] if n >= 2 else [])
    for step, axes in product((1, -1, 2, -2), moves):
        text = (
            f"the true gradient shifted by {step:+d} along "
            f"{'the ' if len(axes) > 1 else ''}{_axes(axes)}: the window or an index is "
            "off by that much"
        )
        yield Hypothesis("shifted", text, _shift(e.true, axes, step))


def _shift(x: Array, axes: tuple[int, ...], step: int) -> Array:
    moved = np.full_like(x, np.nan)
    to, source = [slice(None)] * x.ndim, [slice(None)] * x.ndim
    for axis in axes:
        ahead, behind = slice(abs(step), None), slice(None, -abs(step))
        to[axis], source[axis] = (ahead, behind) if step > 0 else (behind, ahead)
    moved[tuple(to)] = x[tuple(source)]
    return moved


def misshapen(e: Evidence) -> Iterator[Hypothesis]:
    """How a gradient of another shape than its tensor's came about."""

    def same(a: Array, b: Array) -> bool:
        known = ~np.isnan(b)
        if a.size != b.size or not known.any():
            return False
        return bool(np.all(e.close(a.reshape(b.shape), b)[known]))

    for axes in permutations(range(e.claim.ndim)):
        turned = e.claim.transpose(axes)
        if turned.shape == e.shape and same(turned, e.true):
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
