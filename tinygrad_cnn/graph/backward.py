"""The backward pass as a graph: the gradient is recorded, and what it recorded is shown."""

from __future__ import annotations

from typing import Any

from ..core.engine import BackwardObserver, Record, Tensor, run_backward
from ..core.engine import Node as Recorded
from ..core.gradients import cotangents_for
from ..core.methods.gradient import cotangent_of
from ..core.recording import flat_slopes, setting
from ..ops.base import Value
from .data import Edge, Node
from .walker import Walk


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
    # Leaves, so that all that comes of them is recorded.
    starts = [Tensor._wrap(g._array).requires_grad_() for g in cotangents]
    values = walk.again()
    ends = [values[end] for end in walk.ends if end is not None]
    walk.move(values)
    for start in starts:
        one = start.numel() == 1 and start.item() == 1
        node = walk.value(start._array, "gradient", "1" if one else "∂L/∂y")
        walk.ids[start] = node.id
    with setting(flat_slopes, False):
        run_backward(ends, starts, None, True, None, False, watch=_Backward(walk))
    return walk


def cotangents_of(walk: Walk, gradient: Any) -> list[Tensor]:
    """∂L/∂output for each output of the walk that has a graph."""
    outputs = [t for t in walk.outputs if t._node is not None] or walk.outputs[:1]
    given = cotangents_for(outputs, gradient)
    return [cotangent_of(t, g) for t, g in zip(outputs, given, strict=True)]


class _Backward(BackwardObserver):
    """Makes what a walk back records a part of the graph."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk

    def see_start(self, node: Recorded, g: Value, total: Value) -> None:
        self._claim(total, self.node(node), None)

    def see_contribution(
        self, record: Record, i: int, g: Value, d: Value, total: Value
    ) -> None:
        forward = self.node(record)
        self._claim(d, forward, forward.inputs[i])
        self._claim(total, self.node(record.parents[i]), None)

    def see_leaf(self, leaf: Tensor, g: Value) -> None:
        g = g if isinstance(g, Tensor) else Tensor._wrap(g)
        forward, source = self.node(leaf), self.walk.node_of(g, "gradient")
        end = self.walk.value(g._array, "gradient", f"∂L/∂{forward.label}")
        end.backward_of, end.module = forward.id, forward.module
        self.walk.graph.edges.append(Edge(source.id, end.id))
        self.walk.graph.outputs.append(end.id)

    def node(self, recorded: Recorded) -> Node:
        """The node of what was recorded."""
        return self.walk.graph.nodes[self.walk.ids[recorded]]

    def _claim(self, d: Value, forward: Node, name: str | None) -> None:
        """What was recorded for d, and has no node yet, serves the gradient of a node."""
        new = d._node if isinstance(d, Tensor) else None
        for node in self.walk.extend([new]):
            node.backward_of, node.backward_input = forward.id, name
            node.module, node.where = forward.module, forward.where
