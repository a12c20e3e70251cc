"""A recorded computation, run again: on other values, in another dtype, or step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .engine import Node, Record, Tensor
from .ops.base import Op, Value
from .ops.shape import Cast


def nodes_of(outputs: Sequence[Tensor]) -> list[Node]:
    """The records and leaves behind these results, each after those it came from."""
    order: list[Node] = []
    seen: set[Node] = set()
    roots = [t._node for t in reversed(outputs)]
    stack = [(node, False) for node in roots if node is not None]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            parents = node.parents if isinstance(node, Record) else ()
            stack += [(p, False) for p in reversed(parents) if p is not None]
    return order


def leaves_of(outputs: Sequence[Tensor]) -> list[Tensor]:
    """The leaves that require a gradient, in the order in which they were first used."""
    return [node for node in nodes_of(outputs) if isinstance(node, Tensor)]


def replay(
    nodes: Sequence[Node],
    leaves: Mapping[Any, Value],
    convert: Callable[[Value], Value] = lambda x: x,
) -> Iterator[tuple[Record, Op, list[Value], Value]]:
    """Apply each record's operation again, inputs first: record, operation, inputs, result.

    leaves: what stands for each leaf; Tensors give a new graph, arrays only values.
    convert: applied to what no gradient goes to (labels, masks, running means).
    A record that was used up by a backward pass can be replayed like any other.
    """
    values: dict[Node, Value] = dict(leaves)
    for node in nodes:
        if not isinstance(node, Record):
            continue
        pairs = zip(node.parents, node.constants, strict=True)
        inputs = [convert(c) if p is None else values[p] for p, c in pairs]
        op = _converted(node.op, convert)
        values[node] = op(*inputs)
        yield node, op, inputs, values[node]


def as_dtype(dtype: Any) -> Callable[[Value], Value]:
    """A conversion of floating arrays to this dtype; anything else stays as it is."""

    def convert(x: Value) -> Value:
        is_float = isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "f"
        return x.astype(dtype) if is_float else x

    return convert


def _converted(op: Op, convert: Callable[[Value], Value]) -> Op:
    if isinstance(op, Cast) and op.dtype.kind == "f":
        return replace(op, dtype=convert(np.zeros((), op.dtype)).dtype)
    return op


def tensors_in(nested: Any) -> Iterator[Tensor]:
    """The Tensors in any nesting of tuples, lists and dicts."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, Mapping):
        yield from tensors_in(list(nested.values()))
    elif isinstance(nested, tuple | list):
        for part in nested:
            yield from tensors_in(part)
