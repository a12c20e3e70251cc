"""`measure`: values, gradients, memory, arithmetic, branches, pictures of a graph."""

import base64
import io
import itertools
import math
from dataclasses import asdict

import numpy as np
import pytest

from tinygrad_cnn import Tensor, autograd, errors, nn, no_grad, optim, tensor
from tinygrad_cnn.graph.backward import with_backward
from tinygrad_cnn.graph.data import Branches, Graph, Statistics
from tinygrad_cnn.graph.measuring import MEASURES, Memory, measure, saved_arrays
from tinygrad_cnn.graph.walker import Walk
from tinygrad_cnn.nn import functional as F


def draw(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def measured(result, *what, names=None, backward=False, **options):
    walked = Walk(result, names)
    return measure(with_backward(walked) if backward else walked, what, **options)


def labelled(graph):
    """The forward nodes by label; several of the same label as a list."""
    found = {}
    for node in graph:
        if node.backward_of is None:
            found.setdefault(node.label, []).append(node)
    return {k: v[0] if len(v) == 1 else v for k, v in found.items()}


def net_and_loss():
    """conv, relu, pool, dense; with names for what is measured."""
    net = nn.Sequential(
        *(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(27, 4)),
    )
    x = tensor(draw(5, 2, 6, 6, dtype=np.float32))
    labels = tensor([0, 1, 2, 3, 0])
    loss = F.cross_entropy(net(x), labels)
    return net, loss, {"": net, "x": x, "labels": labels}


# ---------------------------------------------------------------- values and gradients


def assert_statistics(found, array):
    array = np.asarray(array, np.float64)
    assert found.min == array.min()
    assert found.max == array.max()
    assert found.mean == pytest.approx(math.fsum(array.flat) / array.size)
    assert found.norm == pytest.approx(math.sqrt(math.fsum((array**2).flat)))
    assert found.not_finite == 0


def test_statistics_of_values():
    a, b = tensor(draw(3, 4)).requires_grad_(), tensor(draw(4, seed=1))
    y = a * b
    nodes = labelled(measured(y, "values", names={"a": a, "b": b}))
    assert_statistics(nodes["a"].values, a._array)
    assert_statistics(nodes["b"].values, b._array)
    assert_statistics(nodes["Mul"].values, a._array * b._array)


def test_statistics_leave_out_what_is_not_finite():
    x = tensor([1.0, math.inf, math.nan, -3.0]).requires_grad_()
    values = labelled(measured(x, "values"))["input"].values
    assert values == Statistics(-3.0, -1.0, 1.0, math.sqrt(10), 2)
    nothing = labelled(measured(leaf_of([math.nan]), "values"))["input"].values
    assert nothing.not_finite == 1 and math.isnan(nothing.mean)
    assert (
        labelled(measured(leaf_of(np.empty((0, 2))), "values"))["input"].values is None
    )


def leaf_of(values):
    return tensor(values).requires_grad_()


def test_gradients_are_those_that_pytorch_finds():
    torch = pytest.importorskip("torch")
    arrays = [draw(2, 3, 5, 5), draw(4, 3, 3, 3, seed=1), draw(4, seed=2)]

    def steps(f, x, w, b):
        y = f.conv2d(x, w, b)
        z = f.relu(y)
        return y, z, (z * z).sum()

    ours = [leaf_of(a) for a in arrays]
    names = dict(zip("xwb", ours, strict=True))
    nodes = labelled(measured(steps(F, *ours)[-1], "gradients", names=names))
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    results = steps(torch.nn.functional, *theirs)
    for t in results:
        t.retain_grad()
    results[-1].backward()
    for label, t in zip(
        ["x", "w", "b", "Conv2d", "ReLU", "Sum"], [*theirs, *results], strict=True
    ):
        expected = t.grad.numpy()
        found = asdict(nodes[label].gradient)
        for figure in ("min", "mean", "max"):
            value = getattr(expected, figure)()
            assert found[figure] == pytest.approx(value, rel=1e-10, abs=1e-12)
        assert found["norm"] == pytest.approx(np.linalg.norm(expected))
        assert nodes[label].gradient_computed


def test_what_no_gradient_came_to():
    class First(autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return a * b

        @staticmethod
        def backward(ctx, g):
            ctx.set_materialize_grads(False)
            return g, None

    a, b, c = leaf_of([1.0]), leaf_of([2.0]), tensor([3.0])
    result = First.apply(a, b.exp()) * c
    graph = measured(result, "gradients", names={"a": a, "b": b, "c": c})
    computed = {n.label: n.gradient_computed for n in graph}
    reached = {"a": True, "First": True, "Mul": True}
    assert computed == reached | {"b": False, "Exp": False, "c": False}
    plain = labelled(measured(result, "values"))
    assert plain["Mul"].gradient_computed is None


def test_the_gradients_of_a_backward_graph_are_its_values():
    _, loss, names = net_and_loss()
    graph = measured(loss, "gradients", "values", names=names, backward=True)
    ends = [n for n in graph if n.kind == "gradient" and n.backward_of]
    assert len(ends) == 4
    for end in ends:
        found, expected = end.values, graph.nodes[end.backward_of].gradient
        assert asdict(found) == pytest.approx(asdict(expected), rel=1e-6, abs=1e-8)
        assert end.gradient is None and end.gradient_computed is None


def test_a_given_gradient():
    x = leaf_of([1.0, 2.0])
    nodes = labelled(
        measured(x * x, "gradients", names={"x": x}, gradient=tensor([10.0, 100.0]))
    )
    assert (nodes["x"].gradient.min, nodes["x"].gradient.max) == (20, 400)


def test_gradients_need_somewhere_to_begin():
    with pytest.raises(errors.AutogradError, match="scalar outputs"):
        measured(leaf_of([1.0, 2.0]), "gradients")
    with pytest.raises(errors.AutogradError, match="does not require grad"):
        measured(tensor([1.0]), "gradients")


def test_numbers_of_small_tensors():
    x, w = leaf_of([[1.0, 2.0], [3.0, 4.0]]), leaf_of(draw(17))
    nodes = labelled(measured([x.sum(), w], "numbers", names={"x": x, "w": w}))
    assert nodes["x"].numbers == [[1.0, 2.0], [3.0, 4.0]]
    assert nodes["Sum"].numbers == [10.0]
    assert nodes["w"].numbers is None


# -------------------------------------------------------------- what is kept for backward


def saved(node):
    return [(s.name, s.shape, s.bytes, s.owner) for s in node.saved]


def test_what_each_operation_keeps_and_whose_it_is():
    _, loss, names = net_and_loss()
    nodes = labelled(measured(loss, "saved", names=names))
    conv, relu, pool = nodes["Conv2d"], nodes["ReLU"], nodes["MaxPool2d"]
    dense, soft, nll = nodes["Linear"], nodes["LogSoftmax"], nodes["NLLLoss"]
    images = 5 * 2 * 6 * 6 * 4
    assert saved(conv) == [("x", (5, 2, 6, 6), images, nodes["x"].id)]
    assert saved(relu) == [("y", (5, 3, 6, 6), 5 * 3 * 6 * 6 * 4, relu.id)]
    assert saved(pool) == [
        ("tap", (5, 3, 3, 3), 5 * 3 * 3 * 3, pool.id)
    ]  # one byte each
    assert saved(nodes["Reshape"]) == []
    assert saved(dense) == [
        ("w", (4, 27), 4 * 27 * 4, nodes["4.weight"].id),
        ("x", (5, 27), 5 * 27 * 4, pool.id),  # the pool's result, reshaped
    ]
    assert saved(soft) == [("y", (5, 4), 5 * 4 * 4, soft.id)]
    assert [(s.name, s.bytes, s.owner) for s in nll.saved] == [
        ("scale", 5 * 4, nll.id),
        ("label", 5 * 8, nll.id),
    ]


def test_a_view_keeps_what_is_stored():
    x, w = leaf_of(draw(4)), leaf_of(draw(3, 4))
    nodes = labelled(measured((x.expand(3, 4) * w).sum(), "saved"))
    a = next(s for s in nodes["Mul"].saved if s.name == "a")
    assert (a.shape, a.bytes) == ((3, 4), 4 * 8)


def test_a_function_keeps_what_it_saved():
    class Scaled(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            scale = x.abs().max()
            ctx.save_for_backward(x, scale)
            return x / scale

        @staticmethod
        def backward(ctx, g):
            return g / ctx.saved_tensors[1]

    x = leaf_of(draw(6))
    graph = measured(Scaled.apply(x), "saved", names={"x": x})
    nodes = labelled(graph)
    assert sorted([(s.bytes, s.owner) for s in nodes["Scaled"].saved]) == [
        (8, nodes["Scaled"].id),
        (48, nodes["x"].id),
    ]


def test_a_backward_pass_keeps_nothing():
    _, loss, names = net_and_loss()
    graph = measured(loss, "saved", names=names, backward=True)
    assert not any(n.saved for n in graph.backward_operations())


def test_memory_counts_each_byte_once():
    a, b = np.zeros((10, 10)), np.zeros((4, 4), np.float32)
    assert Memory([a, a.T, a[2:4], a.reshape(-1), b, b]).bytes == 800 + 64
    parts = Memory()
    assert [parts.add(x) for x in (a[:2], a[5:6], a[1:6], a, b[0], b)] == [
        *(160, 80, 240, 320),
        *(16, 48),
    ]
    assert Memory([np.broadcast_to(np.zeros(3), (1000, 3))]).bytes == 24
    assert Memory([np.zeros((0, 3)), np.zeros(())]).bytes == 8


def test_saved_arrays_are_those_that_a_record_holds():
    x = leaf_of([1.0, 2.0])
    y = x.exp()
    assert [name for name, _ in saved_arrays(y.grad_fn)] == ["y"]
    assert next(saved_arrays(y.grad_fn))[1] is y._array


# ------------------------------------------------------------------ multiply-accumulates


def counted_conv(n, channels, out, size, kernel, stride, padding, groups):
    """Products in a convolution, one by one; those with padding count."""
    fits = [
        [o for o in range(100) if o * stride + k <= s + 2 * padding]
        for s, k in zip(size, kernel, strict=True)
    ]
    positions = itertools.product(range(n), range(out), *fits)
    taps = channels // groups * kernel[0] * kernel[1]
    return sum(1 for _ in positions for _ in range(taps))


@pytest.mark.parametrize(
    "case",
    [
        (2, 3, 4, (6, 7), (3, 2), 1, 0, 1),
        (1, 4, 6, (8, 5), (3, 3), 2, 1, 2),
        (3, 2, 2, (5, 5), (2, 3), 3, 2, 2),
    ],
)
def test_macs_of_a_convolution_and_of_its_gradients(case):
    n, channels, out, size, kernel, stride, padding, groups = case
    x = leaf_of(draw(n, channels, *size))
    w = leaf_of(draw(out, channels // groups, *kernel))
    y = F.conv2d(x, w, None, stride, padding, groups=groups)
    graph = measured(y.sum(), "macs", backward=True)
    expected = counted_conv(*case)
    found = {n.label: n.macs for n in graph if n.kind == "operation"}
    for operation in ("Conv2d", "Conv2dInput", "Conv2dWeight"):
        assert found[operation] == expected, operation
    assert found["Sum"] == found["Expand"] == 0


def test_macs_of_matrix_products():
    x, w, b = leaf_of(draw(2, 3, 5)), leaf_of(draw(4, 5)), leaf_of(draw(4))
    y = F.linear(x, w, b) @ leaf_of(draw(2, 4, 6))
    nodes = labelled(measured(y, "macs"))
    assert nodes["Linear"].macs == len(list(itertools.product(*map(range, (6, 5, 4)))))
    assert nodes["Matmul"].macs == len(list(itertools.product(*map(range, (6, 4, 6)))))
    assert nodes["input"][0].macs is None


def test_macs_of_an_operation_of_the_users_are_not_known():
    class Own(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x @ x

        @staticmethod
        def backward(ctx, g):
            return g

    assert (
        labelled(measured(Own.apply(leaf_of(draw(2, 2))), "macs"))["Own"].macs is None
    )


# ------------------------------------------------------------------------------ branches


def test_alive_values():
    x = leaf_of([-2.0, -0.5, 0.0, 0.5, 2.0])
    for f, alive in [
        (F.relu, 2),
        (F.leaky_relu, 2),
        (F.hardtanh, 3),
        (lambda x: x.clamp(-0.5, 0.5), 3),
    ]:
        branches = measured(f(x), "branches").operations()[0].branches
        assert branches == Branches("alive", alive, 5)


def test_tied_windows():
    x = np.random.default_rng(5).integers(0, 3, (2, 3, 6, 6)).astype(float)
    windows = x.reshape(2, 3, 3, 2, 3, 2).swapaxes(3, 4).reshape(-1, 4)
    tied = sum(list(w).count(max(w)) > 1 for w in windows)
    node = labelled(measured(F.max_pool2d(leaf_of(x), 2), "branches"))["MaxPool2d"]
    assert node.branches == Branches("ties", tied, 54)


def test_what_dropout_kept():
    y = F.dropout(leaf_of(np.ones(100)), 0.4)
    node = labelled(measured(y, "branches"))["Dropout"]
    assert node.branches == Branches("kept", int((y._array != 0).sum()), 100)
    assert labelled(measured(y.exp(), "branches"))["Exp"].branches is None


# ------------------------------------------------------------------------------ pictures


def pixels(node):
    image = pytest.importorskip("PIL.Image")
    head, data = node.image.split(",")
    assert head == "data:image/png;base64"
    return np.array(image.open(io.BytesIO(base64.b64decode(data))))


def grey(x, low, high):
    return np.round((x - low) / (high - low) * 255)


def test_feature_maps_stand_side_by_side():
    x = draw(2, 5, 4, 6)
    nodes = labelled(measured(leaf_of(x) * 1.0, "images"))
    found = pixels(nodes["input"])
    assert found.shape == (2 * 5 - 1, 3 * 7 - 1)  # two rows of three, a line between
    for c, (row, column) in enumerate(itertools.product(range(2), range(3))):
        tile = found[5 * row : 5 * row + 4, 7 * column : 7 * column + 6]
        expected = grey(x[0, c], x[0].min(), x[0].max()) if c < 5 else 255
        np.testing.assert_allclose(tile, np.broadcast_to(expected, (4, 6)), atol=1)
    assert (found[4] == 255).all() and (found[:, 6] == 255).all()


def test_three_channels_are_a_picture_in_colour():
    x = draw(1, 3, 4, 6)
    found = pixels(labelled(measured(leaf_of(x), "images"))["input"])
    expected = grey(x[0].transpose(1, 2, 0), x.min(), x.max())
    np.testing.assert_allclose(found, expected, atol=1)


def test_large_images_become_small():
    found = pixels(
        labelled(measured(leaf_of(draw(1, 100, 200, 130)), "images"))["input"]
    )
    assert found.shape == (8 * 51 - 1, 8 * 34 - 1)


def test_only_images_have_pictures():
    _, loss, names = net_and_loss()
    graph = measured(loss, "images", names=names, backward=True)
    shown = {n.label for n in graph if n.image}
    assert {"x", "Conv2d", "ReLU", "MaxPool2d", "Gate", "MaxPoolPut"} <= shown
    assert not {"0.weight", "∂L/∂0.weight", "Conv2dWeight", "Linear"} & shown
    flat = leaf_of(np.full((1, 1, 2, 2), math.nan))
    assert (pixels(labelled(measured(flat, "images"))["input"]) == 0).all()


# ---------------------------------------------------------------------------------- time


def test_seconds_of_operations_and_of_their_gradients():
    _, loss, names = net_and_loss()
    graph = measured(loss, "time", names=names, backward=True, repeats=2)
    assert all(n.seconds > 0 and n.backward_seconds > 0 for n in graph.operations())
    assert all(n.seconds > 0 for n in graph.backward_operations())
    assert all(n.backward_seconds is None for n in graph.backward_operations())
    assert all(n.seconds is None for n in graph if n.kind != "operation")


def test_time_needs_no_scalar():
    node = measured(leaf_of([1.0, 2.0]).exp(), "time").operations()[0]
    assert node.seconds > 0 and node.backward_seconds > 0


# ------------------------------------------------------------------------------- the rest


def test_what_is_not_asked_is_not_known():
    _, loss, names = net_and_loss()
    plain, graph = Walk(loss, names).graph, measured(loss, "macs", names=names)
    for node, other in zip(plain, graph, strict=True):
        other.macs = None
        assert node == other


def test_requests_that_there_are_not():
    with pytest.raises(errors.ArgumentError, match=r"speed cannot be measured.*time"):
        measured(leaf_of([1.0]), "macs", "speed")
    walked = Walk(leaf_of([1.0]))
    assert measure(walked, "numbers").nodes["n0"].numbers == [1.0]


def test_all_of_it_as_json_and_back():
    _, loss, names = net_and_loss()
    graph = measured(loss, *MEASURES, names=names, backward=True)
    assert Graph.from_json(graph.to_json()) == graph


def test_the_users_graph_and_gradients_are_left_alone():
    net, loss, _ = net_and_loss()
    measured(loss, *MEASURES)
    assert all(p.grad is None for p in net.parameters())
    loss.backward()
    before = [p.grad._array.copy() for p in net.parameters()]
    measured(loss, *MEASURES)  # the graph is used up by now
    for p, g in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.grad._array, g)


def test_values_of_before_a_step_are_not_made_up():
    net, loss, _ = net_and_loss()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    loss.backward()
    optimizer.step()
    for what in ("values", "gradients", "branches", "numbers", "images"):
        with pytest.raises(errors.MutationError, match="compute it again"):
            measured(loss, what)
        with pytest.raises(errors.MutationError, match="compute it again"):
            measured(loss, what, backward=True)
    measured(loss, "macs", "saved", "time")


def test_a_result_without_a_graph():
    with no_grad():
        y = Tensor(draw(2, 2)).exp()
    node = measured(y, "values", "time", "macs", "saved", "branches").nodes["n0"]
    assert_statistics(node.values, y._array)
