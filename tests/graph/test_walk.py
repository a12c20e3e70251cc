"""`walk`: the graph behind Tensors, as data."""

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cases import leaf

from tinygrad_cnn import Tensor, autograd, cat, errors, nn, no_grad, tensor
from tinygrad_cnn.graph.data import Graph
from tinygrad_cnn.graph.walker import walk
from tinygrad_cnn.nn import functional as F


def described(graph):
    """Each node as its kind, its label, and the labels of its inputs by name."""
    found = {node.id: [] for node in graph}
    for edge in graph.edges:
        found[edge.target].append(f"{edge.input}={graph.nodes[edge.source].label}")
    return [(n.kind, n.label, ", ".join(found[n.id])) for n in graph]


def edges_by_next_functions(*outputs):
    """(operation, input position, operation or "leaf") along `next_functions`."""
    stack, seen, found = [t.grad_fn for t in outputs], set(), []
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen or isinstance(node, Tensor):
            continue
        seen.add(id(node))
        for i, (parent, _) in enumerate(node.next_functions):
            if parent is not None:
                leaf = isinstance(parent, Tensor)
                found.append((node.name(), i, "leaf" if leaf else parent.name()))
                stack.append(parent)
    return sorted(found)


def edges_of(graph):
    kinds = {n.id: n.label if n.kind == "operation" else "leaf" for n in graph}
    inputs = {n.id: n.inputs for n in graph}
    return sorted(
        (kinds[e.target], inputs[e.target].index(e.input), kinds[e.source])
        for e in graph.edges
        if graph.nodes[e.source].kind != "constant"
    )


def test_operations_and_leaves_inputs_first():
    a, b = leaf(1, 2), leaf(3, 4)
    graph = walk((a * b).exp().sum(), {"a": a, "b": b})
    assert described(graph) == [
        ("input", "a", ""),
        ("input", "b", ""),
        ("operation", "Mul", "a=a, b=b"),
        ("operation", "Exp", "a=Mul"),
        ("operation", "Sum", "x=Exp"),
    ]
    assert [graph.nodes[id].label for id in graph.outputs] == ["Sum"]


def test_a_node_tells_what_the_operation_was():
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    graph = walk(x.softmax(dim=1))
    node = graph.operations()[0]
    assert (node.label, node.shape, node.dtype, node.bytes) == (
        *("Softmax", (2, 3), "float32"),
        2 * 3 * 4,
    )
    assert (node.inputs, node.input_shapes) == (["x"], [(2, 3)])
    assert node.attributes == {"axis": "1"}
    assert list(node.gradients) == ["x"]
    assert node.where.startswith(__file__)


def test_a_node_tells_the_formulas():
    node = walk(leaf(1, 2) * leaf(3, 4)).operations()[0]
    assert node.formula == "y = a · b"
    assert node.gradients == {"a": "∂L/∂a = g · b", "b": "∂L/∂b = g · a"}
    assert node.documentation.startswith("y = a · b.")


def test_a_tensor_used_twice_is_one_node():
    x = leaf(1, 2)
    y = x.exp()
    graph = walk(y * y + x)
    assert described(graph) == [
        ("input", "input", ""),
        ("operation", "Exp", "a=input"),
        ("operation", "Mul", "a=Exp, b=Exp"),
        ("operation", "Add", "a=Mul, b=input"),
    ]


def test_constants_on_the_same_memory_are_one_node_parts_of_it_are_others():
    p, c = leaf(1, 2), tensor([[3.0, 4.0], [5.0, 6.0]])
    other = c.detach()
    graph = walk(p * c + p * other + p * c[0] + p * c[1])
    constants = [n for n in graph if n.kind == "constant"]
    assert [n.shape for n in constants] == [(2, 2), (2,), (2,)]


def test_numbers_are_attributes_unless_they_are_named():
    x, t = leaf(1, 2), tensor(0.5)
    graph = walk(x * 3.0 / t)
    assert described(graph) == [
        ("input", "input", ""),
        ("operation", "Mul", "a=input"),
        ("operation", "Div", "a=Mul"),
    ]
    assert [n.attributes for n in graph.operations()] == [{"b": "3.0"}, {"b": "0.5"}]
    assert ("input", "t", "") in described(walk(x / t, {"t": t}))


# ---------------------------------------------------------------------- what a value is


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.scale = nn.Parameter(tensor([2.0]))

    def forward(self, x):
        return self.norm(self.conv(x)) * self.scale


def kinds(graph):
    return {n.label: n.kind for n in graph if n.kind != "operation"}


def test_the_kinds_of_values():
    net, x, mask = Net().eval(), tensor(np.ones((1, 1, 4, 4), np.float32)), leaf(1, 2)
    net.conv.bias.requires_grad_(False)
    weight = tensor([1.0, 2.0])
    found = kinds(walk(net(x) * mask * weight, {"": net, "x": x, "mask": mask}))
    assert found == {
        "conv.weight": "parameter",
        "conv.bias": "parameter",  # frozen
        "norm.weight": "parameter",
        "norm.bias": "parameter",
        "norm.running_mean": "constant",
        "scale": "parameter",
        "x": "input",  # named
        "mask": "input",  # a leaf that is no parameter
        "norm.running_var": "constant",
        "b": "constant",  # weight, which has no name but the operation's
    }


def test_values_without_names():
    x, w = tensor(np.ones((1, 1, 4, 4))), nn.Parameter(tensor(np.ones((1, 1, 3, 3))))
    graph = walk(F.conv2d(x, w))
    assert kinds(graph) == {"x": "constant", "parameter": "parameter"}


