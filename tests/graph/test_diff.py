"""`diff`: what differs between graphs, models, checkpoints."""

import json
import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as torch
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import ArgumentError, CheckpointError
from tinygrad_cnn.graph import Graph, walk
from tinygrad_cnn.graph.comparing.alignment import longest_common_subsequence
from tinygrad_cnn.graph.comparing.difference import diff
from tinygrad_cnn.graph.drawing.drawing import draw

# --- alignment -------------------------------------------------------------------------


@given(st.text("abc", max_size=12), st.text("abcd", max_size=12))
def test_a_longest_common_subsequence_is_one_and_is_longest(a: str, b: str) -> None:
    @cache
    def longest(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        if a[i] == b[j]:
            return 1 + longest(i + 1, j + 1)
        return max(longest(i + 1, j), longest(i, j + 1))

    pairs = longest_common_subsequence(a, b)
    assert len(pairs) == longest(0, 0)
    assert all(a[i] == b[j] for i, j in pairs)
    assert pairs == sorted(pairs)
    assert all(len(set(side)) == len(pairs) for side in zip(*pairs, strict=True))


def test_thousands_of_operations_are_aligned() -> None:
    def chain(left_out: set[int]) -> Graph:
        y = torch.ones(2, requires_grad=True)
        for i in set(range(4000)) - left_out:
            y = y.relu() if i % 3 else y.sigmoid()
        return walk(y)

    found = diff(chain(set()), chain({7, 1000}))
    assert [d.kind for d in found.nodes] == ["removed", "removed"]
    assert [d.a.label for d in found.nodes] == ["ReLU", "ReLU"]


# --- structure -------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self, stride: int = 1, norm: bool = False, name: str = "conv") -> None:
        super().__init__()
        self.add_module(name, nn.Conv2d(1, 4, 3, stride=stride))
        self.norm = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.name = name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(getattr(self, self.name)(x))).sum()


X = torch.arange(72.0).reshape(2, 1, 6, 6)


def graph_of(model: nn.Module, *show: str) -> Graph:
    torch.manual_seed(0)
    return draw(model, X, show=show, names={}).graph


def lines(found: object) -> list[str]:
    return str(found).splitlines()


def test_equal_graphs_do_not_differ() -> None:
    found = diff(graph_of(Net()), graph_of(Net()))
    assert not found
    assert lines(found) == [
        "Net → Net: no difference of 6 and 6 nodes; no values to compare; "
        "no gradients to compare"
    ]


def test_what_is_new_is_added_and_the_rest_is_as_before() -> None:
    found = diff(graph_of(Net()), graph_of(Net(norm=True)))
    assert found
    assert lines(found)[2:] == [
        "+ norm.weight, 4 float32",
        "+ norm.bias, 4 float32",
        "+ norm.BatchNorm, 2×4×4×4 float32",
    ]
    back = diff(graph_of(Net(norm=True)), graph_of(Net()))
    assert [d.kind for d in back.nodes] == ["removed"] * 3


def test_changed_attributes_and_shapes_are_told() -> None:
    found = diff(graph_of(Net()), graph_of(Net(stride=2)))
    assert lines(found)[2:] == [
        "~ conv.Conv2d: attribute stride (1, 1) → (2, 2); shape 2×4×4×4 → 2×4×2×2",
        "~ ReLU: shape 2×4×4×4 → 2×4×2×2",
    ]


def test_an_operation_in_another_module_is_the_same_one_moved() -> None:
    found = diff(graph_of(Net()), graph_of(Net(name="first")))
    assert lines(found)[2:] == ["~ conv.Conv2d: module conv → first"]


def test_another_operation_in_the_same_place_is_removed_and_added() -> None:
    x = torch.ones(3, requires_grad=True)
    found = diff(x.relu().sum(), x.tanh().sum())
    assert lines(found)[2:] == ["− ReLU, 3 float32", "+ Tanh, 3 float32"]


def test_a_changed_dtype_is_told() -> None:
    x = torch.ones(3, requires_grad=True)
    y = torch.ones(3, dtype=torch.float64, requires_grad=True)
    found = diff(x.exp(), y.exp())
    assert [str(c) for d in found.nodes for c in d.changes] == [
        "dtype float32 → float64"
    ] * 2


def test_a_skip_connection_that_starts_elsewhere_is_a_change_of_input() -> None:
    def skip(early: bool) -> torch.Tensor:
        x = torch.ones(3, requires_grad=True)
        first = x.sigmoid()
        second = first.tanh()
        return second.exp() + (first if early else second)

    found = diff(skip(True), skip(False))
    assert lines(found)[2:] == ["~ Add: input b Sigmoid → Tanh"]


