"""Wrong factors: one too many or too few, a constant or a quantity at each entry."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from itertools import combinations, permutations, product

import numpy as np

from ...kernels import Window
from ..subject import Array, OperationSubject
from .evidence import Evidence, Hypothesis

# ------------------------------------------------------------------------- a constant


def factors(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient times a constant."""
    square = float(np.nansum(e.true**2))
    if square:
        factor = float(np.nansum(e.claim * e.true)) / square
        text = f"the true gradient times {meaning(e, factor)}"
        length = float(np.sqrt(np.nansum(e.claim**2)))
        if e.is_complete and math.isclose(length, 1, rel_tol=1e-6):
            text += ": its length is 1, it is divided by its own"
        yield Hypothesis("factor", text, factor * e.true)


def meaning(e: Evidence, factor: float) -> str:
    """The factor, and what it may be: "1 / 4 (the batch size): counted once …"."""
    sign, size = "−" if factor < 0 else "", abs(factor)
    for value, text in _meanings(e, f"{size:.6g}"):
        if math.isclose(size, value, rel_tol=1e-6):
            return sign + text
    return f"{sign}{size:.6g}"


def _meanings(e: Evidence, size: str) -> Iterator[tuple[float, str]]:
    counts: dict[int, list[str]] = {}
    for n, name in _counts(e):
        if n > 1 and name not in counts.setdefault(n, []):
            counts[n].append(name)
    # the likeliest, and the next; one that only counts an axis says little
    likely = {n: [k for k in names if "length" not in k] for n, names in counts.items()}
    first = {n: ", or ".join((likely[n] or counts[n])[:2]) for n in counts}
    for n, names in first.items():
        yield n, f"{n} ({names}): counted so often, or forward alone divides by it"
        often = f"counted once instead of {n} times, or backward alone divides by it"
        yield 1 / n, f"1 / {n} ({names}): {often}"
    roots = [(math.sqrt(n), f"√{n} ({names})") for n, names in first.items()]
    for number, name in [*_numbers(e), *roots]:
        if number:
            yield abs(number), f"{size}, which is {name}"
            yield abs(1 / number), f"{size}, which is 1 / {name}"
    for n, names in first.items():
        yield (
            (1 - 1 / n) ** 0.5,
            f"√({n - 1} / {n}), n = {n} ({names}): n − 1 stands for n",
        )
        yield (
            (1 - 1 / n) ** -0.5,
            f"√({n} / {n - 1}), n = {n} ({names}): n − 1 is forgotten",
        )
    for (a, above), (b, below) in permutations(counts.items(), 2):
        yield a / b, f"{a} / {b} ({above[0]} / {below[0]})"


def _counts(e: Evidence) -> Iterator[tuple[int, str]]:
    """Sizes of what is summed or averaged over."""
    x, y = e.shape, e.output.shape
    others = [a.shape for name, a in e.subject.arrays.items() if name != e.name]
    batch = x if y in ((), x[:1]) else y
    if len(batch) >= 2:
        yield batch[0], "the batch size"
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
    if len(y) == 4:
        yield math.prod(y[2:]), "the number of output positions"
        yield math.prod(y) // y[1], "images × output positions"
    if not np.isnan(e.true).any():
        yield int(e.touched.sum(axis=0).max()), "the values that one output is made of"
    yield int(e.touched.sum(axis=1).max()), "the outputs that one entry is used for"
    if len(batch) >= 2:
        yield batch[1], "the number of classes, features or channels"
    yield math.prod(y), "the number of outputs"
    for axis, n in enumerate(x):
        yield n, f"the length of axis {axis}"


def _numbers(e: Evidence) -> Iterator[tuple[float, str]]:
    """Numbers that the operation or its result is."""
    op = getattr(e.subject, "op", None)
    for f in fields(op) if is_dataclass(op) else ():
        value = getattr(op, f.name)
        if isinstance(value, float):
            yield value, f.name
            yield 1 - value, f"1 − {f.name}"
    if e.output.size == 1:
        yield float(e.output.reshape(())), "the result y"


# --------------------------------------------------------------- quantities, entry by entry


def sigmoid(t: Array) -> Array:
    """1 / (1 + exp(−t))."""
    return np.asarray(1 / (1 + np.exp(-t)))


Form = Callable[[Array], Array]

FACTORS: dict[str, Form] = {
    "{}": lambda t: t,
    "(1 − {})": lambda t: 1 - t,
    "(1 + {})": lambda t: 1 + t,
    "(1 − {}²)": lambda t: 1 - t * t,
    "(1 + {}²)": lambda t: 1 + t * t,
    "{} (1 − {})": lambda t: t * (1 - t),
    "exp({})": np.exp,
}
"""What local derivatives are made of, as they are written with the input or the output."""

FORMS: dict[str, Form] = FACTORS | {
    "{}²": np.square,
    "√{}": np.sqrt,
    "log {}": np.log,
    "sin {}": np.sin,
    "cos {}": np.cos,
    "σ({})": sigmoid,
    "σ({}) (1 − σ({}))": lambda t: sigmoid(t) * sigmoid(-t),
    "σ({}) (1 + {} (1 − σ({})))": lambda t: sigmoid(t) * (1 + t * sigmoid(-t)),
    "tanh {}": np.tanh,
    "(1 − tanh² {})": lambda t: 1 - np.tanh(t) ** 2,
    "[{} > 0]": lambda t: 1.0 * (t > 0),
    "|{}|": np.abs,
    "sign {}": np.sign,
}
"""These, and whole derivatives."""

