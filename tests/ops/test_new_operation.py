"""An operation defined outside of the package works wherever one of the package does.

It is written in the three places that docs/add_operation.md names: a class, a case and a
function. No file of the package knows it.
"""

import json
from dataclasses import dataclass

import cases
import numpy as np
import oracles
import pytest
from derivations import generate

import tinygrad_cnn as torch
from tinygrad_cnn import nn, planned, tensor
from tinygrad_cnn.benchmark.profiling import profile
from tinygrad_cnn.benchmark.roofline import Roofline
from tinygrad_cnn.graph import draw, memory, summary, walk
from tinygrad_cnn.graph.measuring import measure
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.ops import Op, registry
from tinygrad_cnn.ops.activation import Gate
from tinygrad_cnn.ops.base import Elementwise
from tinygrad_cnn.ops.linear import Linear, Matmul, transposed
from tinygrad_cnn.ops.reduction import Sum
from tinygrad_cnn.ops.selection import Abs, distance, side
from tinygrad_cnn.verify import explain, lint, verify

BEFORE = dict(registry), list(cases.CASES)

# ------------------------------------------------------------- 1. the classes


@dataclass(frozen=True)
class SoftThreshold(Elementwise):
    """y = x − size where x > size, x + size where x < −size, else 0.

    ∂L/∂x = g where y ≠ 0, else 0.
    """

    size: float = 0.5

    def forward(self, x):
        return np.sign(x) * np.maximum(np.abs(x) - self.size, 0)

    def grad_x(self, g, y):
        return Gate()(g, Abs()(y))  # operations only, so that a plan can follow

    def branch(self, x):
        return side(x, -self.size, self.size)

    def margin(self, x):
        return distance(x, -self.size, self.size)

    def alive(self, y):
        return y != 0


@dataclass(frozen=True)
class Score(Op):
    """y[n,o] = Σ_i x[n,i] · w[i,o] − b[o].

    ∂L/∂x[n,i] = Σ_o g[n,o] · w[i,o];   ∂L/∂w[i,o] = Σ_n x[n,i] · g[n,o];
    ∂L/∂b[o] = −Σ_n g[n,o].
    """

    bilinear = True
    adds = ("b",)

    def forward(self, x, w, b):
        return x @ w - b

    def grad_x(self, g, w):
        return Matmul()(g, transposed(w))

    def grad_w(self, g, x):
        return Matmul()(transposed(x), g)

    def grad_b(self, g):
        return -Sum((0,))(g)

    def multiply_adds(self, shapes, y_shape):
        return y_shape[0] * y_shape[1] * shapes[0][1]


class Silent(Op):
    def forward(self, x):
        return x * x

    def grad_x(self, g, x):
        return g * (2 * x)


# --------------------------------------------------------------- 2. the cases

cases.unary(
    SoftThreshold,
    lambda x: x - 0.5 if x > 0.5 else x + 0.5 if x < -0.5 else 0.0,
    kinks=(-0.5, 0.5),
)


@cases.case(Score, "x w b")
def _(d):
    n, i, o = d.batch(), d.int(1, 3), d.int(1, 3)
    inputs = d.values((n, i)), d.values((i, o)), d.values((o,))
    return Score(), inputs, lambda x, w, b: np.einsum("ni,io->no", x, w) - b


CASES = cases.CASES[len(BEFORE[1]) :]
OPERATIONS = {op.__name__: op for op in (SoftThreshold, Score, Silent)}

# What is defined here is no operation of the package: other tests must not see it.
registry.clear()
registry.update(BEFORE[0])
cases.CASES[:] = BEFORE[1]


@pytest.fixture(autouse=True)
def defined():
    registry.update(OPERATIONS)
    yield
    for name in OPERATIONS:
        del registry[name]


# ------------------------------------------------------------ 3. the functions


def soft_threshold(input, size=0.5):
    return SoftThreshold(size)(input)


def score(input, weight, bias):
    return Score()(input, weight, bias)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4))
        self.bias = nn.Parameter(torch.randn(4))
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(soft_threshold(score(x, self.weight, self.bias)))


@pytest.fixture
def net():
    torch.manual_seed(2)
    return Net(), torch.randn(5, 6), tensor([0, 2, 1, 1, 0])


# --------------------------------------------------------------- what follows


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_of_both_orders(case, for_drawn):
    @for_drawn(6)
    def _(d):
        example = case.draw(d)
        g, inputs = example.cotangent(), example.differentiated()
        np.testing.assert_allclose(example.result(), example.expected(), atol=1e-12)
        slopes = oracles.partial_derivatives(
            lambda *xs: [example.with_differentiated(xs).result()], inputs, [g], d.rng
        )
        for found, (at, slope) in zip(example.gradients(g), slopes, strict=True):
            np.testing.assert_allclose(found.flat[at], slope, rtol=1e-6, atol=1e-9)

    x, w, b = (torch.randn(*s, dtype=np.float64) for s in ((2, 3), (3, 4), (4,)))
    assert verify(lambda x, w, b: soft_threshold(score(x, w, b)), (x, w, b), order=2)


def test_the_verifier_passes_it_and_skips_its_kinks():
    x = tensor(np.array([0.5, -0.5, 1.0, -2.0, 0.1]))
    report = verify(SoftThreshold(), x)
    assert report
    assert report.tensors[0].kinks
    assert verify(Silent(), x, order=2)


def test_a_mistake_in_its_rule_is_found_and_named():
    class Mistaken(SoftThreshold, register=False):
        def grad_x(self, g):
            return g

    report = verify(Mistaken(), tensor(np.array([0.1, 2.0, -0.2])))
    assert not report
    assert Mistaken(0.5) == Mistaken()


