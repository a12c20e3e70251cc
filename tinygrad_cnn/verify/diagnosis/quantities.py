"""Element by element: the wrong quantity, one too many, or one too few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from ..subject import Array, OperationSubject
from .evidence import Evidence, Hypothesis

FORMS: dict[str, Callable[[Array], Array]] = {
    "{}": lambda t: t,
    "1 / {}": lambda t: 1 / t,
    "{}²": lambda t: t * t,
    "(1 − {})": lambda t: 1 - t,
    "(1 − {}²)": lambda t: 1 - t * t,
    "{} (1 − {})": lambda t: t * (1 - t),
    "1 / (1 + {}²)": lambda t: 1 / (1 + t * t),
}
"""Local derivatives, as they are written with the input or the output."""


def operands(e: Evidence) -> Iterator[Hypothesis]:
    """g · F(t) where g · F(u) is true, or a sum of g · t: another array belongs there."""
    known, g = quantities(e, e.shape), _align(e.cotangent, e.shape)
    for form, f in FORMS.items() if g is not None else ():
        right = [u for u, values in known.items() if _is_true(e, g * f(values))]
        for t, values in known.items() if right else ():
            text = f"g · {form.format(t, t)}: {t} stands where {right[0]} belongs"
            yield Hypothesis("wrong operand", text, g * f(values))
    for t, values in quantities(e, e.output.shape).items() if g is None else ():
        products = e.touched * (e.g * values.reshape(-1))
        text = f"the sum of g · {t}: another quantity than {t} belongs there"
        yield Hypothesis("wrong operand", text, e.summed(products))


def multiples(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient times or divided by a quantity, at each entry or each output."""
    true = "the true gradient"
    for t, values in _factors(quantities(e, e.shape)):
        inverse = np.where(values == 0, np.nan, 1 / values)
        for kind, text, factor in (
            ("missing factor", f"divided by {t}: the factor {t} is missing", inverse),
            ("extra factor", f"times {t}: that factor is one too many", values),
            ("inverted factor", f"times {t}²: {MULTIPLIED}", values**2),
            ("inverted factor", f"divided by {t}²: {DIVIDED}", inverse**2),
        ):
            yield Hypothesis(kind, f"{true} {text}", e.true * factor)
    for t, values in _factors(quantities(e, e.output.shape)):
        text = f"{true} without the factor {t}, which g is to be multiplied by"
        terms = e.contributions / values.reshape(-1)
        yield Hypothesis("missing factor", text, e.summed(terms))


MULTIPLIED = "multiplied by it where it should be divided"
DIVIDED = "divided by it where it should be multiplied"


def _factors(known: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """These quantities, and what the derivatives of a usual output y are made of."""
    yield from known.items()
    if "y" in known:
        y = known["y"]
        yield from [("(1 − y)", 1 - y), ("(1 + y)", 1 + y), ("(1 − y²)", 1 - y * y)]
        yield from [("y (1 − y)", y * (1 - y)), ("exp(y)", np.exp(y))]


def quantities(e: Evidence, shape: tuple[int, ...]) -> dict[str, Array]:
    """The arrays at hand, each repeated to this shape, if it fits."""
    arrays = {e.name: e.x, "y": e.output, **e.subject.arrays}
    if isinstance(e.subject, OperationSubject) and not e.subject.op.variadic:
        given = zip(e.subject.op.inputs, e.subject.input_arrays(), strict=True)
        arrays |= {name: x for name, x in given if isinstance(x, np.ndarray)}
    fitting = {name: _align(x, shape) for name, x in arrays.items()}
    # a constant says nothing
    return {k: x for k, x in fitting.items() if x is not None and np.ptp(x) > 0}


def _is_true(e: Evidence, gradient: Array) -> bool:
    known = ~np.isnan(e.true)
    return bool(np.all(e.close(gradient, e.true)[known]))


def _align(x: Array, shape: tuple[int, ...]) -> Array | None:
    """x broadcast to this shape, its axes being some of these, in their order."""
    if x.dtype.kind != "f":
        return None
    for axes in reversed([*combinations(range(len(shape)), x.ndim)]):
        if all(n in (1, shape[axis]) for n, axis in zip(x.shape, axes, strict=True)):
            sizes = dict(zip(axes, x.shape, strict=True))
            full = x.reshape([sizes.get(axis, 1) for axis in range(len(shape))])
            return np.broadcast_to(full, shape)
    return None
