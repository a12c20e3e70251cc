"""The formulas that are shown are those in the docstrings, and those that are computed."""

import math
import re
from typing import Any

import numpy as np
from each import for_each

from tinygrad_cnn import autograd, tensor
from tinygrad_cnn.kernels import Window
from tinygrad_cnn.ops import Op, registry, resampling
from tinygrad_cnn.ops.formulas import formulas

GREEK = {"gamma": "γ", "beta": "β"}

every_operation = for_each("name", registry)


# ------------------------------------------------------------------------- what is found


@every_operation
def test_every_operation_states_its_result_and_each_gradient_rule(name):
    op = registry[name]
    found = formulas(op)
    assert re.match(r"y(\[.*?\])? = \S", found.forward)
    assert set(found.gradients) == set(op.rules)
    for x, formula in found.gradients.items():
        assert re.match(rf"∂L/∂{GREEK.get(x, x)}(\[.*?\])* = \S", formula)


@every_operation
def test_formulas_are_short_and_complete(name):
    found = formulas(registry[name])
    for formula in found.forward, *found.gradients.values():
        assert len(formula) <= 110
        assert not re.search(r"[`\n]|   |[.,;:]$", formula)
        closed = formula
        while (inner := re.sub(r"\([^()[\]]*\)|\[[^()[\]]*\]", "", closed)) != closed:
            closed = inner
        assert not set("()[]") & set(closed)


@every_operation
def test_every_document_that_is_cited_is_a_source(name):
    found = formulas(registry[name])
    cited = re.findall(r"`(day2|day3|numpy-cnn|patches|lenet)`", found.text)
    assert {source.split()[0] for source in found.sources} == set(cited)


def test_sources_name_the_place():
    assert formulas(registry["Conv2d"]).sources == [
        "numpy-cnn eq. 9, 21",
        "lenet §2.2.2",
        "numpy-cnn eq. 11",
        "lenet §3.0.1",
        "numpy-cnn eq. 10",
        "lenet proof 2",
        "numpy-cnn eq. 12",
    ]
    assert formulas(registry["Softmax"]).sources == ["numpy-cnn eq. 4", "day3 §3.1"]
    assert formulas(registry["Mul"]).sources == []


def test_operations_of_users_may_say_nothing():
    class Bare(Op, register=False):
        def forward(self, x):
            return x

        def grad_x(self, g):
            return g

    class Worded(Bare, register=False):
        """Gives x back. In words (and `code`) only, yes: x = x."""

    class Twice(autograd.Function):
        """y: the double."""

        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    y = Twice.apply(tensor([1.0], requires_grad=True))
    for op in Bare, Worded, type(y._node.op):
        found = formulas(op)
        assert (found.forward, found.gradients) == ("", {"x": ""})
        assert found.sources == []
    assert formulas(Bare).text == ""


def test_a_formula_ends_with_its_sentence_or_where_the_layout_says_so():
    class Several(Op, register=False):
        """y[i] = 0.5 a[i] + b · x[::2] (`day2` §4, eq. 3), and so on: words.

        As ∂a/∂x = 1 we have ∂L/∂a[i] =
        g[i] / 2,   ∂L/∂b = Σ_i g[i]; of any x

        ∂L/∂x = g
        """

        def forward(self, a, b, x, label):
            return a

        def grad_a(self, g):
            return g

        grad_b = grad_x = grad_a

    found = formulas(Several)
    assert found.forward == "y[i] = 0.5 a[i] + b · x[::2], and so on"
    assert found.gradients == {
        "a": "∂L/∂a[i] = g[i] / 2",
        "b": "∂L/∂b = Σ_i g[i]",
        "x": "∂L/∂x = g",
    }
    assert list(found.gradients) == ["a", "b", "x"]
    assert found.sources == ["day2 §4, eq. 3"]
    assert found.text.splitlines()[2] == "As ∂a/∂x = 1 we have ∂L/∂a[i] ="


# ------------------------------------------------------- a formula, turned into Python

SIZE = 4
"""Each letter under a Σ runs over so many; arrays are 0 where they have fewer."""