def test_another_result_of_the_same_graph_is_a_difference() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    z = y.tanh()
    found = diff(z, [z, y])
    assert lines(found)[2:] == ["~ Exp: result no → yes"]


def test_the_backward_pass_is_compared_as_well() -> None:
    def graph(frozen: bool) -> Graph:
        model = Net()
        model.conv.bias.requires_grad_(not frozen)
        return draw(model, X, mode="backward", names={}).graph

    found = diff(graph(False), graph(True))
    removed = [d.a for d in found.nodes if d.kind == "removed"]
    assert [(n.label, n.backward_input) for n in removed] == [
        ("Sum", "b"),
        ("∂L/∂conv.bias", None),
    ]
    assert not diff(graph(True), graph(True))


# --- what was measured -----------------------------------------------------------------


def test_statistics_are_compared_where_both_have_them() -> None:
    before, after = Net(), Net()
    after.load_state_dict(before.state_dict())
    after.conv.bias.data[...] = before.conv.bias + 1
    found = diff(graph_of(before, "values"), graph_of(after, "values"))
    (bias,) = [d for d in found.nodes if d.a.label == "conv.bias"]
    old, new = before.conv.bias.detach().numpy(), after.conv.bias.detach().numpy()
    whats = {c.what: (c.a, c.b) for c in bias.changes}
    for what, figure in {
        "min": np.min,
        "mean": np.mean,
        "norm": np.linalg.norm,
    }.items():
        assert whats[f"values {what}"] == pytest.approx((figure(old), figure(new)))
    assert bias.told == [f"values norm {whats['values norm'][0]:.3g} → "
                         f"{whats['values norm'][1]:.3g}"]  # fmt: skip
    assert not diff(graph_of(before, "values"), graph_of(after))


def test_a_gradient_that_does_not_arrive_is_told() -> None:
    model, frozen = Net(), Net()
    frozen.conv.weight.requires_grad_(False)
    found = diff(graph_of(model, "gradients"), graph_of(frozen, "gradients"))
    (weight,) = [d for d in found.nodes if d.a.label == "conv.weight"]
    assert "gradient computed true → false" in weight.told


def test_a_relu_that_died_is_told() -> None:
    def graph(bias: float) -> Graph:
        x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        return draw((x + bias).relu().sum(), show="branches", names={}).graph

    (found,) = [d for d in diff(graph(0.0), graph(-9.0)).nodes if d.a.label == "ReLU"]
    assert found.told == ["alive 3 → 0"]


def test_a_graph_read_back_from_json_is_the_same() -> None:
    model = Net()
    with torch.no_grad():
        model.conv.weight[0, 0, 0, 0] = float("nan")
    graph = graph_of(model, "values", "gradients", "branches")
    assert not diff(graph, Graph.from_json(graph.to_json()))


def test_figures_closer_than_rtol_of_the_largest_value_are_equal() -> None:
    before, after = Net(), Net()
    after.load_state_dict(before.state_dict())
    after.conv.weight.data[...] = before.conv.weight * (1 + 1e-5)
    assert diff(before, after, X)
    assert not diff(before, after, X, rtol=1e-3)


# --- parameters ------------------------------------------------------------------------


def test_two_models_without_an_input_are_compared_by_their_state() -> None:
    a, b = Net(), Net(norm=True)
    b.conv.load_state_dict(a.conv.state_dict())
    found = diff(a, b)
    assert {p.name: p.kind for p in found.parameters} == {
        "norm.weight": "added",
        "norm.bias": "added",
        "norm.running_mean": "added",
        "norm.running_var": "added",
        "norm.num_batches_tracked": "added",
    }


def test_differences_of_parameters_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    a = {"w": rng.normal(size=(3, 4)), "same": np.array([1.0, np.nan, np.inf])}
    b = {"w": a["w"].copy(), "same": a["same"].copy()}
    b["w"][0, :2] += [0.5, -2.0]
    (found,) = diff(a, b).parameters
    assert (found.name, found.count, found.size) == ("w", 2, 12)
    assert found.max_abs == pytest.approx(2.0)
    largest = max(np.abs(a["w"]).max(), np.abs(b["w"]).max())
    assert found.max_rel == pytest.approx(2.0 / largest)
    assert str(found).startswith("~ w: 2 of 12 differ, by up to 2 (")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (np.zeros(3), np.zeros(4), "~ w: float64[3] → float64[4]"),
        (np.zeros(1), np.zeros(1, np.float32), "~ w: float64[1] → float32[1]; 0 of 1"),
        (np.array([1.0]), np.array([np.nan]), "~ w: 1 of 1 differ, by up to inf"),
        (np.array([True]), np.array([False]), "~ w: 1 of 1 differ, by up to 1"),
        (np.zeros(0), np.ones((0, 2)), "~ w: float64[0] → float64[0, 2]"),
    ],
)
def test_parameters_of_other_shapes_and_dtypes_differ(old, new, text) -> None:
    (found,) = diff({"w": old}, {"w": new}).parameters
    assert str(found).startswith(text)


