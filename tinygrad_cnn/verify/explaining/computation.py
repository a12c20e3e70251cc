"""Where one number of a gradient comes from: the products that it is the sum of."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...core.engine import Node, Record, Tensor, run_backward
from ...core.methods.gradient import cotangent_of
from ...core.recording import enable_grad
from ...core.replaying import as_dtype, nodes_of, replay
from ...errors import (
    AutogradError,
    DTypeError,
    IndexingError,
    ModuleError,
    MutationError,
)
from ...nn import Module
from ...ops.base import Op, Position, Value
from .explanation import Explanation, Use, described
from .local_derivative import LocalDerivative


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
        self.names, self.loss = names, loss._node
        nodes = nodes_of([loss])
        _check_unchanged(nodes, loss)
        self.applications: dict[Record, tuple[Op, list[Value]]] = {}
        self.uses: dict[Node, list[tuple[Record, int]]] = {n: [] for n in nodes}
        values = self._run(nodes, dtype)
        tensors = list(values.values())
        found = run_backward([tensors[-1]], [cotangent], None, False, tensors, False)
        self.grads = dict(
            zip(values, [found[_node_of(y)] for y in tensors], strict=True)
        )

    def _run(self, nodes: list[Node], dtype: Any) -> dict[Node, Tensor]:
        """Every result and leaf again, in order, as a new graph; notes what used what."""
        convert = as_dtype(_floating(dtype)) if dtype else lambda x: x
        values: dict[Node, Tensor] = {
            node: Tensor._wrap(convert(node._array)).requires_grad_()
            for node in nodes
            if isinstance(node, Tensor)
        }
        with enable_grad():
            for record, op, inputs, y in replay(nodes, values, convert):
                values[record] = y
                arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
                self.applications[record] = op, arrays
                for i, parent in enumerate(record.parents):
                    if parent is not None:
                        self.uses[parent].append((record, i))
        return values

    def explanation(self, node: Node, index: Position) -> Explanation:
        """∂L/∂node[index]."""
        g = self.grads[node]
        origin = described(node) if isinstance(node, Record) else ""
        uses = [self._use(record, i, index) for record, i in self.uses[node]]
        return Explanation(
            *(self._name(node), index, g.shape, str(g.dtype)),
            *(origin, float(g[index]), uses),
        )

    def _use(self, record: Record, i: int, index: Position) -> Use:
        derivative = LocalDerivative(*self.applications[record], i, index)
        return Use(record, derivative, self.grads[record], self.explanation)

    def _name(self, node: Node) -> str:
        if node is self.loss:
            return "L"
        record, i = self.uses[node][0]
        return self.names.get(node, record.op.input_name(i))


def _check_unchanged(nodes: list[Node], loss: Tensor) -> None:
    """Whether the operations still give the loss that they gave."""
    arrays: dict[Node, Value] = {
        node: node._array for node in nodes if isinstance(node, Tensor)
    }
    with np.errstate(all="ignore"):
        results = [loss._array, *[y for *_, y in replay(nodes, arrays)]]
    room = 100 * np.finfo(loss.dtype).eps
    if not np.allclose(results[-1], loss._array, room, room, equal_nan=True):
        raise MutationError(
            "the parameters or the data have changed since the loss was computed, by an "
            "optimizer's step perhaps: compute the loss again and explain that"
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
