"""The backward pass as a graph: the gradient is recorded, and what it recorded is shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import Node as Recorded
from ..engine import Tensor
from ..errors import ArgumentError
from ..methods.gradient import cotangent_of, topological_order
from ..recording import enable_grad
from .data import Edge, Node
from .walk import Walk


def with_backward(walk: Walk, gradient: Any = None) -> Walk:
    """Add to the graph of a computation what its backward pass computes; return the walk.

    gradient: ∂L/∂output where a pass begins, a Tensor for each output that has a graph
    (one alone as itself); 1 by default, for outputs of one element.

    The computation is run again and differentiated as by `backward(create_graph=True)`, in
    the same order: graph, `.grad` and hooks of the user's are left alone. What a gradient
    rule records belongs to the forward node and to the input that the rule is for; where
    gradients of several uses meet, their sums belong to the node that was used. A rule that
    hands its g on (addition) records nothing. A pass begins at a node of kind "gradient",
    and ends at one for each leaf, "∂L/∂conv1.weight", which serves that leaf.
    Raises AutogradError where nothing requires a gradient, or an output needs `gradient`.
    """
    cotangents = cotangents_of(walk, gradient)
    walk.move(walk.again())
    _Backward(walk).run(cotangents)
    return walk


def cotangents_of(walk: Walk, gradient: Any) -> list[Tensor]:
    """∂L/∂output for each output of the walk that has a graph."""
    outputs = [t for t in walk.outputs if t._node is not None] or walk.outputs[:1]
    given = list(gradient) if isinstance(gradient, list | tuple) else [gradient]
    given = given * len(outputs) if gradient is None else given
    if len(given) != len(outputs):
        raise ArgumentError(f"{len(outputs)} outputs but {len(given)} gradients")
    return [cotangent_of(t, g) for t, g in zip(outputs, given, strict=True)]


class _Backward:
    """One backward pass over a walk; what it records becomes part of the graph."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.grads: dict[Recorded, Tensor] = {}

    def run(self, cotangents: list[Tensor]) -> None:
        """The engine's walk, recording."""
        with enable_grad(), np.errstate(all="ignore"):
            ends = [end for end in self.walk.ends if end is not None]
            for end, cotangent in zip(ends, cotangents, strict=True):
                self.add(end, self._start(end, cotangent))
            for recorded in topological_order(ends):
                if recorded in self.grads:
                    self._visit(recorded, self.grads.pop(recorded))

    def _start(self, end: Recorded, cotangent: Tensor) -> Tensor:
        # A leaf, so that all that comes of it is recorded.
        start = Tensor._wrap(cotangent._array).requires_grad_()
        one = start.numel() == 1 and start.item() == 1
        node = self.walk.value(start._array, "gradient", "1" if one else "∂L/∂y")
        self.walk.ids[start] = node.id
        return start

    def _visit(self, recorded: Recorded, g: Tensor) -> None:
        if isinstance(recorded, Tensor):
            return self._finish(recorded, g)
        asked = [i for i, p in enumerate(recorded.parents) if p is not None]
        forward = self.node(recorded)
        for i, d in recorded.gradients(asked, g, True):
            if d is not None:
                d = d if isinstance(d, Tensor) else Tensor._wrap(d)
                self._claim(d, forward, forward.inputs[i])
                self.add(recorded.parents[i], d)

    def add(self, recorded: Any, d: Tensor) -> None:
        """Add to the gradient of a node; the sum is a part of that gradient."""
        if recorded in self.grads:
            d = self.grads[recorded] + d
            self._claim(d, self.node(recorded), None)
        self.grads[recorded] = d

    def _finish(self, leaf: Tensor, g: Tensor) -> None:
        forward, source = self.node(leaf), self.walk.node_of(g, "gradient")
        end = self.walk.value(g._array, "gradient", f"∂L/∂{forward.label}")
        end.backward_of, end.module = forward.id, forward.module
        self.walk.graph.edges.append(Edge(source.id, end.id))
        self.walk.graph.outputs.append(end.id)

    def node(self, recorded: Recorded) -> Node:
        """The node of what was recorded."""
        return self.walk.graph.nodes[self.walk.ids[recorded]]

    def _claim(self, d: Tensor, forward: Node, name: str | None) -> None:
        """What was recorded for d, and has no node yet, serves the gradient of a node."""
        new = [d._node] if d._node is not None else []
        for node in self.walk.extend(new):
            node.backward_of, node.backward_input = forward.id, name
            node.module, node.where = forward.module, forward.where