def test_checkpoints_are_compared_by_path(tmp_path) -> None:
    a, b = Net(), Net()
    for name, model in (("a", a), ("b", b)):
        content = {"model": model.state_dict(), "epoch": 1}
        torch.save(content, tmp_path / f"{name}.ckpt")
    assert not diff(tmp_path / "a.ckpt", str(tmp_path / "a.ckpt"))
    found = diff(tmp_path / "a.ckpt", tmp_path / "b.ckpt")
    expected = [
        np.abs((p - q).detach().numpy()).max()
        for p, q in zip(a.parameters(), b.parameters(), strict=True)
    ]
    assert [p.max_abs for p in found.parameters] == pytest.approx(expected)
    assert not diff(a, a)
    (tmp_path / "none").write_text("no checkpoint")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        diff(tmp_path / "a.ckpt", tmp_path / "none")


def test_a_model_with_an_input_leaves_no_trace() -> None:
    model = Net(norm=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    diff(model, Net(), X)
    assert not diff(before, model.state_dict())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (Net(), {}, "a model cannot be compared with a state dict"),
        (walk(X), X, "a graph cannot be compared with a result"),
        ({"w": 3}, {"w": 3}, "expected a state dict"),
        (3, 4, "there is no Tensor in this int"),
    ],
)
def test_what_cannot_be_compared_is_said(a, b, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        diff(a, b)


# --- the result ------------------------------------------------------------------------


def test_json_has_what_differs_with_null_for_what_is_not_finite() -> None:
    found = diff({"w": np.array([1.0, 0.0])}, {"w": np.array([np.inf, 0.0])})
    record = json.loads(found.to_json())
    assert record["differs"] is True
    (parameter,) = record["parameters"]
    assert parameter["kind"] == "changed"
    assert parameter["count"] == 1
    assert parameter["max_abs"] is None
    nodes = json.loads(diff(graph_of(Net()), graph_of(Net(2))).to_json())["nodes"]
    assert nodes[0]["a"]["label"] == nodes[0]["b"]["label"] == "Conv2d"
    assert nodes[0]["changes"][0] == {
        "what": "attribute stride",
        "a": "(1, 1)",
        "b": "(2, 2)",
    }


def test_long_lists_are_cut_in_the_text_alone() -> None:
    a = {f"w{i}": np.zeros(1) for i in range(50)}
    b = {f"w{i}": np.ones(1) for i in range(50)}
    found = diff(a, b)
    assert lines(found)[0] == "a → b: 50 changed of 50 parameters"
    assert lines(found)[-1] == "and 10 more"
    assert len(found.to_dict()["parameters"]) == 50


@pytest.mark.parametrize(
    ("title", "titles"),
    [("Net 2.0", ["Net", "Net 2·0"]), ("Net", ["Net (a)", "Net (b)"])],
)
def test_the_picture_has_both_side_by_side_and_says_what_differs(title, titles) -> None:
    a, b = graph_of(Net()), graph_of(Net(stride=2, norm=True))
    b.title = title
    found = diff(a, b)
    drawing = found.draw()
    outermost = [node.module.partition(".")[0] for node in drawing.graph]
    assert list(dict.fromkeys(outermost)) == titles
    assert len(drawing.graph) == len(a) + len(b)
    sides = [[d.a and f"a{d.a.id}", d.b and f"b{d.b.id}"] for d in found.nodes]
    assert set(drawing.reasons) == {id for pair in sides for id in pair if id}
    lines = re.findall(r"^\{rank=same; (a\w+); (b\w+)\}", drawing.dot, re.M)
    same = [[drawing.graph.nodes[id].label for id in pair] for pair in lines]
    assert same == [["Conv2d"] * 2, ["ReLU"] * 2, ["Sum"] * 2]
    told = {reason for reasons in drawing.reasons.values() for reason in reasons}
    assert "only here" in told
    assert "attribute stride (1, 1) → (2, 2)" in told


def test_there_is_no_picture_of_parameters_alone() -> None:
    with pytest.raises(ArgumentError, match="parameters alone"):
        diff({}, {}).draw()
