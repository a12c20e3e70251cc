"""Gradients of layers x @ w + b, alone, one after the other, or over time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np

from ..subject import Array
from .evidence import Evidence, Hypothesis
from .factoring import FACTORS, FORMS, written

ACTIVATIONS = ("1", "(1 − {}²)", "{} (1 − {})", "[{} > 0]")
"""Derivatives of activations, by their result."""

INPUTS = {"σ(z) (1 − σ(z))": "σ({}) (1 − σ({}))", "(1 − tanh² z)": "(1 − tanh² {})"}
"""Derivatives of activations, by their input z."""


SLOPES = ("[{} > 0]", *INPUTS.values())
"""Those, and ReLU's."""


def sums_of_products(e: Evidence) -> Iterator[Hypothesis]:
    """What one layer alone would give: no path through time, none through an activation."""
    y = e.output
    if len(e.checker.outputs) > 1 or y.ndim < 2 or e.x.ndim not in (1, 2):
        return
    coupled = _coupled(e)
    why = "the path through time, through what a step hands to the next, is missing"
    if not coupled:
        why = "another array belongs there, or what lies between has a derivative, too"
    kind = "path through time" if coupled else "derivative missing"
    for words, d in _right_sides(e):
        if d.shape[-1] != e.shape[-1]:
            continue
        leading = list(range(d.ndim - 1))
        if e.x.ndim == 1:
            text = f"the sum of {words}: {why}"
            yield Hypothesis(kind, text, d.sum(axis=tuple(leading)))
        for name, u in _left_sides(e) if e.x.ndim == 2 else ():
            if u.shape == (*d.shape[:-1], e.shape[0]):
                text = f"the sum of {name} · {words}: {why}"
                yield Hypothesis(kind, text, np.tensordot(u, d, (leading, leading)))


def _right_sides(e: Evidence) -> Iterator[tuple[str, Array]]:
    """g times an activation's derivative, and that through one more matrix."""
    y, g = e.output, e.cotangent
    for form in ACTIVATIONS:
        text = "g" if form == "1" else f"g {written(form, 'y')}"
        d = g if form == "1" else g * FORMS[form](y)
        yield text, d
        for name, w in e.subject.arrays.items():
            if name != e.name and w.ndim == 2 and w.shape[1] == d.shape[-1]:
                yield f"({text}) @ {name}.T", d @ w.T
                for words, z in _hidden(e, len(w)):
                    for short in SLOPES if z.shape == (*d.shape[:-1], len(w)) else ():
                        factor = written(short, f"({words})")
                        through = d @ w.T * FORMS[short](z)
                        yield f"({text}) @ {name}.T · {factor}", through


def _left_sides(e: Evidence) -> Iterator[tuple[str, Array]]:
    """The arrays, what is hidden, and the output of the step before along each axis."""
    yield from e.subject.arrays.items()
    for words, z in _hidden(e, e.shape[0]):
        yield f"({words})", z
        for form in ("σ({})", "tanh {}"):
            yield written(form, f"({words})"), FORMS[form](z)
    y = e.output
    for axis in range(y.ndim - 1):
        first = y.shape[:axis] + y.shape[axis + 1 :]
        starts = [a for a in e.subject.arrays.values() if a.shape == first]
        for start in [*starts, np.zeros(first)]:
            before = y.take(range(y.shape[axis] - 1), axis)
            at_first = np.expand_dims(start, axis)
            yield "y of the step before", np.concatenate([at_first, before], axis)


def _hidden(e: Evidence, width: int) -> Iterator[tuple[str, Array]]:
    """Sums x @ w, and x @ w + b, of this width."""
    arrays = e.subject.arrays
    for (x, u), (w, v) in permutations(arrays.items(), 2):
        if u.ndim == v.ndim == 2 and u.shape[1] == len(v) and v.shape[1] == width:
            yield f"{x} @ {w}", u @ v
            for b, bias in arrays.items():
                if bias.shape == (width,):
                    yield f"{x} @ {w} + {b}", u @ v + bias


def _coupled(e: Evidence) -> bool:
    """Whether an input at the first step of some axis reaches the outputs of later ones."""
    y = e.output
    for name, u in e.subject.arrays.items():
        if u.ndim == y.ndim > 2 and u.shape[:-1] == y.shape[:-1]:
            column, _ = e.checker.differences.column(name, 0)
            return bool(np.count_nonzero(column.reshape(y.shape).any(axis=-1)) > 1)
    return False


def hidden_factors(e: Evidence) -> Iterator[Hypothesis]:
    """A factor F(z) too few or too many, z = x @ w + … being what this tensor adds to."""
    images = {y.shape[0] for y in e.checker.outputs if y.ndim == 2}
    if len(images) != 1 or any(y.ndim != 2 for y in e.checker.outputs):
        return
    n = images.pop()
    for words, names, z in _preactivations(e, n):
        if e.name not in names:
            continue
        image = np.concatenate(
            [np.arange(y.size) // y.shape[1] for y in e.checker.outputs]
        )
        terms = np.stack(
            [e.contributions[:, image == i].sum(axis=1) for i in range(n)], 1
        )
        column = e.entries % e.shape[-1]
        for short, form in INPUTS.items():
            factor = FORMS[form](z)[:, column].T
            text = f"the true gradient without the factor {short}, z = {words}"
            yield Hypothesis("missing factor", text, e.summed(terms / factor))
            text = f"the true gradient times {short}, z = {words}: one factor too many"
            yield Hypothesis("extra factor", text, e.summed(terms * factor))
        for activation, local in ("σ({})", "{} (1 − {})"), ("tanh {}", "(1 − {}²)"):
            value = FORMS[activation](z)[:, column].T
            right = FORMS[local](value)
            name = written(activation, words if "(" in activation else f"({words})")
            column_z = z[:, column].T
            for (form, f), (t, at) in product(
                FACTORS.items(), (("a", value), ("z", column_z))
            ):
                text = f"the true gradient with {written(form, t)} where "
                text += f"{written(local, 'a')} belongs, a = {name}"
                text += f", z = {words}" if t == "z" else ""
                yield Hypothesis(
                    "wrong derivative", text, e.summed(terms * f(at) / right)
                )


def _preactivations(e: Evidence, n: int) -> Iterator[tuple[str, list[str], Array]]:
    """Sums u @ w + … + b of the arrays, by their width: words, names, values."""
    arrays = e.subject.arrays
    rows = {k: a for k, a in arrays.items() if a.ndim == 2 and a.shape[0] == n}
    widths = {a.shape[-1] for a in arrays.values() if a.ndim in (1, 2)}
    for width in sorted(widths):
        free, used, z = dict(rows), [], np.zeros((n, width))
        words = []
        for name, w in arrays.items():
            if w.ndim != 2 or w.shape[1] != width:
                continue
            left = next(
                (k for k, u in free.items() if u.shape[1] == len(w) and k != name), None
            )
            if left:
                z = z + free.pop(left) @ w
                words.append(f"{left} @ {name}")
                used.append(name)
        for name, b in arrays.items():
            if words and b.shape == (width,):
                z = z + b
                words.append(name)
                used.append(name)
                break
        if words:
            yield " + ".join(words), used, z