def test_modules_name_parameters_and_say_where_they_belong():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    graph = walk(net(tensor([[1.0, 2.0]])), {"net": net})
    parameters = [n for n in graph if n.kind == "parameter"]
    assert {n.label: n.module for n in parameters} == {
        "net.0.weight": "0",
        "net.0.bias": "0",
        "net.2.weight": "2",
        "net.2.bias": "2",
    }
    assert [n.module for n in graph.operations()] == ["0", "1", "2"]


def test_a_view_of_a_named_tensor_says_so():
    x, layer = tensor(np.ones((2, 3, 4), np.float32)), nn.Linear(12, 1)
    graph = walk(layer(x.flatten(1)), {"x": x})
    assert kinds(graph)["view of x"] == "input"
    part, rest = x[:1], x[1:]
    assert kinds(walk(layer(rest.flatten(1)), {"part": part})).get("x") == "constant"


def test_an_array_can_be_named():
    images = np.ones((1, 2), np.float32)
    graph = walk(nn.Linear(2, 1)(Tensor(images)), {"images": images})
    assert kinds(graph)["images"] == "input"


def test_a_result_can_be_named():
    x = leaf(1, 2)
    hidden = x.exp()
    loss = hidden.sum()
    graph = walk(loss, {"hidden": hidden, "loss": loss})
    assert [n.name for n in graph.operations()] == ["hidden", "loss"]


# ------------------------------------------------------------------------- what is given


@dataclass
class Output:
    scores: Any
    parts: dict


Pair = namedtuple("Pair", "first second")


def test_results_nested_as_you_like():
    x = leaf(1, 2)
    a, b, c, d = x.exp(), x.log(), x.sqrt(), x.tanh()
    nested = Output(scores=[a, (b, None)], parts={"c": Pair(c, 3), "again": a, "d": d})
    graph = walk(nested)
    assert [graph.nodes[id].label for id in graph.outputs] == [
        *("Exp", "Log", "Sqrt", "Tanh")
    ]
    assert len(graph) == 5


def test_results_without_a_graph():
    x = tensor([1.0])
    graph = walk([x.exp(), x], {"x": x})
    assert described(graph) == [("constant", "result", ""), ("input", "x", "")]
    p = leaf(1)
    assert described(walk(p, {"p": p})) == [("input", "p", "")]


@pytest.mark.parametrize("nothing", [None, [], {"a": 1}, nn.Linear(1, 1)])
def test_no_tensor_no_graph(nothing):
    with pytest.raises(errors.ArgumentError, match=type(nothing).__name__):
        walk(nothing)


# ---------------------------------------------------------------------- all that records


def test_a_graph_of_random_operations_has_the_edges_that_next_functions_has():
    draw = np.random.default_rng(3)
    for _ in range(20):
        tensors = [leaf(*draw.uniform(1, 2, 2)) for _ in range(3)] + [
            tensor([1.0, 2.0])
        ]
        for _ in range(30):
            a, b = (tensors[i] for i in draw.integers(len(tensors), size=2))
            tensors.append([a * b, a + b, a.tanh(), a / 2, a[:1] - b][draw.integers(5)])
        outputs = [t for t in tensors[-3:] if t.grad_fn is not None]
        assert edges_of(walk(outputs)) == edges_by_next_functions(*outputs)


def test_second_order_graphs():
    x = leaf(1, 2)
    (first,) = autograd.grad((x**3).sum(), x, create_graph=True)
    (second,) = autograd.grad(first.sum(), x, create_graph=True)
    assert edges_of(walk([first, second])) == edges_by_next_functions(first, second)


def test_a_used_up_graph_and_one_changed_in_place():
    x = leaf(1, 2)
    y = x * 2
    y += 1
    loss = (y * y).sum()
    before = described(walk(loss))
    loss.backward()
    assert described(walk(loss)) == before
    assert [label for _, label, _ in before] == ["input", "Mul", "Add", "Mul", "Sum"]


def test_a_function_of_the_users():
    class Twice(autograd.Function):
        @staticmethod
        def forward(ctx, x, times):
            return x * times

        @staticmethod
        def backward(ctx, g):
            return g * 2, None

    x = leaf(1, 2)
    graph = walk(Twice.apply(x, 2), {"x": x})
    assert described(graph) == [("input", "x", ""), ("operation", "Twice", "x=x")]


def test_what_was_not_recorded_is_not_there():
    x = leaf(1, 2)
    with no_grad():
        y = x.exp()
    assert described(walk((x * y).sum())) == [
        ("input", "input", ""),
        ("constant", "b", ""),
        ("operation", "Mul", "a=input, b=b"),
        ("operation", "Sum", "x=Mul"),
    ]


def test_the_inputs_of_an_operation_that_takes_any_number():
    a, b = leaf(1), leaf(2, 3)
    node = walk(cat([a, b, tensor([4.0])])).operations()[0]
    assert node.inputs == ["xs[0]", "xs[1]", "xs[2]"]
    assert node.input_shapes == [(1,), (2,), (1,)]
    assert list(node.gradients) == ["xs[0]", "xs[1]"]


@pytest.mark.slow
def test_a_chain_of_a_hundred_thousand_operations():
    y = leaf(1.0)
    for _ in range(100_000):
        y = -y
    graph = walk(y)
    assert len(graph) == 100_001
    assert len(graph.edges) == 100_000


def test_json_and_back():
    net = Net()
    x = tensor(np.ones((2, 1, 4, 4), np.float32))
    graph = walk(net(x).sum(), {"": net, "x": x}, title="a net")
    assert Graph.from_json(graph.to_json()) == graph
