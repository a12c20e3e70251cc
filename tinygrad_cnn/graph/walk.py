"""From recorded Tensors to a graph of plain data. A loop, never a recursion."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from ..engine import Node as Recorded
from ..engine import Record, Tensor
from ..nn import Module, Parameter
from ..ops.base import Op
from ..ops.formulas import formulas
from ..replay import nodes_of, tensors_in
from .data import Edge, Graph, Node


def walk(target: Any, names: Mapping[str, Any] | None = None, title: str = "") -> Graph:
    """The graph behind Tensors, nested as you like: operations, leaves and constants.

    names: what to call Tensors and arrays, by name; Modules among them name their
    parameters. A tensor that is used twice is one node.
    """
    outputs = list(tensors_in(target))
    return Walk(Names(names or {}), title).graph(outputs)


class Names:
    """What the user calls Tensors, arrays and parameters."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.by_array: dict[int, str] = {}
        for name, value in given.items():
            for path, tensor in _named_tensors(name, value):
                self.by_array.setdefault(id(tensor._array), path)

    def of(self, array: Any, otherwise: str) -> str:
        """The name of an array, which may be a view of a named one."""
        return self.by_array.get(id(array), otherwise)


def _named_tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Module):
        prefix = f"{name}." if name else ""
        yield from ((prefix + key, p) for key, p in value.named_parameters())
        yield from ((prefix + key, b) for key, b in value.named_buffers())
    elif isinstance(value, Tensor):
        yield name, value


class Walk:
    """Numbers the nodes; keeps which node stands for what was recorded."""

    def __init__(self, names: Names, title: str = "") -> None:
        self.names = names
        self.result = Graph(title=title)
        self.ids: dict[Recorded, str] = {}
        self.numbers = count()
        self.constants: dict[int, str] = {}

    def graph(self, outputs: Sequence[Tensor]) -> Graph:
        """The graph of these results."""
        for recorded in nodes_of(outputs):
            self.add(recorded)
        for output in outputs:
            if output._node is None:
                self.add_constant(output._array, "result")
        nodes = [t._node for t in outputs]
        self.result.outputs = list(
            dict.fromkeys(
                self.constants[id(t._array)] if node is None else self.ids[node]
                for node, t in zip(nodes, outputs, strict=True)
            )
        )
        return self.result

    def add(self, recorded: Recorded) -> Node:
        """The node of a record, whose inputs have nodes already, or of a leaf."""
        if isinstance(recorded, Record):
            return self._add_record(recorded)
        label = self.names.of(recorded._array, "")
        kind = "parameter" if isinstance(recorded, Parameter) else "input"
        node = self._value(kind, label or kind, recorded._array)
        self.ids[recorded] = node.id
        return node

    def add_constant(self, array: Any, label: str) -> Node:
        """The node of an array that no gradient goes to."""
        if id(array) in self.constants:
            return self.result.nodes[self.constants[id(array)]]
        node = self._value("constant", self.names.of(array, label), array)
        self.constants[id(array)] = node.id
        return node

    def _value(self, kind: str, label: str, array: Any) -> Node:
        node = Node(self._id(), kind, label, shape=array.shape, dtype=str(array.dtype))
        node.module = label.rpartition(".")[0] if kind == "parameter" else ""
        node.bytes = array.nbytes
        return self.result.add(node)

    def _add_record(self, record: Record) -> Node:
        op = record.op
        names = input_names(op, len(record.parents))
        forward, gradients = formulas(type(op))[:2]
        node = Node(
            self._id(),
            "operation",
            record.name(),
            module=record.module,
            attributes=attributes(op),
            shape=record.shape,
            dtype=str(record.dtype),
            bytes=int(np.prod(record.shape)) * record.dtype.itemsize,
            inputs=names,
            input_shapes=list(record.input_shapes),
            formula=forward,
            gradients={
                name: gradients.get(op.input_name(i), "")
                for i, name in enumerate(names)
                if record.parents[i] is not None
            },
            documentation=type(op).__doc__ or "",
            where=str(record.where),
        )
        self.ids[record] = node.id
        self.result.edges += [
            Edge(source, node.id, name) for source, name in self._sources(record, names)
        ]
        return self.result.add(node)

    def _sources(self, record: Record, names: list[str]) -> Iterator[tuple[str, str]]:
        """The nodes that the inputs come from, and what they are as inputs."""
        triples = zip(names, record.parents, record.constants, strict=True)
        for name, parent, constant in triples:
            if parent is not None:
                yield self.ids[parent], name
            elif isinstance(constant, np.ndarray) and constant.ndim:
                yield self.add_constant(constant, name).id, name

    def _id(self) -> str:
        return f"n{next(self.numbers)}"


def input_names(op: Op, count: int) -> list[str]:
    """What the operation calls its inputs."""
    names = [op.input_name(i) for i in range(count)]
    return [f"{n}[{i}]" for i, n in enumerate(names)] if op.variadic else names


def attributes(op: Op) -> dict[str, str]:
    """The fields of an operation, as text, but for those that its repr leaves out."""
    if not dataclasses.is_dataclass(op):
        return {}
    return {f.name: str(getattr(op, f.name)) for f in dataclasses.fields(op) if f.repr}
