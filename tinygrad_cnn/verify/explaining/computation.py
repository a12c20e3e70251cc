"""Where one number of a gradient comes from: the products that it is the sum of."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...core.engine import Node, Record, Tensor, run_backward
from ...core.methods.gradient import cotangent_of
from ...core.replaying import as_dtype, nodes_of, record_again, require_unchanged
from ...errors import AutogradError, DTypeError, IndexingError, ModuleError
from ...nn import Module
from ...ops.base import Position
from .explanation import Explanation, Use, described


def explain(
    loss: Tensor,
    tensor: Tensor | str,
    index: int | Iterable[int],
    *,
    model: Module | None = None,
    gradient: Tensor | None = None,
    dtype: Any = None,
) -> Explanation:
    """∂loss/∂tensor[index] as a sum of products, one for each value that it acted on.

    loss: a computed Tensor of one element; or of any shape, weighted by `gradient`, as in
    backward. tensor: a leaf or a result that the loss came from, or the name of one of
    `model`'s parameters. index: an integer for each axis. model: also gives its names to
    the text. dtype: what to compute in; default: as the loss was, so that the value is the
    one in `.grad`.

    The operations are run again on the leaves: the graph may be used up, `.grad` stays as
    it is, hooks are not called. Raises AutogradError if the loss does not depend on the
    tensor, IndexingError if the index is not that of one value, DTypeError for a tensor
    that can have no gradient, ModuleError for an unknown name, and MutationError if the
    leaves have changed since the loss was computed.

        print(explain(loss, "conv1.weight", (1, 0, 2, 2), model=model))
        explain(loss, image, (0, 0, 13, 13)).terms[0].explain()
    """
    if not isinstance(loss, Tensor):
        raise DTypeError(f"the loss must be a Tensor, got {type(loss).__name__}")
    named_parameters = dict(model.named_parameters()) if model else {}
    if isinstance(tensor, str):
        tensor = _parameter(tensor, named_parameters)
    node = _node_of(tensor)
    names: dict[Node, str] = {p: name for name, p in named_parameters.items()}
    graph = Graph(loss, gradient, dtype, names)
    if node not in graph.grads:
        raise AutogradError(
            "the loss does not depend on this tensor; perhaps on a copy of it"
        )
    return graph.explanation(node, _position(index, tensor.shape))


class Graph:
    """A computation run again, with ∂L/∂(each of its results and leaves).

    names: what to call leaves.
    """

    def __init__(
        self, loss: Tensor, gradient: Any, dtype: Any, names: Mapping[Node, str]
    ) -> None:
        cotangent = cotangent_of(loss, gradient)
        self.names, self.nodes = names, nodes_of([loss])
        with np.errstate(all="ignore"):
            self.values = record_again(self.nodes)
            require_unchanged(loss, self.values[self.nodes[-1]], "the loss")
            if dtype is not None:
                self.values = record_again(self.nodes, as_dtype(_floating(dtype)))
        tensors = [self.values[node] for node in self.nodes]
        found = run_backward([tensors[-1]], [cotangent], None, False, tensors, False)
        self.grads = {node: found[_node_of(self.values[node])] for node in self.nodes}

    def explanation(self, node: Node, index: Position) -> Explanation:
        """∂L/∂node[index]."""
        uses = [
            self._use(record, i, index)
            for record in self.nodes
            if isinstance(record, Record)
            for i, parent in enumerate(record.parents)
            if parent is node
        ]
        name = uses[0].op.input_name(uses[0].i) if uses else "L"
        g = self.grads[node]
        return Explanation(
            name=self.names.get(node, name),
            index=index,
            shape=g.shape,
            dtype=str(g.dtype),
            origin=described(node) if isinstance(node, Record) else "",
            value=float(g[index]),
            uses=uses,
        )

    def _use(self, record: Record, i: int, index: Position) -> Use:
        """What the record does with the entry, in the dtype of the new run."""
        new = self.values[record]._record
        assert new is not None
        pairs = zip(record.parents, new.constants, strict=True)
        inputs = [c if p is None else self.values[p]._array for p, c in pairs]
        return Use(
            record, new.op, inputs, i, index, self.grads[record], self.explanation
        )


def _floating(dtype: Any) -> np.dtype[Any]:
    if np.dtype(dtype).kind != "f":
        raise DTypeError(f"gradients are computed in a floating dtype, not {dtype}")
    return np.dtype(dtype)


def _parameter(name: str, parameters: Mapping[str, Tensor]) -> Tensor:
    if name not in parameters:
        known = ", ".join(parameters) or "none: give the model as well"
        raise ModuleError(f"there is no parameter {name!r}; the names are {known}")
    return parameters[name]


def _node_of(tensor: Any) -> Node:
    if not isinstance(tensor, Tensor):
        raise DTypeError(
            "explain() takes a Tensor, or a parameter's name and the model; got "
            f"{type(tensor).__name__}"
        )
    if tensor.dtype.kind != "f":
        raise DTypeError(f"only floats have gradients; this tensor is {tensor.dtype}")
    if tensor._node is None:
        raise AutogradError(
            "no gradient was asked of this tensor: call requires_grad_() on it before "
            "the loss is computed"
        )
    return tensor._node


def _position(index: Any, shape: tuple[int, ...]) -> Position:
    """The index, if it is that of one value, with each entry counted from the front."""
    given = tuple(index) if isinstance(index, Iterable) else (index,)
    try:
        entries = [operator.index(k) for k in given if not isinstance(k, bool)]
    except TypeError:
        entries = []
    fits = len(given) == len(entries) == len(shape)
    if not fits or any(not -n <= k < n for k, n in zip(entries, shape, strict=True)):
        raise IndexingError(
            f"index {index} is not that of one value in the shape {list(shape)}: give an "
            "integer for each axis, within it"
        )
    return tuple([k % n for k, n in zip(entries, shape, strict=True)])
