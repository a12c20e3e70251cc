"""Formulas that are executed are read as they are written, or not at all."""

import math

import numpy as np
import pytest
from cases import CASES
from each import for_each
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.kernels import Window
from tinygrad_cnn.ops import registry
from tinygrad_cnn.ops.convolution import Conv2d
from tinygrad_cnn.ops.formula_grammar import read
from tinygrad_cnn.ops.formulas import LETTERS
from tinygrad_cnn.ops.index_formulas import formula_for, source_of
from tinygrad_cnn.ops.linear import Linear, Matmul
from tinygrad_cnn.ops.pooling import MaxPool2d


def written(e):
    """An expression as text, every bracket written."""
    parts = [written(part) for part in e.parts]
    match e.kind:
        case "number":
            return e.text or f"{e.value:g}"
        case "letter":
            return e.text
        case "at":
            return f"{e.text}[{','.join(parts)}]"
        case "Σ" | "max":
            return f"({e.kind}_{{{e.text}}} {parts[0]})"
        case "call":
            return f"{e.text}({','.join(parts)})"
        case "[]":
            return f"[{parts[0]} {e.text} {parts[1]}]"
        case "()":
            return parts[0]
        case "negative":
            return f"(-{parts[0]})"
    return f"({parts[0]} {e.kind} {parts[1]})"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("y = a + b − c", "((a + b) − c)"),
        ("∂L/∂x = −g · a / b", "(-((g · a) / b))"),
        ("y = (a − b) (a + b) / 2", "(((a − b) · (a + b)) / 2)"),
        (
            "y[n] = b[n] + Σ_i x[n,i] · w[i] + 1",
            "((b[n] + (Σ_{i} (x[n,i] · w[i]))) + 1)",
        ),
        (
            "y[i] = max_{u,v} x[s i + d u − p]",
            "(max_{u,v} x[(((s · i) + (d · u)) − p)])",
        ),
        ("∂L/∂x = g · [y > 0]; more", None),
        ("∂L/∂x = g · [y > 0]", "(g · [y > 0])"),
        (
            "∂L/∂x[k] = Σ_c g[c] y[c] ([c = k] − y[k]) = y[k] g[k]",
            "(Σ_{c} ((g[c] · y[c]) · ([c = k] − y[k])))",
        ),
        ("y = max(0, exp(x))", "max(0,exp(x))"),
        ("y = x under another shape", None),
        ("y = √x", None),
        ("y = (x", None),
        ("y = ", None),
        ("", None),
    ],
)
def test_a_formula_is_read_with_the_order_of_arithmetic(text, right):
    if right is None:
        # Words are read as letters, of which nothing is known when they are filled in.
        try:
            found = read(text)
        except ArgumentError:
            return
        assert "under" in written(found.right)
    else:
        assert written(read(text).right) == right


def test_a_condition_is_read():
    found = read("∂L/∂x[q] = Σ_{i,u} g[i] · w[u] where (q, r) = (i + u, s j − p)")
    assert [(name, written(e)) for name, e in found.where] == [
        ("q", "(i + u)"),
        ("r", "((s · j) − p)"),
    ]


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def test_shapes_and_numbers_are_put_in():
    x, w = arrays((2, 3, 9, 8), (4, 3, 3, 2))
    op = Conv2d((2, 1), (1, 0), (1, 3))
    y = op.forward(x, w, None)
    found = formula_for(op, "x", (x, w, None), y, {})
    assert found["ranges"] == dict(
        zip("ncqroijuv", (2, 3, 9, 8, 4, *y.shape[2:], 3, 2), strict=True)
    )
    rows, columns = [
        [part.value for part in e.walk() if part.kind == "number"]
        for _, e in found["where"]
    ]
    assert (rows, columns) == ([2, 1, 1], [1, 3, 0])
    assert written(formula_for(op, "y", (x, w, None), y, {})["right"]).startswith("(Σ_")
    assert formula_for(op, "b", (x, w, None), y, {}) is None


def test_what_does_not_hold_as_it_stands_is_not_executed():
    x, w = arrays((1, 4, 5, 5), (4, 2, 3, 3))
    op = Conv2d(groups=2)
    assert formula_for(op, "y", (x, w, None), op.forward(x, w, None), {}) is None
    a, b = arrays((2, 3, 4), (4, 5))
    assert formula_for(Matmul(), "a", (a, b), a @ b, {}) is None
    (x, w), op = arrays((2, 3, 4), (5, 4)), Linear()
    assert formula_for(op, "y", (x, w, None), op.forward(x, w, None), {}) is None


@pytest.mark.parametrize("name", registry)
def test_every_formula_is_read_or_refused(name):
    """Nothing else is raised, whatever a docstring says."""
    from tinygrad_cnn.ops.formulas import formulas

    found = formulas(registry[name])
    for text in (found.forward, *found.gradients.values()):
        try:
            read(text)
        except ArgumentError:
            continue