SUPERSCRIPT = str.maketrans("⁰¹²³⁻ᵃᵇˣ", "0123-abx")
SIGNS = str.maketrans({"−": "-", "·": "*", "≤": "<=", "≥": ">=", "≠": "!="})
NAMED = {
    name: getattr(math, name) for name in ["sin", "cos", "tan", "sinh", "cosh", "erf"]
}
NAMED |= {"arcsin": math.asin, "arccos": math.acos, "arctan": math.atan}
NAMED |= {"arsinh": math.asinh, "arcosh": math.acosh, "artanh": math.atanh}
NAMED["ln"] = math.log
REWRITES: list[tuple[str, Any]] = [
    (",? ?…,? ?", ""),  # x[n,…]: there are no further axes here
    (" = ", " == "),
    ("[⁰¹²³⁻ᵃᵇˣ]+", lambda m: f"**({m[0].translate(SUPERSCRIPT)})"),
    (r"\|(.+?)\|", r"abs(\1)"),
    (r"\^", "**"),
    (r"√(\w+)", r"√(\1)"),
    ("√", "sqrt"),
    (rf"\b({'|'.join(NAMED)}) (\w+(?:\(\w+\))?)", r"\1(\2)"),
    (r"(?<=[ (])\[([^[\]]*)\]", r"(\1)"),  # [c = k] is 1 or 0
    ("(Σ|Π|max|min)_(\\w) ", r"\1_{\2} "),
    # What stands side by side is multiplied.
    (r"(?<=[\w)\]])(?<!\bif)(?<!else)(?<!where) (?=[\w(ΣΠ])(?!if|else|where)", " * "),
]
FUNCTIONS = NAMED | {
    "Σ": sum,
    "Π": math.prod,
    "max": max,
    "min": min,
    "abs": abs,
    "e": math.e,
}
FUNCTIONS |= {"sqrt": math.sqrt, "π": math.pi, "exp": math.exp, "sign": np.sign}
FUNCTIONS |= {"round": round}
FUNCTIONS |= {"σ": lambda x: 1 / (1 + math.exp(-x))}


def equal_sides(right):
    """The right side of a formula as Python: one expression, or several said equal."""
    right = re.sub(r" where ([^()]+?), (?:else )?", r" if \1 else ", right)
    right = until(right, ", ", " with ")
    while right:
        side = right if re.search(" if | where ", right) else until(right, " = ")
        right = right[len(side) + 3 :]
        side = side.translate(SIGNS)
        for pattern, new in REWRITES:
            side = re.sub(pattern, new, side)
        yield summed(side)


def summed(text):
    """Σ_{i,j} term where … as a sum in Python; the term reaches to the next + or −."""
    found = re.fullmatch(r"(.*)(Σ|Π|max|min)_{([\w,]+)} (.*)", text)
    if not found:
        return text
    before, function, letters, body = found.groups()
    term, where, condition = body.partition(" where ")
    term = until(term, " + ", " - ")
    after = "" if where else body[len(term) :]
    loops = "".join(f" for {i} in range({SIZE})" for i in letters.split(","))
    loops += f" if {condition}" if where else ""
    return summed(f"{before}{function}({term}{loops}){after}")


