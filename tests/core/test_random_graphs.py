"""Random graphs: every path counts once, whatever is shared, reused or left unused.

A graph is a list of steps; step k applies an operation to earlier results. The oracle is
the complex step: for the real-analytic f, Im f(x + ih) / h is f′(x) to the last bits, and
needs no second formula for the derivative.
"""

import numpy as np
from agreement import draw
from hypothesis import given
from hypothesis import strategies as st
from pytorch import torch

import tinygrad_cnn
from tinygrad_cnn import Tensor, autograd, tensor

STEP = 1e-20
MOST_USES = 4


def cat(a, b):
    if isinstance(a, np.ndarray):
        return np.concatenate([a, b])
    return (tinygrad_cnn if isinstance(a, Tensor) else torch).cat([a, b])


def exp(a):
    return np.exp(a) if isinstance(a, np.ndarray) else a.exp()


def tanh(a):
    return np.tanh(a) if isinstance(a, np.ndarray) else a.tanh()


OPERATIONS = {
    "add": (2, lambda a, b: a + b),
    "sub": (2, lambda a, b: a - b),
    "mul": (2, lambda a, b: a * b * 0.5),
    "div": (2, lambda a, b: a / (b * b + 2)),
    "outer": (2, lambda a, b: (a.reshape(-1, 1) * b.reshape(1, -1)).sum(1)),
    "dot": (2, lambda a, b: a + a @ b * 0.1),
    "interleave": (2, lambda a, b: cat(a[:2], b[2:])),
    "exp": (1, lambda a: exp(a * 0.1)),
    "tanh": (1, lambda a: tanh(a)),
    "cube": (1, lambda a: a**3 * 0.1),
    "neg": (1, lambda a: -a),
    "sum": (1, lambda a: a * 0.1 + a.sum()),
    "mean": (1, lambda a: a - a.mean()),
    "reverse": (1, lambda a: cat(a[2:], a[:2])),
    "repeat": (1, lambda a: a[[0, 0, 1, 3]]),
    "number": (1, lambda a: 2 - a * 3),
}
LENGTH = 4


@st.composite
def graphs(draw_from):
    """Two or three inputs and up to 12 steps, no result used more than 4 times."""
    inputs = draw_from(st.integers(1, 3))
    uses = [0] * inputs
    steps = []
    for _ in range(draw_from(st.integers(1, 12))):
        name = draw_from(st.sampled_from(sorted(OPERATIONS)))
        free = [i for i, n in enumerate(uses) if n < MOST_USES]
        operands = [
            draw_from(st.sampled_from(free)) for _ in range(OPERATIONS[name][0])
        ]
        for i in operands:
            uses[i] += 1
        steps.append((name, operands))
        uses.append(0)
    results = draw_from(st.lists(st.integers(0, len(uses) - 1), min_size=1, max_size=3))
    return inputs, steps, results


def evaluated(graph, inputs):
    """Σ of the chosen results, weighted; and all results."""
    _, steps, chosen = graph
    values = list(inputs)
    for name, operands in steps:
        values.append(OPERATIONS[name][1](*[values[i] for i in operands]))
    return sum((values[i] * (k + 1)).sum() for k, i in enumerate(chosen)), values


def by_complex_step(graph, arrays):
    gradients = []
    for which, array in enumerate(arrays):
        gradient = np.zeros(LENGTH)
        for i in range(LENGTH):
            moved = [a.astype(complex) for a in arrays]
            moved[which][i] += 1j * STEP
            gradient[i] = evaluated(graph, moved)[0].imag / STEP
        gradients.append(gradient)
        assert array.dtype == float
    return gradients


@given(graph=graphs())
def test_the_gradient_of_a_random_graph_is_its_complex_step(graph):
    arrays = [draw(LENGTH, seed=i) for i in range(graph[0])]
    leaves = [tensor(a, requires_grad=True) for a in arrays]
    loss, _ = evaluated(graph, leaves)
    loss.backward()
    for leaf, expected in zip(leaves, by_complex_step(graph, arrays), strict=True):
        found = np.zeros(LENGTH) if leaf.grad is None else leaf.grad.numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@given(graph=graphs())
def test_the_gradients_at_every_result_of_a_random_graph_are_pytorchs(graph):
    arrays = [draw(LENGTH, seed=i) for i in range(graph[0])]
    found = []
    for library, make in ((tinygrad_cnn, tensor), (torch, torch.tensor)):
        leaves = [make(a, requires_grad=True) for a in arrays]
        loss, values = evaluated(graph, leaves)
        grads = library.autograd.grad(loss, values, materialize_grads=True)
        found.append([g.numpy() for g in grads])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@given(graph=graphs())
def test_second_derivatives_of_a_random_graph_are_pytorchs(graph):
    arrays = [draw(LENGTH, seed=i) for i in range(graph[0])]
    found = []
    for library, make in ((tinygrad_cnn, tensor), (torch, torch.tensor)):
        leaves = [make(a, requires_grad=True) for a in arrays]
        loss, _ = evaluated(graph, leaves)
        options = {"allow_unused": True, "materialize_grads": True}
        first = library.autograd.grad(loss, leaves, create_graph=True, **options)
        weighted = sum((g * make(draw(LENGTH, seed=7))).sum() for g in first)
        if not weighted.requires_grad:
            found.append(None)
            continue
        second = library.autograd.grad(weighted, leaves, **options)
        found.append([g.numpy() for g in second])
    if found[0] is None or found[1] is None:
        return  # linear: one of the two may know that it is, and the other find zeros
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


@given(graph=graphs())
def test_the_walk_is_the_same_every_time(graph):
    arrays = [draw(LENGTH, seed=i) for i in range(graph[0])]
    found = []
    for _ in range(2):
        leaves = [tensor(a, requires_grad=True) for a in arrays]
        loss, _ = evaluated(graph, leaves)
        loss.backward(retain_graph=True)
        loss.backward()
        found.append([leaf.grad for leaf in leaves])
    for a, b in zip(*found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_diamond_of_diamonds_counts_all_of_its_paths():
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(50):
        y = y + y  # 2^50 paths
    y.backward()
    assert x.grad.item() == 2.0**50


def test_an_uneven_graph_waits_for_the_longest_path():
    x = tensor([0.3], requires_grad=True)
    short = x * x
    long = short
    for _ in range(20):
        long = long * 0.9
    ((long + short) * short).backward()
    a = 1 + 0.9**20  # y = a x⁴
    np.testing.assert_allclose(x.grad.item(), 4 * a * 0.3**3, rtol=1e-6)


def test_gradients_do_not_depend_on_which_operand_came_first():
    def total(order):
        x = tensor([0.5, 2.0], requires_grad=True)
        parts = {"a": x.exp(), "b": x * x, "c": x.tanh()}
        y = parts[order[0]] * parts[order[1]] * parts[order[2]]
        (g,) = autograd.grad(y.sum(), x)
        return g.numpy()

    for order in ("acb", "bac", "cba"):
        np.testing.assert_allclose(total(order), total("abc"), rtol=1e-6)
