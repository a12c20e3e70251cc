"""`explain`: one number of a gradient as the sum of its terms, each term being true."""

import json
import math
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import oracles
import pytest
from cases import CASES, leaf_on
from each import for_each

import tinygrad_cnn
from tinygrad_cnn import Tensor, errors, nn, tensor
from tinygrad_cnn.kernels import Window
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.ops import Op
from tinygrad_cnn.training.model_file import load_class
from tinygrad_cnn.verify import explain

MODELS = Path(__file__).parents[2] / "models"


def rng():
    return np.random.default_rng(7)


def assert_adds_up(explanation, expected):
    """The terms sum to the value, and the value is the expected one."""
    terms = [term.g * term.local for term in explanation.terms]
    room = 1e-12 * (math.fsum(map(abs, terms)) + 1e-300)
    assert explanation.total == pytest.approx(math.fsum(terms), rel=0, abs=room)
    assert explanation.value == pytest.approx(math.fsum(terms), rel=0, abs=room)
    assert explanation.value == pytest.approx(expected, rel=1e-12, abs=1e-14)
    sizes = [[abs(term.product) for term in use.terms] for use in explanation.uses]
    assert sizes == [sorted(found, reverse=True) for found in sizes]


# --------------------------------- convolution, ReLU, max pooling, dense, log-softmax

LAYOUTS = {
    "plain": Window((3, 3)),
    "stride": Window((3, 2), stride=(2, 1)),
    "padding": Window((3, 3), padding=(1, 2)),
    "dilation": Window((2, 2), dilation=(2, 3)),
    "all": Window((3, 2), (2, 1), (2, 1), (1, 2)),
}
POOL = Window((3, 2), (2, 2), (1, 1), (1, 2))
"""Its windows overlap and, with ceil_mode, overhang."""