def value_of(e, env, arrays):
    """A formula, evaluated by plain loops."""
    of = lambda k: value_of(e.parts[k], env, arrays)
    match e.kind:
        case "number":
            return e.value
        case "letter":
            return env[e.text]
        case "at":
            index = [int(value_of(part, env, arrays)) for part in e.parts]
            inside = all(
                0 <= i < n for i, n in zip(index, arrays[e.text].shape, strict=True)
            )
            return arrays[e.text][tuple(index)] if inside else math.nan
        case "Σ" | "max":
            letters = e.text.split(",")
            ranges = [env["ranges"][letter] for letter in letters]
            values = []
            for at in np.ndindex(*ranges):
                inner = {**env, **dict(zip(letters, at, strict=True))}
                if all(value_of(c, inner, arrays) == inner[n] for n, c in env["where"]):
                    values.append(value_of(e.parts[0], inner, arrays))
            return np.nansum(values) if e.kind == "Σ" else np.nanmax(values)
        case "call":
            return CALLS[e.text](*[of(k) for k in range(len(e.parts))])
        case "[]":
            return float(RELATIONS[e.text](of(0), of(1)))
        case "()":
            return of(0)
        case "negative":
            return -of(0)
        case "²":
            return of(0) ** 2
    return ARITHMETIC[e.kind](of(0), of(1))


CALLS = {"exp": np.exp, "ln": np.log, "tanh": np.tanh, "max": np.maximum}
CALLS["σ"] = lambda x: 1 / (1 + np.exp(-x))
RELATIONS = {"=": np.equal, "≠": np.not_equal, "<": np.less, ">": np.greater}
RELATIONS |= {"≤": np.less_equal, "≥": np.greater_equal}
ARITHMETIC = {"+": np.add, "−": np.subtract, "·": np.multiply, "/": np.divide}


def evaluated(formula, index, known):
    """The entry of the left side of a formula."""
    pairs = zip(formula["left"].parts, index, strict=True)
    letters = {part.text: i for part, i in pairs if part.kind == "letter"}
    env = {"ranges": formula["ranges"], "where": formula["where"], **letters}
    return value_of(formula["right"], env, known)


@for_each("case", CASES, ids=str)
def test_what_can_be_read_is_what_is_computed(case, for_drawn):
    """Of every operation: the result, and each gradient, at a random entry."""

    @for_drawn(3)
    def _(d):
        example = case.draw(d)
        op, y, g = example.op, example.result(), example.cotangent()
        inputs = example.inputs
        if op.variadic or not y.size or y.size > 500:
            return
        rest = op.forward(*inputs)[1:] if op.keeps else ()
        kept = dict(zip(op.keeps, rest, strict=True))
        if (source := source_of(op, inputs)) is not None:
            kept["source"] = source
        rights = {
            example.name(i): x
            for i, x in zip(example.wrt, example.gradients(g), strict=True)
        }
        for name, right in {"y": y, **rights}.items():
            formula = formula_for(op, name, inputs, y, kept)
            if formula is None or not right.size:
                continue
            letters = [LETTERS.get(n, n) for n in op.inputs]
            known = {**dict(zip(letters, inputs, strict=True)), **kept, "y": y, "g": g}
            index = tuple([int(d.rng.integers(n)) for n in right.shape])
            expected = right[index]
            if op.row_major or "source" in kept:
                known = {n: np.ravel(x) for n, x in known.items()}
                index = (int(np.ravel_multi_index(index, right.shape)),)
            with np.errstate(all="ignore"):
                found = evaluated(formula, index, known)
            np.testing.assert_allclose(found, expected, 1e-6, 1e-9)


@given(
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(0, 1), st.integers(0, 1)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.integers(0, 99),
)
def test_formulas_of_windows_give_what_the_rules_give(stride, padding, dilation, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(1, 2, 5, 4)), rng.normal(size=(2, 2, 2, 2))
    pool = MaxPool2d(Window((2, 2), stride, padding, dilation))
    y, tap = pool.forward(x)
    conv = Conv2d(stride, padding, dilation)
    z = conv.forward(x, w, None)
    g, h = rng.normal(size=y.shape), rng.normal(size=z.shape)
    cases = [
        (pool, "y", (x,), y, {"tap": tap}, y),
        (pool, "x", (x,), g, {"tap": tap}, pool.grad_x(g, tap, x.shape)),
        (conv, "y", (x, w, None), z, {}, z),
        (conv, "x", (x, w, None), h, {}, conv.grad_x(h, w, x.shape)),
        (conv, "w", (x, w, None), h, {}, conv.grad_w(h, x, w.shape)),
    ]
    for op, name, inputs, of_result, kept, right in cases:
        formula = formula_for(op, name, inputs, of_result, kept)
        known = {**dict(zip("xw", inputs, strict=False)), **kept, "g": of_result}
        index = tuple([int(rng.integers(n)) for n in right.shape])
        found = evaluated(formula, index, known)
        np.testing.assert_allclose(found, right[index], 1e-9, 1e-12)
