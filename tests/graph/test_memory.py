"""`memory`: what lives during a training step, against NumPy's own account of it."""

import gc
import json
import sys
import tracemalloc
from functools import partial

import numpy as np
import pytest

from tinygrad_cnn import Tensor, autograd, errors, manual_seed, nn, random, tensor
from tinygrad_cnn.graph.costs.step_memory import GRADIENTS, memory
from tinygrad_cnn.nn import functional as F

LARGE = 1024
"""Smaller pieces NumPy takes from a store of its own, unseen by tracemalloc."""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 8, 3)
        self.dense = nn.Linear(8 * 3 * 3, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv1(x))), 2)
        x = F.relu(self.conv2(x) + 1)
        x = F.dropout(x.flatten(1), 0.5)
        return F.log_softmax(
            self.dense(F.max_pool2d(x.reshape(-1, 8, 3, 3), 1).flatten(1)), 1
        )

    loss = staticmethod(F.nll_loss)


class Exponentials(nn.Module):
    """exp applied `depth` times to `size` numbers."""

    def __init__(self, depth, size):
        super().__init__()
        self.depth = depth
        self.w = nn.Parameter(Tensor(np.full(size, -1.0)))

    def forward(self):
        x = self.w
        for _ in range(self.depth):
            x = x.exp()
        return x


def batch(n=64):
    draw = np.random.default_rng(0)
    images = draw.normal(size=(n, 1, 10, 10)).astype(np.float32)
    return Tensor(images), Tensor(draw.integers(0, 10, n))


def numpy_bytes():
    """What NumPy has allocated in large pieces since tracemalloc began, by its account."""
    gc.collect()
    domain = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([domain]).traces
    return sum(trace.size for trace in traces if trace.size >= LARGE)


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


# ------------------------------------------------------------------------- what lives when


def test_a_chain_of_exponentials_moment_by_moment():
    k, n = 5, 100
    found = memory(Exponentials(k, n), ())
    arrays = [*range(1, k + 1)]  # exp keeps its results, and each makes one
    arrays += [k + 1]  # ∂L/∂output
    # ∂L/∂y and ∂L/∂x; the results below, and the last, which is the output
    arrays += [k + 2] + [j + 3 for j in range(k - 1, 0, -1)]
    arrays += [3]  # the output, the gradient of w, and its copy in .grad
    assert [m.bytes for m in found.moments] == [a * n * 8 for a in arrays]
    assert [m.phase for m in found.moments] == ["forward"] * k + ["backward"] * (k + 2)
    assert (found.peak, found.peak_at) == ((k + 2) * n * 8, k + 1)
    assert found.holders() == {
        GRADIENTS: 2 * n * 8,
        **{f"Exp {i + 1}": n * 8 for i in range(k)},
    }


def test_what_outlives_the_step():
    found = memory(Net(), *batch())
    rest = {(life.name, life.bytes) for life in found.lives if life.dropped is None}
    grads = {(f"∂L/∂{name}", p.nbytes) for name, p in Net().named_parameters()}
    # the loss; the mask of the dropout and the offset, which records hold as constants
    assert rest == grads | {("y", 4), ("m", 64 * 72 * 4)}


def test_what_the_forward_pass_leaves_is_what_numpy_says(traced):
    net, (x, labels) = Net(), batch()
    found = memory(net, x, labels)
    last = [m.phase for m in found.moments].index("backward") - 1
    kept = [
        life.bytes
        for life in found.lives
        if life.born <= last and (life.dropped is None or life.dropped > last)
    ]
    before = numpy_bytes()
    loss = net.loss(net(x), labels)
    assert numpy_bytes() - before == sum(b for b in kept if b >= LARGE)
    assert loss.grad_fn is not None


@pytest.mark.slow
def test_every_moment_of_the_backward_pass_is_what_numpy_says(traced):
    net, (x, labels) = Net(), batch()
    found = memory(net, x, labels)
    loss = net.loss(net(x), labels)
    seen = []

    def note(name, g):
        seen.append((name, numpy_bytes()))

    # A hook runs just before the gradient rules of an operation.
    for record in records_behind(loss):
        record.hooks[0] = partial(note, record.name())
    loss.backward()
    moments = list(enumerate(found.moments))
    rules = [i for i, m in moments if m.phase == "backward" and "∂" not in m.operation]
    assert [name for name, _ in seen] == [found.moments[i].operation for i in rules]
    expected = [large_before(found, i) for i in rules]
    differences = [count - seen[0][1] for _, count in seen]
    assert differences == [count - expected[0] for count in expected]
    assert len(set(differences)) > 10


