"""A computation as plain data: nodes, edges, and which forward node a backward one serves.

Nothing here knows Tensors: a graph can be written as JSON, read back on another machine,
drawn and compared.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import ArgumentError
from ..output.text import encode_json

VERSION = 1


@dataclass
class Statistics:
    """Of the values, or of the gradient, of a node: over the finite ones."""

    min: float
    mean: float
    max: float
    norm: float
    not_finite: int
    """How many are inf or NaN."""


@dataclass
class Saved:
    """A value that an operation keeps for its backward pass."""

    name: str
    shape: tuple[int, ...]
    bytes: int
    """That it occupies in memory; views of one memory share them."""
    owner: str
    """The node whose value it is; the operation itself for what only it holds."""


@dataclass
class Branches:
    """What a switching operation took: "alive" of ReLUs, "ties" of maxima."""

    what: str
    count: int
    total: int


@dataclass
class Node:
    """An operation, or a value that none made.

    kind: operation, parameter, input (another leaf that asks for a gradient, or a constant
    that the user's code names), constant, gradient (where a backward pass begins, and that
    of a leaf, where it ends) or module (operations folded into one node). What was not
    asked for, or is not known, is None or empty.
    """

    id: str
    kind: str
    label: str
    """The operation's name, or what the value is called."""
    name: str = ""
    """What the user's code calls the result of the operation."""
    module: str = ""
    """Dotted path of the module that it ran in, or belongs to."""
    attributes: dict[str, str] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    dtype: str = ""
    bytes: int = 0
    inputs: list[str] = field(default_factory=list)
    """The names of the operation's inputs, in order."""
    input_shapes: list[tuple[int, ...]] = field(default_factory=list)
    formula: str = ""
    gradients: dict[str, str] = field(default_factory=dict)
    """The formula of the gradient for each input by its name."""
    documentation: str = ""
    where: str = ""
    """The user's line."""
    backward_of: str | None = None
    """The forward node whose gradient this node is a part of."""
    backward_input: str | None = None
    """The input of that node whose gradient it is."""
    saved: list[Saved] = field(default_factory=list)
    view: bool = False
    """Whether the result lies in the memory of an input; found out with `saved`."""
    macs: int | None = None
    """Multiply-accumulates of the forward pass."""
    seconds: float | None = None
    backward_seconds: float | None = None
    values: Statistics | None = None
    gradient: Statistics | None = None
    gradient_computed: bool | None = None
    """Whether a gradient arrived here; None where that was not asked."""
    branches: Branches | None = None
    numbers: list[Any] | None = None
    """The values themselves, of a small tensor, nested."""
    image: str | None = None
    """A thumbnail as a data URI."""
    folded: list[str] = field(default_factory=list)
    """The nodes that this one stands for; its counts are their sums."""
    parameters: int = 0
    """How many numbers the parameters among them have."""
    parameter_bytes: int = 0

    @property
    def is_made(self) -> bool:
        """Whether it is computed, or else a value that no operation made."""
        return self.kind in ("operation", "module")

    @property
    def is_backward(self) -> bool:
        """Whether it belongs to the backward pass."""
        return self.backward_of is not None or self.kind == "gradient"


@dataclass
class Edge:
    """A value that goes from one node to another."""

    source: str
    target: str
    input: str = ""
    """The name of the target's input."""


@dataclass
class Graph:
    """Nodes by id, inputs before results, and edges; `outputs` are ids of results."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    title: str = ""

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def add(self, node: Node) -> Node:
        """Add a node; return it."""
        self.nodes[node.id] = node
        return node

    def edges_into(self) -> dict[str, list[Edge]]:
        """The edges that lead to each node, by its id."""
        return self._edges_by("target")

    def edges_from(self) -> dict[str, list[Edge]]:
        """The edges that lead away from each node, by its id."""
        return self._edges_by("source")

    def _edges_by(self, end: str) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {id: [] for id in self.nodes}
        for edge in self.edges:
            found[getattr(edge, end)].append(edge)
        return found

    def operations(self) -> list[Node]:
        """The forward operations, in order."""
        return [n for n in self if n.kind == "operation" and n.backward_of is None]

    def backward_operations(self) -> list[Node]:
        """The operations of the backward pass, in order."""
        return [n for n in self if n.kind == "operation" and n.backward_of is not None]

    def to_json(self) -> str:
        """The graph as JSON; what is not finite becomes null."""
        values = dataclasses.asdict(self)
        values["nodes"] = list(values["nodes"].values())
        return encode_json({"version": VERSION, **values})

    @classmethod
    def from_json(cls, text: str) -> Graph:
        """The graph that `to_json` wrote. Raises ArgumentError if this is none."""
        try:
            values = json.loads(text)
            if values["version"] != VERSION:
                raise ArgumentError(
                    f"the graph was written as version {values['version']}, not {VERSION}"
                )
            graph = cls(outputs=values["outputs"], title=values["title"])
            for node in values["nodes"]:
                graph.add(_node(node))
            graph.edges = [Edge(**edge) for edge in values["edges"]]
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ArgumentError(f"this is not a graph in JSON: {error!r}") from error
        return graph


def _node(values: dict[str, Any]) -> Node:
    node = Node(**values)
    node.shape = tuple(node.shape)
    node.input_shapes = [tuple(shape) for shape in node.input_shapes]
    node.saved = [Saved(**s | {"shape": tuple(s["shape"])}) for s in values["saved"]]
    parts = {"values": Statistics, "gradient": Statistics, "branches": Branches}
    for name, kind in parts.items():
        if values[name] is not None:
            setattr(node, name, kind(**values[name]))
    return node
