"""Mistakes between the scores and the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...engine import Node, Record
from ...ops.arithmetic import Add, Log
from ...ops.classification import LogisticLoss, LogSoftmax, NLLLoss
from ...ops.reduction import LogSumExp
from ...ops.selection import Clip
from .finding import Finding, finding
from .graph import Graph, kind, origin


def loss_not_finite(graph: Graph) -> Iterator[Finding]:
    """A loss of inf or NaN, and where the first such value is from."""
    if np.isfinite(graph.loss._array).all():
        return
    for record, (inputs, y) in graph.values.items():
        if not np.isfinite(y).all():
            first = (
                f"The first such result is that of {record.name()}, of finite inputs."
            )
            for i, x in enumerate(inputs):
                if x is not None and not np.isfinite(x).all():
                    bad = record.op.input_name(i)
                    first = f"So is {bad}, an input of {record.name()}."
            yield finding("loss-not-finite", record, first=first)
            return
    yield finding("loss-not-finite", None, first="")


def scores_not_free(graph: Graph) -> Iterator[Finding]:
    """Losses that take scores of any size, given something else."""
    for record in graph.of(LogSoftmax, LogisticLoss):
        name, place = _given(record)
        bounded = name in ("Softmax", "Sigmoid")
        if name == "ReLU":
            yield finding("relu-before-cross-entropy", place)
        elif not isinstance(record.op, LogSoftmax):
            if bounded:
                yield finding("sigmoid-before-logits-loss", place, name=name.lower())
        elif name == "LogSoftmax":
            yield finding("log-softmax-twice", place)
        elif bounded:
            classes = record.shape[record.op.axis]
            values = {"name": name.lower(), "classes": classes, "others": classes - 1}
            values["least"] = math.log1p((classes - 1) / math.e)
            yield finding("softmax-before-cross-entropy", place, **values)


def log_of_softmax(graph: Graph) -> Iterator[Finding]:
    """Right, but not where a probability underflows."""
    for record in graph.of(Log):
        if kind(origin(record.parents[0], Add, Clip)) == "Softmax":
            yield finding("log-of-softmax", record)


def nll_without_log_softmax(graph: Graph) -> Iterator[Finding]:
    """nll_loss takes log-probabilities, whose exponentials sum to 1."""
    for record in graph.of(NLLLoss):
        name, place = _given(record)
        x = record.parents[0]
        if name == "Softmax":
            yield finding("softmax-before-nll", place)
        elif not _any_log_behind(x) or _along_other_axis(x):
            with np.errstate(all="ignore"):
                totals = np.exp(graph.values[record][0][0]).sum(axis=1)
            off = np.abs(totals - 1)
            if not (off <= 0.01).all():
                yield finding("nll-of-scores", place, total=totals.flat[off.argmax()])


def _given(record: Record) -> tuple[str, Record]:
    """The name of the operation whose result this one is given, and the place to show."""
    before = origin(record.parents[0])
    return kind(before), before if isinstance(before, Record) else record


def _along_other_axis(node: Node | None) -> bool:
    """Whether this is a log-softmax, but not over the classes."""
    op = node.op if isinstance(node, Record) else None
    return isinstance(op, LogSoftmax) and op.axis != 1


def _any_log_behind(node: Node | None) -> bool:
    """Whether log-probabilities may have been made somewhere on the way to this value."""
    stack, seen = [node], set[Node]()
    while stack:
        node = stack.pop()
        if isinstance(node, Record) and node not in seen:
            if isinstance(node.op, LogSoftmax | Log | LogSumExp):
                return True
            seen.add(node)
            stack += node.parents
    return False