def test_the_drawing_shows_its_formulas_and_how_much_is_alive(net):
    model, x, labels = net
    graph = draw(model, x, labels=labels, show=["formula", "branches"]).graph
    shown = {node.label: node for node in graph}
    assert shown["Score"].formula == "y[n,o] = Σ_i x[n,i] · w[i,o] − b[o]"
    assert shown["Score"].gradients["b"] == "∂L/∂b[o] = −Σ_n g[n,o]"
    hidden = score(x, model.weight, model.bias).detach().numpy()
    alive = shown["SoftThreshold"].branches
    assert (alive.what, alive.total) == ("alive", 20)
    assert alive.count == sum(abs(value) > 0.5 for value in hidden.flat)


def test_its_multiply_adds_are_counted(net):
    model, x, labels = net
    rows = summary(model, x, labels=labels).rows
    assert rows[0].macs == 5 * 6 * 4 + 5 * 4 * 3
    graph = walk(model(x))
    assert {node.label for node in graph.operations()} >= {"Score", "SoftThreshold"}


def test_explain_names_the_entries_that_it_multiplies(net):
    model, x, labels = net
    loss = F.cross_entropy(model(x), labels)
    explanation = explain(loss, "weight", (4, 1), model=model)
    loss.backward()
    assert explanation.total == pytest.approx(model.weight.grad[4, 1].item(), rel=1e-4)
    assert {term.factor for term in explanation.terms} == {
        f"x[{n}, 4]" for n in range(5)
    }
    hidden = explanation.terms[0].explain()
    assert hidden.terms[0].note.startswith("x = ")
    assert "∂L/∂x = g where y ≠ 0, else 0" in str(hidden)


def test_lint_knows_what_it_says_of_itself():
    torch.manual_seed(0)
    model = Net()
    x, labels = torch.randn(8, 6), tensor([0, 1, 2, 0, 1, 2, 0, 1])
    assert not lint(model, x, labels)
    loss = F.cross_entropy(Probabilities()(model(x)), labels)
    (found,) = lint(loss)
    assert found.code == "softmax-before-cross-entropy"
    assert "the result of a probabilities" in found.found
    normal = F.batch_norm(score(x, model.weight, model.bias), None, None, training=True)
    assert [f.code for f in lint(normal.sum())] == ["bias-before-batch-norm"]


class Probabilities(Elementwise, register=False):
    gives = "probabilities"

    def forward(self, x):
        return np.exp(x) / (1 + np.exp(x))

    def grad_x(self, g, y):
        return g * (y * (1 - y))


def test_a_step_with_it_is_planned(net):
    model, x, labels = net
    step = planned(model, F.cross_entropy)
    step(x, labels)
    _, output = step(x, labels)
    assert step.why is None
    np.testing.assert_allclose(output.numpy(), model(x).detach().numpy(), rtol=1e-5)
    found = {name: np.array(p.grad.numpy()) for name, p in model.named_parameters()}
    model.zero_grad()
    F.cross_entropy(model(x), labels).backward()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(found[name], p.grad.numpy(), rtol=1e-4, atol=1e-6)


class Mid(nn.Module):
    """A product by an operation that is done by a function of NumPy."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        return Copysign()(self.inner(x), x)


class Copysign(Elementwise, register=False):
    ufunc = np.copysign

    def forward(self, a, b):
        return np.copysign(a, b)


class Larger(Linear, register=False):
    """Another forward: what the class it derives from says of plans is not true of it."""

    def forward(self, x, w, b):
        return 2 * super().forward(x, w, b)


def test_a_plan_uses_the_functions_that_it_says_and_no_others():
    torch.manual_seed(1)
    model, x = Mid(), torch.randn(4, 6)
    predict = planned(model)
    predict(x)
    np.testing.assert_array_equal(predict(-x).numpy(), model(-x).detach().numpy())
    assert predict.why is None
    assert (Larger.compiled, Larger.ufunc, Larger.floor) == ("", None, None)
    assert Larger.bilinear


def test_every_view_of_a_model_calls_it_by_its_name(net):
    model, x, labels = net
    graph = walk(F.cross_entropy(model(x), labels), {"": model})
    assert "SoftThreshold" in json.dumps(graph.to_json())
    measured = measure_of(model, x, labels)
    rows = {row.name for row in profile(measured, 1.0, Roofline(1e9, 1e9, 1)).rows}
    assert {"Score", "SoftThreshold"} <= rows
    moments = memory(model, x, labels=labels)
    assert "SoftThreshold" in str(moments.to_dict())


def measure_of(model, x, labels):
    from tinygrad_cnn.graph.walker import Walk

    loss = F.cross_entropy(model(x), labels)
    return measure(Walk(loss), ["time", "macs", "saved"], repeats=1)


def test_its_derivation_is_a_section_of_the_site():
    text = generate.section("Score")
    assert r"\frac{\partial L}{\partial b_{o}} = - \sum_{n} g_{n,o}" in text
    assert "SoftThreshold(size=0.5)(x)" in generate.section("SoftThreshold")


# ------------------------------------------- the name for users of a known operation


def test_a_transposed_convolution_is_called_so_everywhere():
    torch.manual_seed(0)
    model = nn.ConvTranspose2d(2, 3, 3, stride=2)
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    y = model(x)
    loss = (y * y).sum()
    labels = {node.label for node in walk(loss)}
    assert "ConvTranspose2d" in labels
    assert "Conv2dInput" not in labels
    assert "as w of ConvTranspose2d" in str(explain(loss, model.weight, (0, 0, 0, 0)))
    assert "ConvTranspose2d" in str(summary(model, x, loss=lambda y: y.sum()))
    backward = draw(F.conv2d(x, torch.randn(3, 2, 3, 3)).sum(), mode="backward")
    assert "Conv2dInput" in {node.label for node in backward.graph}
