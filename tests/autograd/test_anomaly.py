"""`detect_anomaly`: a backward pass stops where the first NaN gradient was made."""

import threading
import warnings

import numpy as np
import pytest
from agreement import draw, torch

import tinygrad_cnn
from tinygrad_cnn import autograd, nn, tensor
from tinygrad_cnn.errors import AutogradError

detect_anomaly, set_detect_anomaly = (
    autograd.detect_anomaly,
    autograd.set_detect_anomaly,
)


def broken(lib):
    """Its result is fine, its gradient NaN in one place."""

    class Broken(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return a * 2

        @staticmethod
        def backward(ctx, g):
            return g * lib.tensor([1.0, 1.0, float("nan"), 1.0])

    return Broken.apply


BAD = {
    "Broken": lambda lib, a: broken(lib)(a),
    "Sqrt": lambda lib, a: (a - a).sqrt() * 0 + a,
    "Div": lambda lib, a: (a / (a - a)).clamp(0, 1) + a,
    "Log": lambda lib, a: (a - a).log().clamp(0) + a,
    "Pow": lambda lib, a: (a - a) ** 0.5 * 0 + a,
}
"""Operations by name; each makes a NaN gradient of a finite one."""

GOOD = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "sub": lambda a, b: a - b * 0.5,
    "tanh": lambda a, b: a.tanh(),
    "exp": lambda a, b: (a * 0.1).exp(),
    "sum": lambda a, b: a + b.sum() * 0.1,
    "flip": lambda a, b: a.flip(0) * b,
    "reshape": lambda a, b: a.reshape(2, 2).T.reshape(4),
}


