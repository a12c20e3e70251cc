"""A recorded computation, run again: on other values, in another dtype, or step by step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import MutationError
from ..ops.base import Op, Value
from ..ops.shape import Cast
from .engine import Node, Record, Tensor
from .methods.gradient import inputs_first
from .recording import enable_grad


def nodes_of(outputs: Sequence[Tensor]) -> list[Node]:
    """The records and leaves behind these results, each after those it came from."""
    return inputs_first([t._node for t in outputs])


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


def record_again(
    nodes: Sequence[Node], convert: Callable[[Value], Value] = lambda x: x
) -> dict[Node, Tensor]:
    """Every result and leaf computed again, as a new graph; what is there stays.

    From the values that the leaves have now. Hooks are not called.
    """
    values: dict[Node, Any] = {
        leaf: Tensor._wrap(convert(leaf._array)).requires_grad_()
        for leaf in nodes
        if isinstance(leaf, Tensor)
    }
    with enable_grad():
        for record, _, _, y in replay(nodes, values, convert):
            values[record] = y
    return values


def require_unchanged(result: Tensor, again: Tensor, name: str = "it") -> None:
    """Refuse a result that has other values when it is computed again."""
    room = 100 * np.finfo(result.dtype).eps
    if not np.allclose(again._array, result._array, room, room, equal_nan=True):
        raise MutationError(
            "the parameters or the data have changed since the forward pass, by an "
            f"optimizer's step perhaps: compute {name} again"
        )


def as_dtype(dtype: Any) -> Callable[[Value], Value]:
    """A conversion of floating arrays to this dtype; anything else stays as it is."""

    def convert(x: Value) -> Value:
        is_float = isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "f"
        return x.astype(dtype) if is_float else x

    return convert


def _converted(op: Op, convert: Callable[[Value], Value]) -> Op:
    if isinstance(op, Cast) and op.dtype.kind == "f":
        return dataclasses.replace(op, dtype=convert(np.zeros((), op.dtype)).dtype)
    return op


def tensors_in(nested: Any) -> Iterator[Tensor]:
    """The Tensors in any nesting of tuples, lists, dicts and dataclasses, in order."""
    stack = [nested]
    while stack:
        part = stack.pop()
        if isinstance(part, Tensor):
            yield part
        elif isinstance(part, Mapping):
            stack += list(part.values())[::-1]
        elif isinstance(part, tuple | list):
            stack += reversed(part)
        elif dataclasses.is_dataclass(part) and not isinstance(part, type):
            fields = dataclasses.fields(part)
            stack += [getattr(part, field.name) for field in reversed(fields)]