class Net:
    """Two images through a small net: its Tensors, and their gradients by plain loops."""

    def __init__(self, window, groups=1, dtype=np.float64):
        self.window, self.groups = window, groups
        draw = rng()
        x = draw.normal(size=(2, 4, 7, 8)) * (draw.random((2, 4, 7, 8)) < 0.7)
        w = draw.normal(size=(4, 4 // groups, *window.kernel))
        size = oracles.positions(x.shape[2:], window)
        features = 4 * math.prod(oracles.positions(size, POOL, True))
        self.arrays = {
            "x": x,
            "w": w,
            "b": draw.normal(size=4),
            "v": draw.normal(size=(3, features)) / 50,
            "c": draw.normal(size=3),
        }
        self.arrays = {k: a.astype(dtype) for k, a in self.arrays.items()}
        self.label = np.array([2, 0])
        self.tensors = {
            k: tensor(a, requires_grad=True) for k, a in self.arrays.items()
        }
        self.loss = self._loss(F, self.tensors, tensor(self.label))

    def _loss(self, F, note, label):
        x, w, b, v, c = note.values()
        _, stride, padding, dilation = vars(self.window).values()
        note["z"] = F.conv2d(x, w, b, stride, padding, dilation, self.groups)
        note["a"] = F.relu(note["z"])
        note["p"] = F.max_pool2d(note["a"], *vars(POOL).values(), True)
        note["s"] = F.linear(note["p"].flatten(1), v, c)
        note["l"] = F.log_softmax(note["s"], 1)
        return F.nll_loss(note["l"], label)

    def gradients_by_loops(self):
        x, w, b, v, c = self.arrays.values()
        z = oracles.conv2d(x, w, b, self.window, self.groups)
        a = np.maximum(z, 0)
        p, tap = oracles.max_pool2d(a, POOL, True)
        f = p.reshape(2, -1)
        s = f @ v.T + c
        ones = np.eye(3)[self.label]
        ds = (oracles.softmax(s, 1) - ones) / 2
        dp = (ds @ v).reshape(p.shape)
        da = oracles.max_pool2d_put(dp, tap, a.shape[2:], POOL)
        dz = da * (z > 0)
        dx = oracles.conv2d_input(dz, w, None, x.shape[2:], self.window, self.groups)
        dw = oracles.conv2d_weight(x, dz, self.window, self.groups)
        found = {"x": dx, "w": dw, "b": dz.sum((0, 2, 3)), "v": ds.T @ f}
        return found | {
            "c": ds.sum(0),
            "z": dz,
            "a": da,
            "p": dp,
            "s": ds,
            "l": -ones / 2,
        }

    def gradients_by_torch(self):
        leaves = {k: torch().tensor(a).requires_grad_() for k, a in self.arrays.items()}
        label = torch().tensor(self.label)
        loss = self._loss(torch().nn.functional, leaves, label)
        found = torch().autograd.grad(loss, list(leaves.values()))
        return {k: g.numpy() for k, g in zip(leaves, found, strict=True)}

    def explain(self, name, index, **options):
        return explain(self.loss, self.tensors[name], index, **options)

    def windows_over(self, window, h, w, size, ceil_mode=False):
        """(i, j), (u, v) of each window and tap that lies on the pixel, by trying all."""
        counts = oracles.positions(size, window, ceil_mode)
        for i, j, u, v in product(*map(range, (*counts, *window.kernel))):
            if self.pixel(window, (i, j), (u, v)) == (h, w):
                yield (i, j), (u, v)

    @staticmethod
    def pixel(window, at, tap):
        axes = zip(at, tap, *list(vars(window).values())[1:], strict=True)
        return tuple(s * i + d * u - p for i, u, s, p, d in axes)


def torch():
    return pytest.importorskip("torch")


def some(shape, most=6):
    """The first index of an array, the last, and some others."""
    size = math.prod(shape)
    chosen = {0, size - 1, *rng().integers(0, size, most).tolist()}
    return [tuple(map(int, np.unravel_index(k, shape))) for k in sorted(chosen)]


every_layout = for_each("layout", LAYOUTS)
both_groups = for_each("groups", [1, 2])


@both_groups
@every_layout
@for_each("oracle", ["loops", "torch"])
def test_the_terms_add_up_to_the_gradient(oracle, layout, groups):
    net = Net(LAYOUTS[layout], groups)
    expected = getattr(net, f"gradients_by_{oracle}")()
    for name, g in expected.items():
        for index in some(g.shape):
            assert_adds_up(net.explain(name, index), g[index])


@both_groups
@every_layout
def test_a_kernel_weight_met_one_pixel_for_each_output(layout, groups):
    net = Net(LAYOUTS[layout], groups)
    x, dz = net.arrays["x"], net.gradients_by_loops()["z"]
    for o, c, u, v in some(net.arrays["w"].shape):
        expected = {}
        for n, i, j in np.ndindex(2, *dz.shape[2:]):
            h, w = net.pixel(net.window, (i, j), (u, v))
            if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
                first = o // (4 // groups) * (4 // groups)
                expected[n, o, i, j] = "x", (n, first + c, h, w)
        terms = net.explain("w", (o, c, u, v)).terms
        assert {term.position: term.operand for term in terms} == expected
        for term in terms:
            assert term.local == x[term.operand.position]
            assert term.factor == f"x{list(term.operand.position)}"
            assert term.g == pytest.approx(dz[term.position], rel=1e-12, abs=1e-16)


@both_groups
@every_layout
def test_an_input_pixel_met_one_weight_for_each_window_over_it(layout, groups):
    net = Net(LAYOUTS[layout], groups)
    x, kernels = net.arrays["x"], net.arrays["w"]
    per_group = 4 // groups
    for n, c, h, w in some(x.shape):
        expected = {}
        for (i, j), tap in net.windows_over(net.window, h, w, x.shape[2:]):
            for o in range(
                c // per_group * per_group, (c // per_group + 1) * per_group
            ):
                expected[n, o, i, j] = "w", (o, c % per_group, *tap)
        terms = net.explain("x", (n, c, h, w)).terms
        assert {term.position: term.operand for term in terms} == expected
        assert all(term.local == kernels[term.operand.position] for term in terms)


def test_a_convolution_bias_is_the_sum_of_g():
    net = Net(LAYOUTS["all"])
    dz = net.gradients_by_loops()["z"]
    terms = net.explain("b", 2).terms
    assert {term.local for term in terms} == {1.0}
    assert {term.position for term in terms} == {
        (n, 2, i, j) for n, i, j in np.ndindex(2, *dz.shape[2:])
    }


def test_a_pooled_pixel_won_its_windows_or_is_told_who_beat_it():
    net = Net(LAYOUTS["plain"])
    a = net.tensors["a"].detach().numpy()
    fates = set()
    for n, c, h, w in np.ndindex(1, 2, *a.shape[2:]):
        at = {}
        for place, tap in net.windows_over(POOL, h, w, a.shape[2:], True):
            at[n, c, *place] = tap
        terms = net.explain("a", (n, c, h, w)).terms
        assert {term.position for term in terms} == set(at)
        for term in terms:
            tap = at[term.position]
            inside = [
                (*term.position[:2], *net.pixel(POOL, term.position[2:], t))
                for t in np.ndindex(POOL.kernel)
            ]
            inside = [k for k in inside if 0 <= k[2] < a.shape[2]]
            inside = [k for k in inside if 0 <= k[3] < a.shape[3]]
            best = max(inside, key=lambda k: a[k])  # the first one, where several are
            assert f"tap {tap}" in term.note
            if best == (n, c, h, w):
                assert term.local == 1
                assert term.note.startswith("won")
            else:
                tie = a[best] == a[n, c, h, w]
                verb = "ties with the earlier" if tie else "lost to"
                assert term.local == 0
                assert term.note.endswith(f"{verb} x{list(best)} = {a[best]:.6g}")
            fates.add((term.local, "ties" in term.note))
    assert fates == {(1, False), (0, False), (0, True)}


def test_a_dense_weight_met_one_input_of_each_image():
    net = Net(LAYOUTS["plain"])
    f = net.tensors["p"].detach().numpy().reshape(2, -1)
    ds = net.gradients_by_loops()["s"]
    o, i = 1, int(np.argmax(f.min(0)))
    for term in net.explain("v", (o, i)).terms:
        n, unit = term.position
        assert unit == o
        assert term.operand == ("x", (n, i))
        assert term.local == f[n, i]
        assert term.g == pytest.approx(ds[n, o], rel=1e-12)
    assert net.explain("c", o).value == pytest.approx(ds[:, o].sum(), rel=1e-12)


def test_a_logit_is_p_less_one_at_the_label_over_the_images():
    net = Net(LAYOUTS["plain"])
    p = oracles.softmax(net.tensors["s"].detach().numpy(), 1)
    for n, k in np.ndindex(2, 3):
        explanation = net.explain("s", (n, k))
        at_label = k == net.label[n]
        assert explanation.value == pytest.approx((p[n, k] - at_label) / 2, rel=1e-12)
        first = explanation.terms[0]
        assert first.position == (n, net.label[n])
        assert first.factor == ("1 − " if at_label else "−") + f"p[{n}, {k}]"
        gap = f"(p[{n}, {k}] − 1)" if at_label else f"p[{n}, {k}]"
        remark = f"∂L/∂x = {gap} · 0.5 with p[{n}, {k}] = {p[n, k]:.6g}"
        assert str(explanation).splitlines()[-2].endswith(remark)


def test_relu_says_whether_the_value_passes():
    net = Net(LAYOUTS["plain"])
    z = net.tensors["z"].detach().numpy()
    for index in some(z.shape):
        (term,) = net.explain("z", index).terms
        fate = "passes" if z[index] > 0 else "is blocked"
        assert term.note.startswith(f"{fate}: x = {z[index]:.6g} ")
        assert term.local == (z[index] > 0)


# --------------------------------------------------------------------- any computation


@for_each("case", CASES, ids=str)
def test_the_terms_of_every_operation_add_up(case, for_drawn):
    """To the gradient, each local derivative being a slope of the naive result."""

    @for_drawn(8)
    def _(d):
        example = case.draw(d).with_inputs(lambda x: np.array(x, order="C"))
        leaves, y = example.recorded()
        g = example.cotangent()
        y.backward(leaf_on(g))
        for which, x in enumerate(leaves):
            if not x.numel():
                continue
            k = int(d.rng.integers(x.numel()))
            index = tuple(map(int, np.unravel_index(k, x.shape)))
            explanation = explain(y, x, index, gradient=leaf_on(g))
            assert_adds_up(explanation, x.grad.numpy()[index])
            found = np.zeros(y.shape)
            for term in explanation.terms:
                assert term.g == g[term.position]
                found[term.position] = term.local
            slopes = naive_slopes(example, which, k)
            np.testing.assert_allclose(found, slopes, rtol=1e-6, atol=1e-7)


def naive_slopes(example, which, k, step=1e-5):
    """∂(each value of the oracle's result)/∂(k-th value of an input), by differences."""
    results = []
    for h in (step, -step):
        arrays = [np.array(x) for x in example.differentiated()]
        arrays[which].reshape(-1)[k] += h
        results.append(np.asarray(example.with_differentiated(arrays).expected()))
    return (results[0] - results[1]) / (2 * step)


def test_a_value_used_several_times_has_the_terms_of_every_use():
    x = tensor([2.0, -3.0], requires_grad=True)
    loss = (x * x).sum() + (x * 4).exp().sum() + x[1]
    explanation = explain(loss, x, 1)
    assert [use.op.__class__.__name__ for use in explanation.uses] == [
        *("Mul", "Mul", "Mul", "Index")
    ]
    totals = [use.total for use in explanation.uses]
    np.testing.assert_allclose(totals, [-3, -3, 4 * math.exp(-12), 1], rtol=1e-6)
    assert "used 4 times" in str(explanation)
    assert explanation.terms[2].factor == "b"  # the number 4


def test_every_g_is_explained_by_the_next_level_up_to_the_loss():
    net = Net(LAYOUTS["all"])
    explanation, seen = net.explain("w", (1, 2, 0, 1)), []
    while explanation.terms:
        term = max(explanation.terms, key=lambda t: abs(t.product))
        seen.append(term.use.op.__class__.__name__)
        explanation = term.explain()
        assert explanation.value == term.g
        assert explanation.index == term.position
        assert explanation.origin.startswith(seen[-1])
    assert seen == [
        *("Conv2d", "ReLU", "MaxPool2d", "Reshape", "Linear", "LogSoftmax", "NLLLoss")
    ]
    assert (explanation.name, explanation.value) == ("L", 1)
    chain = list(net.explain("w", (1, 2, 0, 1)).chain(100))
    assert [type(e.origin) for e in chain] == [str] * 8


def test_a_used_up_graph_is_explained_and_the_number_is_that_in_grad():
    net = Net(LAYOUTS["plain"], dtype=np.float32)
    net.loss.backward()
    for name in "xwbvc":
        grad = net.tensors[name].grad.numpy().copy()
        for index in some(grad.shape):
            explanation = net.explain(name, index)
            assert explanation.value == grad[index]
            assert explanation.dtype == "float32"
            assert explanation.total == pytest.approx(grad[index], rel=1e-4, abs=1e-6)
        np.testing.assert_array_equal(net.tensors[name].grad.numpy(), grad)


def test_in_float64_the_numbers_of_a_float32_net_are_exact():
    net, exact = Net(LAYOUTS["plain"], dtype=np.float32), Net(LAYOUTS["plain"])
    exact.arrays = {k: a.astype(np.float64) for k, a in net.arrays.items()}
    for name, g in exact.gradients_by_loops().items():
        for index in some(g.shape, 2):
            explanation = net.explain(name, index, dtype=np.float64)
            assert explanation.dtype == "float64"
            assert_adds_up(explanation, g[index])


def test_a_result_of_several_values_takes_a_gradient_as_backward_does():
    x = tensor([1.0, 2.0], requires_grad=True)
    weight = tensor([3.0, 5.0])
    explanation = explain(x * x, x, 1, gradient=weight)
    assert explanation.value == 20
    assert explanation.terms[0].explain().value == 5


class SquareOnArrays(Op, register=False):
    """y = x², with a gradient that cannot itself be differentiated."""

    def forward(self, x):
        return x * x

    def grad_x(self, g, x):
        if isinstance(g, Tensor):
            raise errors.AutogradError("not of Tensors")
        return 2 * g * x


def test_a_rule_that_has_no_gradient_itself_is_explained_all_the_same():
    x = tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    weight = tensor([[2.0, 3.0], [5.0, 7.0]])
    (term,) = explain(SquareOnArrays()(x), x, (1, 0), gradient=weight).terms
    assert (term.position, term.g, term.local) == ((1, 0), 5, 6)


def test_grad_mode_makes_no_difference():
    x = tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    with tinygrad_cnn.no_grad():
        assert explain(loss, x, -1).value == 4
        assert explain(loss, x, -1).index == (1,)


def test_an_input_under_no_window_has_no_terms():
    x = tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    loss = F.conv2d(x, tensor(np.ones((1, 1, 2, 2))), stride=3).sum()
    explanation = explain(loss, x, (0, 0, 2, 2))
    assert (explanation.value, explanation.total, explanation.terms) == (0, 0, [])
    assert "no value of the result depends on it" in str(explanation)


def test_terms_that_are_0_because_g_is_are_only_counted():
    x = tensor(np.ones((2, 3)), requires_grad=True)
    w = tensor(np.ones((4, 3)), requires_grad=True)
    loss = F.linear(x, w)[0, 1]
    explanation = explain(loss, x, (0, 2))
    assert (len(explanation.terms), explanation.value) == (4, 1)
    assert "3 terms more (3 of them 0 because g is 0)" in str(explanation)
    blank = str(explain(loss, w, (0, 0)))
    assert "2 terms more (2 of them 0 because g is 0), summing to 0" in blank
    assert "∂y/∂w" not in blank


def test_infinite_and_undefined_numbers_are_shown_without_a_warning():
    x = tensor([0.0, -1.0], requires_grad=True)
    explanation = explain(x.sqrt().sum(), x, 0)
    assert explanation.total == explanation.value == math.inf
    assert "inf" in str(explanation)
    assert math.isnan(explain(x.sqrt().sum(), x, 1).total)


# ------------------------------------------------------------------------------ LeNet-5


@pytest.fixture(scope="module")
def lenet():
    model_class = load_class(str(MODELS / "lenet5.py"))
    tinygrad_cnn.manual_seed(0)
    model = model_class().to(np.float64)
    x = tensor(rng().uniform(-1, 1, (2, 1, 32, 32)), requires_grad=True)
    loss = F.nll_loss(model(x), tensor([3, 8]))
    loss.backward()
    return SimpleNamespace(model=model, x=x, loss=loss)


def test_lenet_parameters_are_explained_by_name(lenet):
    for name, parameter in lenet.model.named_parameters():
        for index in some(parameter.shape, 1):
            explanation = explain(lenet.loss, name, index, model=lenet.model)
            assert explanation.name == name
            assert_adds_up(explanation, parameter.grad.numpy()[index])


def test_an_operation_is_found_in_its_module_and_on_its_line(lenet):
    explanation = explain(lenet.loss, "conv1.weight", (1, 0, 2, 2), model=lenet.model)
    (use,) = explanation.uses
    lines = (MODELS / "lenet5.py").read_text().splitlines()
    path, _, line = str(use.record.where).rpartition(":")
    assert Path(path) == MODELS / "lenet5.py"
    assert "self.conv1(x)" in lines[int(line) - 1]
    assert use.record.module == "conv1"
    assert len(explanation.terms) == 2 * 28 * 28


# -------------------------------------------------------------------- text and JSON


def test_the_text_has_the_largest_terms_the_rest_and_the_sum(lenet):
    explanation = explain(lenet.loss, "conv1.weight", (1, 0, 2, 2), model=lenet.model)
    lines = explanation.text(terms=3).splitlines()
    assert lines[0] == f"∂L/∂conv1.weight[1, 0, 2, 2] = {explanation.value}"
    assert lines[2].startswith("as w of Conv2d in conv1 at ")
    assert lines[4] == (
        "   ∂L/∂w[o,c,u,v] = Σ_{n,i,j} g[n,o,i,j] · x[n, c, s i + d u − p, s j + d v − p]"
    )
    assert lines[6].split() == ["result", "g", "∂y/∂w", "g", "·", "∂y/∂w"]
    for i, term in enumerate(explanation.terms[:3]):
        row = f"{i}: y{list(term.position)} {term.g:.6g} {term.factor} = "
        row += f"{term.local:.6g} {term.product:.6g}"
        assert lines[7 + i].split() == row.split()
    rest = explanation.terms[3:]
    zero = sum(term.product == 0 for term in rest)
    total = sum(term.product for term in rest)
    assert lines[10] == (
        f"{len(rest)} terms more ({zero} of them 0 because g is 0), "
        f"summing to {total:.6g}"
    )
    assert lines[11] == f"sum of {len(rest) + 3} terms: {explanation.total}"
    assert lines[12].startswith(
        f"the engine computed {explanation.value}, which differs"
    )
    assert len(lines) == 13
    assert str(explanation) == repr(explanation) == explanation.text(10)


def test_the_json_has_everything(lenet):
    explanation = explain(lenet.loss, lenet.x, (1, 0, 9, 9))
    found = json.loads(json.dumps(explanation.to_dict(terms=4)))
    (use,) = found["uses"]
    assert (found["name"], found["index"]) == ("x", [1, 0, 9, 9])
    assert (found["value"], found["total"]) == (explanation.value, explanation.total)
    assert use["module"] == "conv1"
    assert [t["product"] for t in use["terms"]] == [
        term.product for term in explanation.terms[:4]
    ]
    assert use["further"]["count"] == len(explanation.terms) - 4 == 6 * 25 - 4
    shown = sum(t["product"] for t in use["terms"])
    assert shown + use["further"]["sum"] == pytest.approx(found["value"], rel=1e-12)


# ----------------------------------------------------------------------------- refusals


def test_what_cannot_be_explained_is_refused_in_a_sentence():
    model = nn.Linear(3, 2)
    x = tensor(np.ones((1, 3), np.float32))
    other = tensor([1.0], requires_grad=True)
    loss = model(x).sum()
    refusals = {
        (errors.IndexingError, "shape [2, 3]"): ("weight", (0, 3)),
        (errors.IndexingError, "an integer for each axis"): ("weight", 1),
        (errors.IndexingError, "slice(0, 1, None)"): ("weight", (0, slice(0, 1))),
        (errors.IndexingError, "True"): ("weight", (True, 1)),
        (errors.ModuleError, "weight, bias"): ("wieght", (0, 1)),
        (errors.DTypeError, "only floats"): (tensor([1]), 0),
        (errors.DTypeError, "got list"): ([1.0], 0),
        (errors.AutogradError, "requires_grad_()"): (x, (0, 0)),
        (errors.AutogradError, "does not depend"): (other, 0),
    }
    for (kind, words), (target, index) in refusals.items():
        with pytest.raises(kind) as refused:
            explain(loss, target, index, model=model)
        assert words in str(refused.value)
    with pytest.raises(errors.ModuleError, match="give the model"):
        explain(loss, "weight", (0, 0))
    with pytest.raises(errors.DTypeError, match="floating dtype"):
        explain(loss, model.weight, (0, 0), dtype=np.int64)
    with pytest.raises(errors.DTypeError, match="must be a Tensor, got float"):
        explain(loss.item(), model.weight, (0, 0))
    with pytest.raises(errors.AutogradError, match="only for scalar outputs"):
        explain(model(x), model.weight, (0, 0))
    with pytest.raises(errors.AutogradError, match="does not require grad"):
        explain(x.sum(), model.weight, (0, 0))


def test_parameters_that_have_moved_since_are_noticed():
    model = nn.Linear(3, 2)
    loss = model(tensor(np.ones((1, 3), np.float32))).sum()
    loss.backward()
    tinygrad_cnn.optim.SGD(model.parameters(), lr=0.01).step()
    with pytest.raises(errors.MutationError, match="compute the loss again"):
        explain(loss, "weight", (0, 0), model=model)