def until(text, *ends):
    """The beginning, up to the first of the ends that is in no bracket opened before."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth < 0 or (depth == 0 and text.startswith(ends, i)):
            return text[:i]
    return text


class Entries:
    """An array that is 0 outside."""

    def __init__(self, array):
        self.array = array

    def __getitem__(self, index):
        index = index if isinstance(index, tuple) else (index,)
        inside = all(0 <= i < s for i, s in zip(index, self.array.shape, strict=True))
        return self.array[index] if inside else 0


def stated(formula, shape, names):
    """What each right side comes to: entry by entry, also where no index is written."""
    left, right = formula.split(" = ", 1)
    index = re.search(r"\[(.*)\]", left)
    letters = re.findall(r"\w+", index[1]) if index else []
    arrays = {name: v for name, v in names.items() if np.ndim(v)}
    entries = {name: Entries(v) for name, v in arrays.items()}
    alike = {name: v for name, v in arrays.items() if not index and v.shape == shape}
    for side in equal_sides(right):
        code, found = compile(side, formula, "eval"), np.zeros(shape)
        for at in np.ndindex(shape):
            here = dict(zip(letters, at, strict=False))
            here |= {name: v[at] for name, v in alike.items()}
            found[at] = eval(code, FUNCTIONS | names | entries | here)
        yield found


# ---------------------------------------------------------- what is stated is computed

IN_WORDS = {
    *("Clone", "Cast", "Reshape", "Permute", "Expand", "SumTo", "Concatenate", "Pad"),
    *("Index", "IndexAdd", "Put", "MaxPool2d", "MaxPoolPut", "MaxPoolPick"),
    *("AdaptiveMaxPool", "PutAtPlace", "PickAtPlace"),
    *("Diagonal", "Windows"),
}
"""Formulas that say in words what goes where."""

GRID = np.array([-1.5, -1, -0.5, 0, 0.5, 1, 1.5])
"""Has corners and, met by its own permutation, ties."""

LAYOUT = {"s": 2, "p": 1, "d": 2}
FIELDS = {
    "LeakyReLU": {"negative_slope": 0.25},
    "Bend": {"slope": 0.25},
    "ELU": {"alpha": 0.5, "scale": 1.5, "rate": 2.0},
    "Hardshrink": {"lambd": 0.5},
    "Huber": {"delta": 0.75},
    "Softplus": {"beta": 2.0, "threshold": 1.0},
    "Softshrink": {"lambd": 0.5},
    "Threshold": {"threshold": 0.5, "value": 2.0},
    "Hardtanh": {"low": -1.0, "high": 0.5},
    "Clip": {"low": -0.5, "high": 1.0},
    "Dropout": {"p": 0.5},
    "Place": {"classes": SIZE},
    "CumSum": {"axis": 0},
    "CumProd": {"axis": 0},
    "LogCumSumExp": {"axis": 0},
    "Recurrence": {"axis": 0},
    "Remainder": {"to_zero": False},
    "PNorm": {"p": 3.0},
    "Softmax": {"axis": 0},
    "LogSoftmax": {"axis": 0},
    "Conv2d": {"stride": (2, 2), "padding": (1, 1), "dilation": (2, 2)},
    "SumPool2d": {"window": Window((4, 4), (2, 2), (1, 1), (2, 2))},
}
FIELDS["Conv2dInput"] = FIELDS["Conv2d"] | {"size": (4, 4)}
FIELDS["ConvTranspose2d"] = FIELDS["Conv2dInput"]
FIELDS["Conv2dWeight"] = FIELDS["Conv2d"] | {"kernel": (2, 2)}
FIELDS["Unfold"] = {"window": Window((2, 2), (2, 2), (1, 1), (2, 2))}
FIELDS["Fold"] = FIELDS["Unfold"] | {"size": (4, 4)}
FIELDS["Resample"] = {
    "maps": (resampling.linear(4, 3, None, False), resampling.averages(4, 3))
}
FIELDS["AdaptiveAvgPool"] = FIELDS["Resample"]
FIELDS["PadWithin"] = {"maps": (resampling.around(3, 1, 0, "reflect"),)}
FIELDS["SumPoolInput"] = FIELDS["SumPool2d"] | {"size": (8, 8)}


def dense(taps):
    """A sparse matrix with all its zeros."""
    a = np.zeros(taps.shape)
    a[taps.rows, taps.columns] = taps.weights
    return a


def inputs_and_letters(name):
    """Inputs for an operation, and what the other letters of its formulas stand for."""
    rng = np.random.default_rng(7)
    draw = lambda *shape: rng.normal(size=shape)
    x, weight, labels = draw(SIZE), rng.uniform(1, 2, SIZE), np.array([2, 0, 3, 2])
    images, results, kernels = draw(2, 3, 4, 4), draw(2, 4, 2, 2), draw(4, 3, 2, 2)
    normal = (x - x.mean()) * (r := 1 / np.sqrt(x.var() + 1e-5))
    match name:
        case "Keep":
            return (GRID, GRID**2 > 1), {}
        case "Mish":
            return (x,), {"t": np.tanh(np.log(1 + np.exp(x)))}
        case "TanhGELU":
            k = math.sqrt(2 / math.pi)
            t, u = np.tanh(k * (x + 0.044715 * x**3)), k * (1 + 0.134145 * x**2)
            return (x,), {"t": t, "u": u}
        case "Huber":
            return (GRID, GRID[::-1]), {"d": GRID - GRID[::-1]}
        case "BinaryCrossEntropy":
            return (weight / 3, draw(SIZE)), {}
        case "Gate":
            return (GRID, GRID[::-1]), {}
        case "Where":
            return (GRID**2 > 1, GRID, GRID[::-1]), {}
        case "Asin" | "Acos" | "Atanh":
            return (GRID / 2,), {}
        case "Acosh" | "Log1p" | "Log2" | "Log10":
            return (GRID + 3,), {}
        case "Remainder":
            return (GRID, weight[0] + 0 * GRID), {"q": np.floor(GRID / weight[0])}
        case "Atan2" | "Hypot" | "XLogY":
            return (GRID, GRID[::-1] + 2), {}
        case "Div" | "Log" | "Pow" | "Sqrt":
            return (GRID + 2, 2 - GRID / 2), {}
        case "Max" | "Min":
            return (np.array([2.0, -1, 2, -1]),), {"m": 2}
        case "Sum" | "Mean" | "Var" | "Std" | "Norm" | "PNorm" | "LogSumExp":
            return (x,), {"n": SIZE, "μ": x.mean(), "correction": 1}
        case "Prod" | "CumSum" | "CumProd" | "LogCumSumExp":
            return (x,), {}
        case "Recurrence":
            after = np.eye(SIZE) - np.diag(weight[1:], 1)
            r = np.linalg.solve(after, np.random.default_rng(3).normal(size=SIZE))
            return (x, weight), {"r": r}
        case "Softmax" | "LogSoftmax":
            return (x,), {"p": np.exp(x) / np.exp(x).sum()}
        case "NLLLoss":
            return (draw(SIZE, SIZE), labels, weight), {"S": weight[labels].sum()}
        case "Pick":
            return (draw(4, SIZE), labels), {}
        case "Place":
            return (x, labels), {}
        case "Matmul":
            return (draw(2, 3), draw(3, 4)), {}
        case "Linear":
            return (draw(3, 4), draw(2, 4), draw(2)), {}
        case "BatchNorm":
            return (x[:, None], draw(1), draw(1)), {"x̂": normal, "r": r, "m": SIZE}
        case "BatchNormEval":
            r = 1 / np.sqrt(weight[:1] + 1e-5)
            return (x[:, None], draw(1), weight[:1], draw(1), draw(1)), {"r": r.item()}
        case "Conv2d":
            return (images, kernels, draw(4)), LAYOUT
        case "Conv2dInput" | "ConvTranspose2d":
            return (results, kernels, draw(3)), LAYOUT
        case "Conv2dWeight":
            return (images, results), LAYOUT
        case "SumPool2d":
            return (draw(2, 3, 8, 8),), LAYOUT
        case "Unfold":
            return (images,), LAYOUT
        case "Fold":
            return (draw(2, 3, 2, 2, 2, 2),), LAYOUT
        case "Resample" | "AdaptiveAvgPool":
            a, b = map(dense, FIELDS[name]["maps"])
            return (images,), {"a": a, "b": b}
        case "PadWithin":
            return (draw(3),), {"a": np.array([1, 0, 1, 2])}
        case "SumPoolInput":
            return (results,), LAYOUT
    return (GRID, GRID[[0, 2, 1, 3, 6, 4, 5]], GRID**2), {}


@for_each("name", [name for name in registry if name not in IN_WORDS])
def test_the_result_and_the_gradients_are_what_the_formulas_say(name):
    op, fields = registry[name], FIELDS.get(name, {})
    arrays, letters = inputs_and_letters(name)
    inputs = {x: tensor(v) for x, v in zip(op.inputs, arrays, strict=False)}
    asked = [inputs[x].requires_grad_() for x in op.rules]
    values = [v if x in op.rules else v.numpy() for x, v in inputs.items()]
    y = op(**fields)(*values)
    g = tensor(np.random.default_rng(3).normal(size=y.shape))
    gradients = dict(zip(op.rules, autograd.grad(y, asked, g), strict=True))

    names = {GREEK.get(x, x): v for x, v in inputs.items()} | {"y": y, "g": g}
    names = {x: np.squeeze(v.detach().numpy()) for x, v in names.items()}
    names = {x: v if v.ndim else float(v) for x, v in names.items()}
    names = fields | letters | names
    found = formulas(op)
    assert_stated(found.forward, y, names)
    for x, formula in found.gradients.items():
        assert_stated(formula, gradients[x], names)


def assert_stated(formula, computed, names):
    expected = np.squeeze(computed.detach().numpy())
    for side in stated(formula, expected.shape, names):
        np.testing.assert_allclose(side, expected, rtol=1e-12, atol=1e-14)
