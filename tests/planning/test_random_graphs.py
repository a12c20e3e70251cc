"""Graphs drawn at random: results of few shapes, used early and late, seen through views.

Memory that a plan gives to another result too early would show here.
"""

import numpy as np
import pytest
from side_by_side import Pair

import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor, cat
from tinygrad_cnn.kernels import threads

SIDE = 4
ONE = [
    lambda a: a.tanh(),
    lambda a: a.relu(),
    lambda a: (a * 0.1).exp(),
    lambda a: -a,
    lambda a: a.t(),
    lambda a: a.sigmoid() / 2,
    lambda a: a.softmax(1),
    lambda a: a.log_softmax(0),
    lambda a: a.reshape(2, -1).t().reshape(SIDE, SIDE),
    lambda a: a.reshape(-1)[:SIDE].expand(SIDE, SIDE),
    lambda a: a[1:2].expand(SIDE, SIDE),
    lambda a: a.sum(0, keepdim=True) + a,
    lambda a: a.mean(1, keepdim=True) * a,
    lambda a: a.flip(0),
    lambda a: a.clone(),
    lambda a: F.pad(a, (1, -1)),
]
TWO = [
    lambda a, b: a + b,
    lambda a, b: a - b.t(),
    lambda a, b: a * b,
    lambda a, b: a @ b / SIDE,
    lambda a, b: F.linear(a, b, b[0]).relu(),
    lambda a, b: cat([a[:2], b[2:]]),
    lambda a, b: cat([a, b], 1)[:, ::2],
]


class Graph(nn.Module):
    """Each step applies an operation to earlier results; the last is the output."""

    def __init__(self, d):
        super().__init__()
        values = [Tensor(d.rng.normal(size=(SIDE, SIDE)) / 2) for _ in range(3)]
        self.weights = nn.ParameterList([nn.Parameter(v) for v in values])
        count = len(values) + 1
        self.steps = []
        for i in range(d.int(3, 15)):
            op = d.of(ONE + TWO)
            operands = [d.int(0, count + i - 1) for _ in range(1 + (op in TWO))]
            self.steps.append((op, operands))
        self.sums = d.bool()

    def forward(self, x):
        results = [x, *self.weights]
        for op, operands in self.steps:
            results.append(op(*(results[i] for i in operands)))
        first = results[1]  # so that some weight takes part
        return sum(results[4:], first) if self.sums else results[-1] + first


def test_plans_of_drawn_graphs_agree(for_drawn, table):
    replayed = []

    @for_drawn(60)
    def _(d):
        both = Pair(Graph(d), F.mse_loss)
        for _ in range(3):
            x, y = (Tensor._wrap(d.laid(d.rng.normal(size=(SIDE, SIDE)))) for _ in "xy")
            both.agree(x, y, replayed=None)
        replayed.append(both.step.why is None)

    assert np.mean(replayed) > 0.9


def test_predictions_of_drawn_graphs_agree(for_drawn, table):
    @for_drawn(40)
    def _(d):
        both = Pair(Graph(d))
        for _ in range(3):
            both.agree(Tensor._wrap(d.laid(d.rng.normal(size=(SIDE, SIDE)))))


@pytest.mark.parametrize("number", [1, 2])
def test_so_they_do_where_every_product_is_worth_a_compiled_kernel(
    number, for_drawn, monkeypatch
):
    pytest.importorskip("numba")
    monkeypatch.setattr(threads, "WORTH", 0)
    monkeypatch.setattr(threads.Pool, "compiled", number)

    @for_drawn(60)
    def _(d):
        both = Pair(Graph(d), F.mse_loss)
        for _ in range(3):
            x, y = (Tensor._wrap(d.laid(d.rng.normal(size=(SIDE, SIDE)))) for _ in "xy")
            both.agree(x, y, replayed=None)
        both = Pair(nn.Linear(d.int(1, 9), d.int(1, 9), bias=d.bool()))
        for _ in range(2):
            size = d.int(1, 20), both.model.in_features
            both.agree(Tensor._wrap(d.laid(d.rng.normal(size=size).astype("f"))))
