"""How long graphs live, how deep they may be, and that they go without the collector."""

import gc
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

import tinygrad_cnn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor, autograd, no_grad, tensor

DEPTH = 100_000


@pytest.fixture
def no_collector():
    """Only reference counting frees anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def default_recursion_limit():
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


def network(seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(3, 1, 3, 3), (3,), (4, 27), (4,)]
    return [
        tensor(rng.standard_normal(s).astype(np.float32) * 0.3, requires_grad=True)
        for s in shapes
    ]


def steps_of(parameters, count, seed=1):
    """Training steps as users write them: convolution, pooling, dense, loss, update."""
    rng = np.random.default_rng(seed)
    images = tensor(rng.standard_normal((5, 1, 8, 8)).astype(np.float32))
    labels = tensor(rng.integers(0, 4, 5))
    kernels, bias, weight, shift = parameters
    for _ in range(count):
        x = F.max_pool2d(F.relu(F.conv2d(images, kernels, bias)), 2)
        loss = F.cross_entropy(F.linear(x.flatten(1), weight, shift), labels)
        loss.backward()
        with no_grad():
            for p in parameters:
                p -= 0.01 * p.grad
                p.grad.zero_()
        yield loss.item()


# -------------------------------------------------------------------------- freeing


def test_five_hundred_steps_without_the_collector_keep_the_number_of_objects(
    no_collector,
):
    parameters = network()
    counts = []
    for i, _ in enumerate(steps_of(parameters, 500)):
        if i % 100 == 99:
            counts.append(len(gc.get_objects()))
    # One object left behind in each step would be 400; a few are the test runner's.
    assert max(counts) - min(counts) < 10


def test_the_memory_of_arrays_does_not_grow_from_step_to_step(no_collector):
    parameters, sizes = network(), []
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    tracemalloc.start()
    try:
        for i, _ in enumerate(steps_of(parameters, 100)):
            if i in (10, 99):
                traces = tracemalloc.take_snapshot().filter_traces([arrays])
                sizes.append(sum(t.size for t in traces.traces))
    finally:
        tracemalloc.stop()
    assert sizes[0] == sizes[1] > 0


def intermediates():
    """A result, and weak references to all that it was computed through."""
    x = tensor(np.ones((2, 3)), requires_grad=True)
    w = tensor(np.ones((3, 3)), requires_grad=True)
    h = x @ w
    r = h.relu()
    s = r.softmax(1)
    e = s.exp()
    m = e.max(1).values
    loss = (m * m).sum()
    kept = [weakref.ref(t) for t in (h, r, s, e, m)]
    arrays = [weakref.ref(t._array) for t in (r, s)]
    return loss, kept, arrays


def test_intermediate_tensors_die_at_once_and_their_values_with_the_result(
    no_collector,
):
    loss, tensors, arrays = intermediates()
    assert [t() for t in tensors] == [None] * 5  # the graph holds values, not Tensors
    assert all(a() is not None for a in arrays)  # which relu and softmax need
    del loss
    assert [a() for a in arrays] == [None] * 2


def test_backward_frees_the_values_while_the_result_lives(no_collector):
    loss, _, arrays = intermediates()
    loss.backward()
    assert [a() for a in arrays] == [None] * 2
    assert loss.item() > 0


def test_retaining_the_graph_keeps_the_values(no_collector):
    loss, _, arrays = intermediates()
    loss.backward(retain_graph=True)
    assert all(a() is not None for a in arrays)
    del loss
    assert [a() for a in arrays] == [None] * 2


def test_operations_keep_only_what_their_gradients_need(no_collector):
    x = tensor(np.ones(3), requires_grad=True)
    big = x * 2  # x * 2 needs nothing of x, + needs nothing at all
    gone = weakref.ref(big._array)
    y = big + 1
    del big
    assert gone() is None
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_a_constant_operand_is_not_kept_where_no_gradient_needs_it(no_collector):
    images = tensor(np.ones((4, 3)))
    weight = tensor(np.ones((3, 2)))
    x = tensor(np.ones((2, 3)), requires_grad=True)
    gone = weakref.ref(weight._array), weakref.ref(images._array)
    y = (images @ weight).sum() + x.sum()
    del images, weight
    assert [g() for g in gone] == [None, None]
    y.backward()


def test_backward_drops_each_gradient_as_soon_as_it_was_used():
    x = tensor(np.ones(50_000), requires_grad=True)  # 400 KB
    y = x
    for _ in range(100):
        y = -y
    given = tensor(np.ones(50_000))
    tracemalloc.start()
    try:
        y.backward(given)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 400_000


def test_under_no_grad_nothing_is_kept(no_collector):
    x = tensor(np.ones(3), requires_grad=True)
    with no_grad():
        h = x.exp()
        gone = weakref.ref(h._array)
        y = h.sum()
        del h
    assert gone() is None
    assert y.item() > 0


def test_hooks_retained_grads_and_higher_orders_make_no_cycles(no_collector):
    def run():
        x = tensor(np.ones(3), requires_grad=True)
        y = x.exp()
        y.retain_grad()
        y.register_hook(lambda g: g * 2)
        y.sum().backward()
        z = (x * x * x).sum()
        (g,) = autograd.grad(z, x, create_graph=True)
        (h,) = autograd.grad(g.sum(), x, create_graph=True)
        h.sum().backward()
        return [weakref.ref(t) for t in (x, y, z, g, h)]

    assert [t() for t in run()] == [None] * 5


def test_errors_leave_nothing_behind(no_collector):
    def run():
        x = tensor(np.ones(3), requires_grad=True)
        y = x.exp()
        for wrong in (
            lambda: y + tensor(np.ones(4)),
            lambda: y.backward(),
            lambda: x.add_(1),
            lambda: y[7],
        ):
            try:
                wrong()
            except tinygrad_cnn.errors.TinygradError:
                pass
            else:
                pytest.fail("no error")
        return weakref.ref(x), weakref.ref(y), weakref.ref(y._array)

    assert [t() for t in run()] == [None] * 3


def test_indexing_setitem_and_in_place_make_no_cycles(no_collector):
    def run():
        x = tensor(np.ones((3, 3)), requires_grad=True)
        y = x * 2
        y[0] = x[1] * 3
        y += x
        y[y > 1] = 0.5
        total = sum(row.sum() for row in y)
        total.backward()
        return [weakref.ref(t) for t in (x, y, total)]

    assert [t() for t in run()] == [None] * 3


def test_the_gradient_outlives_the_graph(no_collector):
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    grad = x.grad
    del x
    assert grad.tolist() == [2.0, 4.0]


# --------------------------------------------------------------------------- depth


def test_a_hundred_thousand_operations_in_a_chain(
    default_recursion_limit, no_collector
):
    x = tensor([1.0], requires_grad=True)
    y = x
    for i in range(DEPTH):
        y = y * 1.0 if i % 2 else y + 0.0
    middle = weakref.ref(y.grad_fn.next_functions[0][0].op)
    y.backward()
    assert x.grad.tolist() == [1.0]
    x.grad = None
    z = y.detach()
    del y
    assert z.tolist() == [1.0]
    assert middle() is None


def test_a_deep_graph_that_was_never_used_is_freed(
    default_recursion_limit, no_collector
):
    x = tensor([1.0], requires_grad=True)
    y = x.exp()
    first = weakref.ref(y._array)
    for _ in range(DEPTH // 2):
        y = y * x
    assert first() is not None
    del y
    assert first() is None


def test_deep_gradients_of_gradients(default_recursion_limit):
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(3000):
        y = y * x
    (g,) = autograd.grad(y, x, create_graph=True)
    assert g.item() == 3001.0
    (h,) = autograd.grad(g, x)
    assert h.item() == 3001.0 * 3000.0


def test_a_wide_graph(default_recursion_limit):
    x = tensor([1.0], requires_grad=True)
    parts = [x * i for i in range(2000)]
    tinygrad_cnn.cat(parts).sum().backward()
    assert x.grad.item() == sum(range(2000))


def test_a_deep_chain_of_in_place_changes(default_recursion_limit):
    x = tensor([1.0], requires_grad=True)
    y = x * 1
    for _ in range(5000):
        y += x
    y.backward()
    assert x.grad.item() == 5001.0


def test_a_deep_graph_can_be_printed_and_deleted_by_its_leaf(default_recursion_limit):
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(20_000):
        y = -y
    assert "grad_fn=<Neg>" in repr(y)
    assert isinstance(y, Tensor)
    del x
    y.backward()
