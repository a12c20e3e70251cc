"""Observers of the walk back: what they are told is what the gradients are made of."""

import numpy as np
import pytest

from tinygrad_cnn import Tensor, autograd, errors, tensor
from tinygrad_cnn.core.engine import BackwardObserver, run_backward


class Notes(BackwardObserver):
    """Every event, in order, with copies of its arrays."""

    def __init__(self):
        self.events = []

    def note(self, *event):
        copied = [np.array(x) if isinstance(x, np.ndarray) else x for x in event]
        self.events.append(tuple(copied))

    def see_start(self, node, g, total):
        self.note("start", node, g, total)

    def see_gradient(self, record, g):
        self.note("gradient", record, g)

    def see_contribution(self, record, i, g, d, total):
        self.note("contribution", record, i, g, d, total)

    def see_release(self, record):
        assert record.saved is None
        self.note("release", record)

    def see_leaf(self, leaf, g):
        self.note("leaf", leaf, g, leaf.grad)


def observed(outputs, cotangents, retain_graph=None, targets=None, accumulate=True):
    notes = Notes()
    run_backward(
        outputs, cotangents, retain_graph, False, targets, accumulate, watch=notes
    )
    return notes.events


def test_each_step_of_a_small_graph():
    x = tensor([2.0, 3.0]).requires_grad_()
    product = x * x
    y = product.sum()
    times, add_up = product.grad_fn, y.grad_fn
    ones, values = np.ones(2), np.array([2.0, 3.0])
    expected = [
        ("start", add_up, np.ones(()), np.ones(())),
        ("gradient", add_up, np.ones(())),
        ("contribution", add_up, 0, np.ones(()), ones, ones),
        ("release", add_up),
        ("gradient", times, ones),
        ("contribution", times, 0, ones, values, values),
        ("contribution", times, 1, ones, values, 2 * values),
        ("release", times),
        ("leaf", x, 2 * values, None),
    ]
    events = observed([y], [None])
    assert [e[0] for e in events] == [e[0] for e in expected]
    for event, wanted in zip(events, expected, strict=True):
        assert len(event) == len(wanted)
        for a, b in zip(event, wanted, strict=True):
            if isinstance(b, np.ndarray):
                np.testing.assert_array_equal(a, b)
            else:
                assert a is b or (isinstance(b, int | str) and a == b)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * values)


def test_the_contributions_to_each_node_add_up_to_its_gradient():
    draw = np.random.default_rng(0)
    x = Tensor(draw.normal(size=(3, 4))).requires_grad_()
    w = Tensor(draw.normal(size=(4, 4))).requires_grad_()
    h = (x @ w).tanh()
    outputs = [(h * h).sum() + h.mean(), h @ w, h]
    cotangents = [None, *[Tensor(draw.normal(size=(3, 4))) for _ in range(2)]]
    sums, totals, complete = {}, {}, {}
    for kind, node, *rest in observed(outputs, cotangents):
        if kind in ("start", "contribution"):
            *_, d, total = rest
            target = node if kind == "start" else node.parents[rest[0]]
            sums[target] = sums.get(target, 0) + d
            totals[target] = total
        elif kind in ("gradient", "leaf"):
            assert node not in complete
            complete[node] = rest[0]
    assert sums.keys() == complete.keys() == totals.keys() and {x, w} <= sums.keys()
    for node, g in complete.items():
        np.testing.assert_allclose(sums[node], g, rtol=1e-12)
        np.testing.assert_array_equal(totals[node], g)
    for leaf in (x, w):
        np.testing.assert_array_equal(leaf.grad.numpy(), complete[leaf])


def test_only_what_leads_to_the_targets_is_walked():
    x, w = tensor([1.0]).requires_grad_(), tensor([2.0]).requires_grad_()
    y = x.exp() * w.exp()
    events = observed([y], [None], targets=[x])
    leaves = [node for kind, node, *_ in events if kind == "leaf"]
    assert len(leaves) == 1 and leaves[0] is x
    assert w.grad is None


def test_nothing_is_released_where_the_graph_is_retained_nor_grad_touched():
    x = tensor([1.0]).requires_grad_()
    y = x.exp()
    events = observed([y], [None], retain_graph=True, accumulate=False)
    assert [e[0] for e in events] == ["start", "gradient", "contribution", "leaf"]
    assert x.grad is None
    assert [e[0] for e in observed([y], [None])][-2:] == ["release", "leaf"]


def test_recorded_gradients_are_tensors():
    x = tensor([1.0, 2.0]).requires_grad_()
    seen = []

    class Second(BackwardObserver):
        def see_contribution(self, record, i, g, d, total):
            seen.append(d)

    run_backward([(x * x * x).sum()], [None], None, True, [x], False, watch=Second())
    assert all(isinstance(d, Tensor) for d in seen)
    assert any(d.requires_grad for d in seen)


def test_a_hook_s_gradient_is_what_is_seen():
    x = tensor([1.0, 2.0]).requires_grad_()
    y = x.exp()
    y.register_hook(lambda g: g * 10)
    events = observed([y.sum()], [None])
    (g,) = [e[2] for e in events if e[0] == "gradient" and e[1] is y.grad_fn]
    np.testing.assert_array_equal(g, [10, 10])


def test_an_observer_of_its_own_takes_the_place_of_the_one_for_all():
    x = tensor([0.0]).requires_grad_()
    with autograd.detect_anomaly():
        with pytest.raises(errors.AutogradError, match="became NaN"):
            (x.sqrt() * 0).sum().backward()
        events = observed([(x.sqrt() * 0).sum()], [None])
    assert events[-1][0] == "leaf"
