"""`with_backward`: the backward pass as a part of the graph."""

import numpy as np
import pytest
from cases import leaf

from tinygrad_cnn import autograd, errors, nn, tensor
from tinygrad_cnn.graph.backward import with_backward
from tinygrad_cnn.graph.walker import Walk, walk
from tinygrad_cnn.nn import functional as F


def differentiated(result, names=None, gradient=None):
    return with_backward(Walk(result, names), gradient)


def described(graph):
    """Each backward node: label, its inputs, and which forward node and input it serves."""
    name = {n.id: n.label for n in graph}
    inputs = {n.id: [] for n in graph}
    for edge in graph.edges:
        inputs[edge.target].append(name[edge.source])
    return [
        (n.label, inputs[n.id], n.backward_of and name[n.backward_of], n.backward_input)
        for n in graph
        if n.backward_of is not None or n.kind == "gradient"
    ]


def gradients(walked):
    """What the graph says ∂L/∂leaf is: computed again, by the operations in it."""
    values = {walked.ids[r]: t._array for r, t in walked.again().items()}
    values |= walked.arrays
    ends = {n.id: n for n in walked.graph if n.kind == "gradient" and n.backward_of}
    return {
        walked.graph.nodes[ends[edge.target].backward_of].label: values[edge.source]
        for edge in walked.graph.edges
        if edge.target in ends
    }


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.dense = nn.Linear(3 * 3 * 3, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        x = F.dropout(x.flatten(1), 0.3)
        return F.log_softmax(self.dense(x), 1)


def net_and_loss():
    draw = np.random.default_rng(1)
    net, x = Net(), tensor(draw.normal(size=(5, 1, 6, 6)).astype(np.float32))
    return net, F.nll_loss(net(x), tensor([0, 1, 2, 3, 0]))


# ------------------------------------------------------------------------ what is in it


def test_each_rule_belongs_to_its_operation_and_input():
    a, b = leaf(1, 2), leaf(3, 4)
    names = {"a": a, "b": b}
    assert described(differentiated((a * b).exp().sum(), names).graph) == [
        ("1", [], None, None),
        ("Reshape", ["1"], "Sum", "x"),
        ("Expand", ["Reshape"], "Sum", "x"),  # g, repeated
        ("Mul", ["Expand", "Exp"], "Exp", "a"),  # g · y: y is that of the forward pass
        ("Mul", ["Mul", "b"], "Mul", "a"),  # g · b
        ("Mul", ["Mul", "a"], "Mul", "b"),  # g · a
        ("∂L/∂a", ["Mul"], "a", None),
        ("∂L/∂b", ["Mul"], "b", None),
    ]


def test_gradients_of_several_uses_add_up_at_what_was_used():
    x = leaf(1, 2)
    y = x.exp()
    found = described(differentiated((y * y).sum(), {"x": x}).graph)
    assert [line for line in found if line[0] == "Add"] == [
        ("Add", ["Mul", "Mul"], "Exp", None)
    ]


def test_an_operation_that_hands_its_gradient_on_records_nothing():
    x, y = leaf(1), leaf(2)
    assert described(differentiated(x + y, {"x": x, "y": y}).graph) == [
        ("1", [], None, None),
        ("∂L/∂x", ["1"], "x", None),
        ("∂L/∂y", ["1"], "y", None),
    ]


def test_a_value_computed_again_for_its_gradient_belongs_to_the_operation():
    net, loss = net_and_loss()
    found = described(differentiated(loss, {"": net}).graph)
    means = [(of, name) for label, _, of, name in found if label == "Mean"]
    assert set(means) == {("BatchNorm", "x"), ("BatchNorm", "gamma")}


def test_a_function_of_the_users_is_asked_once_for_all_inputs():
    class Product(autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            return g * b, g * a

    a, b = leaf(1, 2), leaf(3, 4)
    graph = differentiated(Product.apply(a, b).sum(), {"a": a, "b": b}).graph
    assert described(graph)[3:5] == [
        ("Mul", ["Expand", "b"], "Product", "a"),
        ("Mul", ["Expand", "a"], "Product", "b"),
    ]


def test_backward_nodes_are_in_the_module_and_line_of_what_they_serve():
    net, loss = net_and_loss()
    graph = differentiated(loss, {"": net}).graph
    served = [(n, graph.nodes[n.backward_of]) for n in graph.backward_operations()]
    assert {n.module for n, _ in served} == {"conv", "norm", "dense", ""}
    assert [n.module for n, _ in served] == [forward.module for _, forward in served]
    assert [n.where for n, _ in served] == [forward.where for _, forward in served]


def test_the_forward_part_is_the_graph_without_a_backward_pass():
    net, loss = net_and_loss()
    names = {"": net}
    forward, both = walk(loss, names), differentiated(loss, names).graph
    assert list(both)[: len(forward)] == list(forward)
    assert both.edges[: len(forward.edges)] == forward.edges
    assert both.outputs[:1] == forward.outputs
    assert both.operations() == forward.operations()


def test_every_backward_operation_comes_from_the_start_or_the_forward_pass():
    net, loss = net_and_loss()
    graph = differentiated(loss, {"": net}).graph
    order = {id: i for i, id in enumerate(graph.nodes)}
    assert all(order[e.source] < order[e.target] for e in graph.edges)
    assert all(graph.nodes[id].kind == "gradient" for id in graph.outputs[1:])
    parameters = {name for name, _ in net.named_parameters()}
    assert set(gradients(differentiated(loss, {"": net}))) == parameters


# ------------------------------------------------------------- it is the gradient itself


def test_the_gradient_in_closed_form():
    x, w = leaf(1, 2, 3), leaf(0.5, -1, 2)
    found = gradients(differentiated(((x * w).sum()) ** 2, {"x": x, "w": w}))
    inner = 1 * 0.5 - 2 + 6
    np.testing.assert_allclose(found["x"], 2 * inner * np.array([0.5, -1, 2]))
    np.testing.assert_allclose(found["w"], 2 * inner * np.array([1, 2, 3]))


def test_the_gradient_to_the_bit():
    net, loss = net_and_loss()
    found = gradients(differentiated(loss, {"": net}))
    loss.backward(create_graph=True)
    for name, parameter in net.named_parameters():
        np.testing.assert_array_equal(found[name], parameter.grad._array, name)


def test_the_gradient_that_pytorch_finds():
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(2)
    arrays = [draw.normal(size=s) for s in [(2, 3, 5, 5), (4, 3, 3, 3), (4,), (3, 36)]]

    def loss(f, x, w, b, v):
        h = f.relu(f.conv2d(x, w, b))
        return f.log_softmax(f.linear(h.flatten(1), v), 1)[:, 0].sum() + h.sum()

    ours = [tensor(a).requires_grad_() for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    loss(torch.nn.functional, *theirs).backward()
    found = gradients(
        differentiated(loss(F, *ours), dict(zip("xwbv", ours, strict=True)))
    )
    for name, t in zip("xwbv", theirs, strict=True):
        np.testing.assert_allclose(found[name], t.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_second_order():
    x = leaf(1, 2)
    (first,) = autograd.grad((x**3).sum(), x, create_graph=True)
    found = gradients(differentiated(first.sum(), {"x": x}))
    np.testing.assert_allclose(found["x"], 6 * np.array([1, 2]))


# ---------------------------------------------------------------------- where it begins


def test_a_given_gradient():
    x = leaf(1, 2)
    walked = differentiated(x * x, {"x": x}, gradient=tensor([10.0, 100.0]))
    start = next(n for n in walked.graph if n.kind == "gradient")
    assert (start.label, start.shape) == ("∂L/∂y", (2,))
    np.testing.assert_allclose(gradients(walked)["x"], [20, 400])


def test_several_outputs():
    x = leaf(2)
    results = {"a": x * 3, "b": [x * x, tensor([7.0])]}
    walked = differentiated(results, {"x": x})
    np.testing.assert_allclose(gradients(walked)["x"], [3 + 4])
    walked = differentiated(results, {"x": x}, [tensor([10.0]), tensor([100.0])])
    np.testing.assert_allclose(gradients(walked)["x"], [30 + 400])
    with pytest.raises(errors.ArgumentError, match="2 outputs but 1 gradients"):
        differentiated(results, gradient=tensor([1.0]))


def test_a_result_that_is_a_leaf():
    x = leaf(2)
    np.testing.assert_allclose(gradients(differentiated(x, {"x": x}))["x"], [1])


def test_no_gradient_can_begin():
    with pytest.raises(errors.AutogradError, match="does not require grad"):
        differentiated(tensor([1.0]))
    with pytest.raises(errors.AutogradError, match="scalar outputs"):
        differentiated(leaf(1, 2).exp())


# ------------------------------------------------------------------- what stays as it was


def test_the_users_graph_gradients_and_hooks_are_left_alone():
    x, calls = leaf(1, 2), []
    y = x.exp()
    y.register_hook(calls.append)
    loss = y.sum()
    differentiated(loss)
    assert x.grad is None and not calls
    loss.backward()
    assert len(calls) == 1
    found = gradients(differentiated(loss, {"x": x}))  # the graph is used up by now
    np.testing.assert_array_equal(found["x"], x.grad._array)


@pytest.mark.slow
def test_a_chain_of_ten_thousand_operations():
    x = y = leaf(1.0)
    for _ in range(10_000):
        y = y.tanh()
    graph = differentiated(y, {"x": x}).graph
    # each g · (1 − y · y)
    assert len(graph.backward_operations()) == 3 * 10_000