def graph(seed):
    """Steps (name, operands), one of them bad, and all leading to the last."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 12))
    at = int(rng.integers(count))
    steps = []
    for k in range(count):
        name = str(rng.choice(sorted(BAD if k == at else GOOD)))
        steps.append((name, [k + 1, int(rng.integers(k + 2))]))
    return steps, at


def loss_of(lib, seed, bad=True):
    """The sum of all steps, so that a finite gradient comes to each."""
    steps, at = graph(seed)
    values = [lib.tensor(draw(4, seed=i), requires_grad=True) for i in range(2)]
    for k, (name, (i, j)) in enumerate(steps):
        if k != at:
            values.append(GOOD[name](values[i], values[j]).tanh())
        elif bad:
            values.append(BAD[name](lib, values[i]))
        else:
            values.append(values[i] * 2)
    return sum(values[2:]).sum()


def records_behind(tensor):
    stack, seen = [tensor.grad_fn], []
    while stack:
        node = stack.pop()
        if hasattr(node, "op") and node not in seen:
            seen.append(node)
            stack += [parent for parent, _ in node.next_functions]
    return seen


@pytest.mark.filterwarnings("ignore:Anomaly")
@pytest.mark.parametrize(
    "seeds", [range(k, k + 50) for k in range(0, 200, 50)], ids=str
)
def test_the_one_bad_operation_of_a_random_graph_is_named(seeds):
    for seed in seeds:
        steps, at = graph(seed)
        name = steps[at][0]
        loss = loss_of(tinygrad_cnn, seed)
        (guilty,) = [r for r in records_behind(loss) if r.name() == name]
        with detect_anomaly(), pytest.raises(AutogradError) as ours:
            loss.backward()
        assert f"by {guilty}" in str(ours.value)
        with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError) as theirs:
            loss_of(torch, seed).backward()
        assert f"Function '{name}Backward" in str(theirs.value)


def test_random_graphs_without_a_bad_operation_pass():
    for seed in range(50):
        with detect_anomaly():
            loss_of(tinygrad_cnn, seed, bad=False).backward()


@pytest.mark.filterwarnings("ignore:Anomaly")
@pytest.mark.parametrize("create_graph", [False, True])
def test_grad_and_second_gradients_are_checked_too(create_graph):
    for lib in (tinygrad_cnn, torch):
        with lib.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="Sqrt"):
            x = lib.zeros(2, requires_grad=True)
            lib.autograd.grad((x.sqrt() * 0).sum(), x, create_graph=create_graph)


def test_the_message_says_where_how_many_and_since_when():
    class Root(nn.Module):
        def forward(self, x):
            return x.sqrt()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.root = Root()

        def forward(self, x):
            return self.root(x) * 0

    x = tensor([1.0, 0.0, 4.0, 0.0], requires_grad=True)
    with detect_anomaly(), pytest.raises(AutogradError) as caught:
        Net()(x).sum().backward()
    line = Root.forward.__code__.co_firstlineno + 1
    assert "NaN in 2 of 4 values, first at [1], by Sqrt()" in str(caught.value)
    assert "with respect to a became" in str(caught.value)
    assert "Sqrt() of (float32[4]) in root at" in str(caught.value)
    assert f"test_anomaly.py:{line}" in str(caught.value)
    assert "already" not in str(caught.value)


def test_values_that_went_wrong_in_the_forward_are_told():
    x = tensor([-1.0, 1.0], requires_grad=True)
    with detect_anomaly(), pytest.raises(AutogradError) as caught:
        x.sqrt().sum().backward()
    assert "its result already held inf or NaN" in str(caught.value)
    y = tensor([np.inf, 1.0], requires_grad=True)
    with detect_anomaly(), pytest.raises(AutogradError) as caught:
        (x * y * 0).sum().backward()
    assert "Mul()" in str(caught.value)
    assert "b already held inf or NaN" in str(caught.value)


@pytest.mark.filterwarnings("ignore:Anomaly")
def test_a_gradient_that_came_as_nan_is_told():
    for lib in (tinygrad_cnn, torch):
        x = lib.ones(2, requires_grad=True)
        with lib.autograd.detect_anomaly(), pytest.raises(RuntimeError) as caught:
            (x * 2).backward(lib.tensor([float("nan"), 1.0]))
        if lib is tinygrad_cnn:
            assert "that came to it was NaN already" in str(caught.value)


@pytest.mark.filterwarnings("ignore:Anomaly")
def test_infinite_gradients_pass():
    for lib in (tinygrad_cnn, torch):
        with lib.autograd.detect_anomaly():
            x = lib.zeros(2, requires_grad=True)
            (1 / x).sum().backward()
        assert x.grad.tolist() == [-np.inf] * 2


# ------------------------------------------------------------------ on and off


def found(lib):
    x = lib.zeros(2, requires_grad=True)
    try:
        (x.sqrt() * 0).sum().backward()
    except RuntimeError:
        return True
    return False


def switches(lib):
    anomaly = lib.autograd
    yield found(lib)
    with anomaly.detect_anomaly():
        yield found(lib)
        with anomaly.set_detect_anomaly(False):
            yield found(lib)
            with anomaly.detect_anomaly(check_nan=False):
                yield found(lib)
            with anomaly.detect_anomaly():
                yield found(lib)
        yield found(lib)
    yield found(lib)
    switch = anomaly.set_detect_anomaly(True)
    yield found(lib)
    with switch as entered:
        assert entered is None
        yield found(lib)
    yield found(lib)
    anomaly.set_detect_anomaly(True, check_nan=False)
    yield found(lib)
    anomaly.set_detect_anomaly(mode=True, check_nan=True)
    yield found(lib)
    anomaly.set_detect_anomaly(False)
    yield found(lib)
    try:
        with anomaly.detect_anomaly():
            raise KeyError
    except KeyError:
        yield found(lib)


def test_it_is_switched_as_in_pytorch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of the time it takes
        theirs = list(switches(torch))
    assert list(switches(tinygrad_cnn)) == theirs


def test_other_threads_do_not_notice():
    seen = []
    with detect_anomaly():
        thread = threading.Thread(target=lambda: seen.append(found(tinygrad_cnn)))
        thread.start()
        thread.join()
    assert seen == [False]
