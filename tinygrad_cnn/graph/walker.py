"""From recorded Tensors to a graph of plain data. Loops, never a recursion."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..core.engine import Node as Recorded
from ..core.engine import Record, Tensor
from ..core.methods.gradient import inputs_first
from ..core.replaying import record_again, tensors_in
from ..errors import ArgumentError
from ..nn import Module, Parameter
from ..ops.base import Memo, Op
from ..ops.formulas import formulas
from .data import Edge, Graph, Node

Array = np.ndarray[Any, Any]


def walk(target: Any, names: Mapping[str, Any] | None = None, title: str = "") -> Graph:
    """The graph behind Tensors, which may be nested in lists, dicts and dataclasses.

    names: Tensors, arrays and Modules by what to call them; a Module names its parameters
    and buffers, below its own name unless that is "". A tensor that is used twice is one
    node, and so are constants on the same memory. Raises ArgumentError if there is no
    Tensor in `target`.

    A leaf is a "parameter" if it is one, else an "input". A value that asks for no gradient
    is what its name says: a (frozen) parameter, or an input such as images and labels; a
    buffer, and what has no name, is a "constant", called as the operation calls it.
    Numbers are no nodes but attributes.
    """
    return Walk(target, names, title).graph


class Walk:
    """A graph, and what was recorded for each of its nodes.

    outputs: the Tensors that were walked from. ends: what was recorded of each, None for
    constants. ids: the node of each record and leaf, inputs first. arrays: the values of
    constants, by node.
    """

    def __init__(
        self, target: Any, names: Mapping[str, Any] | None = None, title: str = ""
    ) -> None:
        self.outputs = list(tensors_in(target))
        if not self.outputs:
            raise ArgumentError(
                f"there is no Tensor in this {type(target).__name__}: give a result, or "
                "several in a list, a dict or a dataclass"
            )
        self.names = Names(names or {})
        self.graph = Graph(title=title)
        self.ids: dict[Recorded, str] = {}
        self.arrays: dict[str, Any] = {}
        self._constants: dict[Any, str] = {}
        self._formulas = Memo(formulas)
        self.ends = [t._node for t in self.outputs]
        self.extend(self.ends)
        found = [self.node_of(output, "result").id for output in self.outputs]
        self.graph.outputs = list(dict.fromkeys(found))

    def extend(self, roots: Sequence[Recorded | None]) -> list[Node]:
        """Add what leads to these records and leaves, inputs first; the nodes added.

        Among them are constants that are met for the first time.
        """
        before = len(self.graph)
        for recorded in inputs_first(roots, self.ids):
            self.add(recorded)
        newest = reversed(self.graph.nodes.values())
        return list(islice(newest, len(self.graph) - before))[::-1]

    def again(self) -> dict[Recorded, Tensor]:
        """Every result and leaf computed again, as a new graph; what is there stays."""
        return record_again(list(self.ids))

    def move(self, values: Mapping[Recorded, Tensor]) -> None:
        """Let the nodes stand for what was recorded of these values from now on."""
        new = {old: y._record or y for old, y in values.items()}
        self.ids = {new[old]: id for old, id in self.ids.items()}
        self.ends = [None if old is None else new[old] for old in self.ends]

    def node_of(self, tensor: Tensor, label: str) -> Node:
        """The node of a result, a leaf or a constant; label: of a constant not seen yet."""
        recorded = tensor._node
        if recorded is None:
            return self._constant(tensor._array, label)
        return self.graph.nodes[self.ids[recorded]]

    def add(self, recorded: Recorded) -> Node:
        """Add the node of a record, whose inputs have nodes already, or of a leaf."""
        if isinstance(recorded, Record):
            node = self._operation(recorded)
        else:
            kind = "parameter" if isinstance(recorded, Parameter) else "input"
            node = self.value(recorded._array, kind, kind)
        self.ids[recorded] = node.id
        return node

    def value(self, array: Any, kind: str, label: str) -> Node:
        """Add a node for a value that no operation made; its name tells best what it is."""
        name = self.names.of(array) or Name(label, kind)
        node = Node(self._id(), name.kind, name.label, module=name.module)
        node.shape, node.dtype, node.bytes = array.shape, str(array.dtype), array.nbytes
        return self.graph.add(node)

    def _constant(self, array: Any, label: str) -> Node:
        """The node of an array that no gradient goes to."""
        key = _shown(array)
        if key not in self._constants:
            node = self.value(array, "constant", label)
            self._constants[key] = node.id
            self.arrays[node.id] = array
        return self.graph.nodes[self._constants[key]]

    def _operation(self, record: Record) -> Node:
        op = record.op
        names = input_names(op, len(record.parents))
        numbers: dict[str, str] = {}
        sources: dict[str, str] = {}
        for name, parent, constant in zip(
            names, record.parents, record.constants, strict=True
        ):
            if parent is not None:
                sources[name] = self.ids[parent]
            elif self._is_node(constant):
                sources[name] = self._constant(constant, name).id
            elif constant is not None:
                numbers[name] = str(constant)
        known = self._formulas[type(op)]
        node = Node(
            self._id(),
            "operation",
            record.name(),
            name=self.names.of_record.get(record, ""),
            module=record.module,
            attributes=attributes(op) | numbers,
            shape=record.shape,
            dtype=str(record.dtype),
            bytes=math.prod(record.shape) * record.dtype.itemsize,
            inputs=names,
            input_shapes=list(record.input_shapes),
            formula=known.forward,
            gradients={
                name: known.gradients.get(op.input_name(i), "")
                for i, name in enumerate(names)
                if record.parents[i] is not None
            },
            documentation=known.text,
            where=str(record.where),
        )
        edges = [Edge(source, node.id, name) for name, source in sources.items()]
        self.graph.edges += edges
        return self.graph.add(node)

    def _is_node(self, constant: Any) -> bool:
        """Whether it is an array, not merely a number without a name."""
        if not isinstance(constant, np.ndarray):
            return False
        return bool(constant.ndim) or self.names.of(constant) is not None

    def _id(self) -> str:
        return f"n{len(self.graph)}"


@dataclasses.dataclass
class Name:
    """What a value is called, what it is, and the path of the module that it belongs to."""

    label: str
    kind: str
    module: str = ""


class Names:
    """What the user calls values: arrays by the memory that they are, results by record."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.of_array: dict[Any, Name] = {}
        self.of_memory: dict[int, tuple[Name, Any]] = {}
        self.of_record: dict[Recorded | None, str] = {}
        for label, value in given.items():
            if isinstance(value, Module):
                self._add_module(label, value)
            elif isinstance(value, Tensor) and value._record is not None:
                self.of_record.setdefault(value._record, label)
            elif isinstance(value, Tensor):
                kind = "parameter" if isinstance(value, Parameter) else "input"
                self._add(value._array, Name(label, kind))
            elif isinstance(value, np.ndarray):
                self._add(value, Name(label, "input"))

    def of(self, array: Any) -> Name | None:
        """The name of an array; that of a view of one says so."""
        named = self.of_array.get(_shown(array))
        of, named_one = self.of_memory.get(id(memory_of(array)), (None, array))
        if named or not of or not _within(array, named_one):
            return named
        kind = "input" if of.kind == "input" else "constant"
        return Name(f"view of {of.label}", kind, of.module)

    def _add_module(self, label: str, module: Module) -> None:
        prefix = f"{label}." if label else ""
        for path, tensor in [*module.named_parameters(), *module.named_buffers()]:
            kind = "parameter" if isinstance(tensor, Parameter) else "constant"
            name = Name(prefix + path, kind, path.rpartition(".")[0])
            self._add(tensor._array, name)

    def _add(self, array: Any, name: Name) -> None:
        self.of_array.setdefault(_shown(array), name)
        self.of_memory.setdefault(id(memory_of(array)), (name, array))


def memory_of(array: Array) -> Array:
    """The array whose memory this one is, or is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _within(array: Any, other: Any) -> bool:
    """Whether all the memory of an array is that of the other, both on the same."""
    (low, high), (least, most) = byte_bounds(array), byte_bounds(other)
    return least <= low and high <= most


def _shown(array: Array) -> tuple[Any, ...]:
    """Equal for arrays that show the same memory in the same way."""
    address = array.__array_interface__["data"][0]
    return address, array.shape, array.strides, array.dtype.str


def input_names(op: Op, count: int) -> list[str]:
    """What the operation calls its inputs."""
    names = [op.input_name(i) for i in range(count)]
    return [f"{n}[{i}]" for i, n in enumerate(names)] if op.variadic else names


def attributes(op: Op) -> dict[str, str]:
    """The fields of an operation, as text, but for those that its repr leaves out."""
    if not dataclasses.is_dataclass(op):
        return {}
    return {f.name: str(getattr(op, f.name)) for f in dataclasses.fields(op) if f.repr}
