"""Mistakes between the scores and the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...core.engine import Node, Record
from ...core.methods.gradient import inputs_first
from .finding import Finding, finding
from .graph import Graph, given, origin


def loss_not_finite(graph: Graph) -> Iterator[Finding]:
    """A loss of inf or NaN, and where the first such value is from."""
    if np.isfinite(graph.loss._array).all():
        return
    for record, (inputs, y) in graph.values.items():
        if not np.isfinite(y).all():
            name = record.name()
            first = f"The first such result is that of {name}, of finite inputs."
            for i, x in enumerate(inputs):
                if x is not None and not np.isfinite(x).all():
                    first = f"So is {record.op.input_name(i)}, an input of {name}."
            yield finding("loss-not-finite", record, first=first)
            return
    yield finding("loss-not-finite", None, first="")


WRONG = {
    ("scores", "rectified"): "relu-before-cross-entropy",
    ("scores", "probabilities"): "softmax-before-cross-entropy",
    ("scores", "probability"): "softmax-before-cross-entropy",
    ("scores", "log-probabilities"): "log-softmax-twice",
    ("logits", "rectified"): "relu-before-cross-entropy",
    ("logits", "probabilities"): "sigmoid-before-logits-loss",
    ("logits", "probability"): "sigmoid-before-logits-loss",
    ("log-probabilities", "probabilities"): "softmax-before-nll",
}
"""The code of what an operation takes, and what it is given."""


def values_of_another_kind(graph: Graph) -> Iterator[Finding]:
    """Losses, and what they begin with, given something else than they take."""
    for record in graph.records:
        before = origin(record.parents[0])
        code = WRONG.get((record.op.takes, given(before)))
        if code and isinstance(before, Record):
            axis = getattr(record.op, "axis", -1)
            others = record.shape[axis] - 1 if record.shape else 0
            values = {"name": before.name().lower(), "classes": others + 1}
            least = math.log1p(others / math.e)
            yield finding(code, before, **values, others=others, least=least)


def log_of_softmax(graph: Graph) -> Iterator[Finding]:
    """Right, but not where a probability underflows."""
    for record in graph.records:
        before = origin(record.parents[0], adjusted=True)
        if (record.op.takes, given(before)) == ("positive", "probabilities"):
            yield finding("log-of-softmax", record)


def nll_without_log_softmax(graph: Graph) -> Iterator[Finding]:
    """nll_loss takes log-probabilities, whose exponentials sum to 1."""
    for record in graph.records:
        x = record.parents[0]
        before = origin(x)
        if record.op.takes != "log-probabilities" or given(before) == "probabilities":
            continue
        # log-probabilities may have been made anywhere on the way
        logs = {"logarithms", "log-probabilities"}
        if logs.isdisjoint(map(given, inputs_first([x]))) or _along_other_axis(x):
            with np.errstate(all="ignore"):
                totals = np.exp(graph.values[record][0][0]).sum(axis=1)
            off = np.abs(totals - 1)
            if not (off <= 0.01).all():
                place = before if isinstance(before, Record) else record
                yield finding("nll-of-scores", place, total=totals.flat[off.argmax()])


def _along_other_axis(node: Node | None) -> bool:
    """Whether this is a log-softmax, but not over the classes."""
    along = getattr(node.op, "axis", 1) if isinstance(node, Record) else 1
    return given(node) == "log-probabilities" and along != 1