def records_behind(loss):
    found, stack = [], [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and not isinstance(node, Tensor) and node not in found:
            found.append(node)
            stack += [parent for parent, _ in node.next_functions]
    return found


def large_before(found, at):
    """What lives when the rules of a moment are about to run: what lived before and lives
    on, and the gradient that the rules before were given, which the walk lets go next."""
    lives = [life for life in found.lives if life.bytes >= LARGE and life.born < at]
    ends = [
        (life, len(found.moments) if life.dropped is None else life.dropped)
        for life in lives
    ]
    given = [
        life
        for life, end in ends
        if life.holder == GRADIENTS and life.born < end == at - 1
    ]
    return sum(life.bytes for life in given + [life for life, end in ends if end >= at])


def test_numpy_takes_no_less_than_the_peak(traced):
    net, (x, labels) = Net(), batch()
    found = memory(net, x, labels)
    gc.collect()
    start = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    net.loss(net(x), labels).backward()
    assert tracemalloc.get_traced_memory()[1] - start >= found.peak


def test_shared_memory_is_one_life():
    x = Tensor(np.ones((3, 4)))

    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(Tensor(np.ones((4, 3))))

        def forward(self, x):
            return (x.T * self.w).reshape(2, 6).T.flatten().sum()

    found = memory(Views(), x)
    forward = [life for life in found.lives if life.holder != GRADIENTS]
    # the product; flatten, which had to copy; the sum
    assert [life.bytes for life in forward] == [96, 96, 8]


# ------------------------------------------------------------------------- who holds what


def test_holders_are_modules_and_operations_between_them():
    found = memory(Net(), *batch())
    holders = {life.holder for life in found.lives}
    assert holders == {
        *("conv1", "norm", "conv2", "dense", GRADIENTS),
        *("ReLU 1", "ReLU 2", "MaxPool2d 1", "MaxPool2d 2", "Add 1", "Dropout 1"),
        *("LogSoftmax 1", "(loss).NLLLoss 1"),
    }
    assert sum(found.holders().values()) == found.peak
    assert sum(life.bytes for life in found.alive(found.peak_at)) == found.peak


def test_a_loss_of_ones_own():
    net, (x, _) = Net(), batch()
    found = memory(net, x, loss=lambda y: (y * y).mean())
    assert found.moments[-1].phase == "backward"
    assert {"Mul", "Mean"} <= {
        m.operation for m in found.moments if m.module == "(loss)"
    }
    plain = memory(net, x)
    assert plain.peak > 0 and not any(m.module == "(loss)" for m in plain.moments)


def test_the_user_function():
    class Twice(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(Tensor(np.ones(100)))

        def forward(self):
            return Twice.apply(self.w).sum()

    assert memory(Model(), ()).peak >= 800


def test_nothing_to_differentiate():
    net, (x, labels) = Net().requires_grad_(False), batch()
    with pytest.raises(errors.AutogradError, match="does not require grad"):
        memory(net, x, labels)


def test_the_model_stays_as_it_was():
    net, (x, labels) = Net(), batch()
    manual_seed(3)
    state = random.default_generator.get_state()
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    memory(net, x, labels)
    assert random.default_generator.get_state() == state
    assert all(p.grad is None for p in net.parameters())
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    net.loss(net(x), labels).backward()


# ------------------------------------------------------------------------- as data, drawn


def test_as_json():
    found = memory(Net(), *batch())
    values = json.loads(found.to_json())
    assert values == found.to_dict()
    assert values["peak"] == max(m["bytes"] for m in values["moments"])
    assert values["moments"][values["peak_at"]]["bytes"] == values["peak"]


def test_as_text():
    found = memory(Net(), *batch())
    first, *rest = str(found).splitlines()
    assert first.startswith("peak ") and "KiB" in first
    assert len(rest) == len(found.holders())


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_as_a_picture(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"memory.{suffix}"
    memory(Net(), *batch()).save(path)
    assert {"svg": b"<svg", "png": b"\x89PNG"}[suffix] in path.read_bytes()


def test_a_picture_shows_the_peak_and_the_holders(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        memory(Net(), *batch()).save(tmp_path / "memory.svg")
    text = (tmp_path / "memory.svg").read_text()
    for part in ("peak ", "forward", "backward", "conv1", "gradients", "KiB"):
        assert part in text, part


def test_without_matplotlib(tmp_path, monkeypatch):
    found = memory(Exponentials(2, 10), ())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(errors.ArgumentError, match="pip install matplotlib"):
        found.save(tmp_path / "memory.svg")


def test_a_scalar_weight_still_has_a_peak():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(tensor(2.0))

        def forward(self, x):
            return x * self.w

    assert memory(Scale(), tensor([1.0, 2.0])).peak == 5 * 4
