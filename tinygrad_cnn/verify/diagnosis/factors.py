"""What a constant factor may stand for: the sizes and numbers at hand, likeliest first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import permutations

import numpy as np

from ...kernels import Window
from .evidence import Evidence, Hypothesis


def factors(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient times a constant."""
    known = e.contributions.sum(axis=1)
    square = float(known @ known)
    if square:
        claimed = e.claim.reshape(-1)[e.entries]
        factor = float(claimed @ known) / square
        text = f"the true gradient times {meaning(e, factor)}"
        yield Hypothesis("factor", text, factor * e.true)


def meaning(e: Evidence, factor: float) -> str:
    """The factor, and what it may be: "1 / 4 (the batch size): counted once …"."""
    sign, size = "−" if factor < 0 else "", abs(factor)
    counts: dict[int, list[str]] = {}
    for n, name in _counts(e):
        if n > 1 and name not in counts.setdefault(n, []):
            counts[n].append(name)
    for n, names in counts.items():
        if _same(size, n):
            return (
                f"{sign}{n} ({_first(names)}): counted so often, or not divided by it"
            )
        if _same(size, 1 / n):
            return (
                f"{sign}1 / {n} ({_first(names)}): counted once instead of {n} times, or "
                "a mean where a sum belongs"
            )
    roots = [(math.sqrt(n), f"√{n} ({_first(names)})") for n, names in counts.items()]
    for value, name in [*_numbers(e), *roots]:
        for number, text in (value, name), (1 / value if value else 0.0, f"1 / {name}"):
            if _same(size, abs(number)):
                return f"{sign}{size:.6g}, which is {text}"
    for (a, above), (b, below) in permutations(counts.items(), 2):
        if _same(size, a / b):
            return f"{sign}{a} / {b} ({above[0]} / {below[0]})"
    return f"{factor:.6g}".replace("-", "−")


def _first(names: list[str]) -> str:
    """The likeliest meaning, and the next; one that only counts an axis says little."""
    told = [name for name in names if "length" not in name] or names
    return ", or ".join(told[:2])


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6)


def _counts(e: Evidence) -> Iterator[tuple[int, str]]:
    """Sizes of what is summed or averaged over."""
    x, y = e.shape, e.output.shape
    others = [a.shape for name, a in e.subject.arrays.items() if name != e.name]
    if len(y) >= 2:
        yield y[0], "the batch size"
    elif len(x) >= 2 and y in ((), x[:1]):
        yield x[0], "the batch size"
        yield x[1], "the number of classes or features"
    yield 2, "the 2 of a square, or a value used twice"
    if y == ():
        yield math.prod(x), "the number of entries"
    window = getattr(getattr(e.subject, "op", None), "window", None)
    if isinstance(window, Window):
        yield math.prod(window.kernel), "the cells of a window"
    for shape in (x, *others):
        if len(shape) == len(y) == 4 and shape[0] == y[1]:
            yield shape[1], "the number of input channels"
            yield math.prod(shape[2:]), "the cells of the kernel"
            yield math.prod(shape[1:]), "input channels × cells of the kernel"
    if len(x) == len(y) >= 3:
        yield math.prod(x) // x[1], "the values of a channel"
    if len(y) == 2:
        yield y[1], "the number of features"
    if len(y) == 4:
        yield y[1], "the number of output channels"
        yield math.prod(y[2:]), "the number of output positions"
        yield math.prod(y) // y[1], "images × output positions"
    if not np.isnan(e.true).any():
        yield int(e.touched.sum(axis=0).max()), "the values that one output is made of"
    yield int(e.touched.sum(axis=1).max()), "the outputs that one entry is used for"
    yield math.prod(y), "the number of outputs"
    for axis, n in enumerate(x):
        yield n, f"the length of axis {axis}"


def _numbers(e: Evidence) -> Iterator[tuple[float, str]]:
    """Numbers that the operation or its result is."""
    op = getattr(e.subject, "op", None)
    for f in fields(op) if is_dataclass(op) else ():
        value = getattr(op, f.name)
        if isinstance(value, float) and value:
            yield value, f.name
            yield 1 - value, f"1 − {f.name}"
    if e.output.size == 1:
        yield float(e.output.reshape(())), "the result y"