DERIVATIVES = "σ({}) (1 − σ({}))", "(1 − tanh² {})"
"""Local derivatives that are written with the input."""

LOCAL = "{} (1 − {})", "(1 − {}²)"
"""Local derivatives that are written with the output."""


def operands(e: Evidence) -> Iterator[Hypothesis]:
    """g · F(t) where g · F(u) is true, or a sum of g · t: another array belongs there."""
    known, g = quantities(e, e.shape), align(e.cotangent, e.shape)
    for (form, f), times in product(FORMS.items() if g is not None else (), "·/"):
        power = 1 if times == "·" else -1
        made = {t: g * f(values) ** power for t, values in known.items()}
        right = [u for u, values in made.items() if e.agree(values, e.true)]
        for t, values in made.items() if right else ():
            text, kind = f"g {times} {written(form, t)}: ", "wrong operand"
            text += f"{t} stands where {right[0]} belongs"
            if (t, right[0]) == ("y", e.name) and form not in FACTORS:
                kind, text = "wrong point", f"{text}: it is taken at the output"
            yield Hypothesis(kind, text, values)
    for t, values in quantities(e, e.output.shape).items() if g is None else ():
        text = f"the sum of g · {t}: another quantity than {t} belongs there"
        for there in (e.touched, e.reached):
            products = there * (e.g * values.reshape(-1))
            yield Hypothesis("wrong operand", text, e.summed(products))


def multiples(e: Evidence) -> Iterator[Hypothesis]:
    """The true gradient times or divided by a quantity, at each entry or each output."""
    true = "the true gradient"
    for t, values in _factors(quantities(e, e.shape)):
        inverse = np.where(values == 0, np.nan, 1 / values)
        much = "multiplied by it where it should be divided"
        little = "divided by it where it should be multiplied"
        for kind, text, factor in (
            ("missing factor", f"divided by {t}: the factor {t} is missing", inverse),
            ("extra factor", f"times {t}: that factor is one too many", values),
            ("inverted factor", f"times {t}²: {much}", values**2),
            ("inverted factor", f"divided by {t}²: {little}", inverse**2),
        ):
            yield Hypothesis(kind, f"{true} {text}", e.true * factor)
    for t, values in quantities_of_output(e):
        text = f"{true} without the factor {t}, which g is to be multiplied by"
        yield Hypothesis("missing factor", text, e.along(e.cotangent / values))
        text = f"{true} for g · {t} in the place of g: that factor is one too many"
        yield Hypothesis("extra factor", text, e.along(e.cotangent * values))


def derivatives(e: Evidence) -> Iterator[Hypothesis]:
    """Another local derivative than the right one."""
    known, g = quantities(e, e.shape), align(e.cotangent, e.shape)
    made = {
        f"g {times} {written(form, t)}": g * f(values) ** (1 if times == "·" else -1)
        for (form, f), (t, values), times in product(FORMS.items(), known.items(), "·/")
        if g is not None
    }
    right = [text for text, values in made.items() if e.agree(values, e.true)]
    belongs = f"where {right[0]} belongs" if right else "and that is not the derivative"
    for text, values in made.items():
        yield Hypothesis("wrong derivative", f"{text}, {belongs}", values)
    y = e.output
    for local, (t, values) in product(LOCAL, quantities(e, y.shape).items()):
        for form, f in FORMS.items():
            text = f"{written(form, t)} where {written(local, 'y')} belongs"
            at_output = t == "y" and form in DERIVATIVES
            kind = "wrong point" if at_output else "wrong derivative"
            text += ": the derivative is taken at the output" if at_output else ""
            d = e.along(e.cotangent * f(values) / FORMS[local](y))
            yield Hypothesis(kind, f"the true gradient with {text}", d)


def written(form: str, t: str) -> str:
    """The form of this quantity, in words."""
    return form.replace("{}", t)


def quantities_of_output(e: Evidence) -> Iterator[tuple[str, Array]]:
    """What each value of the output may have been multiplied by."""
    return _factors(quantities(e, e.output.shape))


def _factors(known: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """These quantities, and what local derivatives make of them."""
    forms = FACTORS | {form: FORMS[form] for form in DERIVATIVES}
    for (form, f), (t, values) in product(forms.items(), known.items()):
        yield written(form, t), f(values)


def quantities(e: Evidence, shape: tuple[int, ...]) -> dict[str, Array]:
    """The arrays at hand, each repeated to this shape, if it fits."""
    arrays = {e.name: e.x, "y": e.output, **e.subject.arrays}
    if isinstance(e.subject, OperationSubject) and not e.subject.op.variadic:
        given = zip(e.subject.op.inputs, e.subject.input_arrays(), strict=True)
        arrays |= {name: x for name, x in given if isinstance(x, np.ndarray)}
    fitting = {name: align(x, shape) for name, x in arrays.items()}
    # a constant says nothing
    return {k: x for k, x in fitting.items() if x is not None and np.ptp(x) > 0}


def align(x: Array, shape: tuple[int, ...]) -> Array | None:
    """x broadcast to this shape, its axes being some of these, in their order."""
    if x.dtype.kind != "f":
        return None
    for axes in reversed([*combinations(range(len(shape)), x.ndim)]):
        if all(n in (1, shape[axis]) for n, axis in zip(x.shape, axes, strict=True)):
            sizes = dict(zip(axes, x.shape, strict=True))
            full = x.reshape([sizes.get(axis, 1) for axis in range(len(shape))])
            return np.broadcast_to(full, shape)
    return None
