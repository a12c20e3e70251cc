"""The engine: Tensors, the records of what was done to them, and the walk back.

Applying an operation to a Tensor that requires a gradient leaves one `Record`: the
operation, where its inputs came from, and the values that its gradient rules asked for.
Records point from a result to its inputs only, so a graph has no cycles and dies with its
last result. `run_backward` visits the records from the results to the leaves, each once,
after all of its uses; it is a loop, never a recursion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from . import errors, recording
from .methods import Methods
from .methods.gradient import check_gradient, cotangent_of, fitted, run_leaf_hooks
from .methods.memory import numbers, read_only, taken_over
from .ops.base import Need, Op, Operand, Value
from .ops.shape import SumTo
from .recording import Version, Where

# What NumPy raises for operands that do not fit.
UNFIT = (ValueError, TypeError, IndexError, RuntimeError, OverflowError)


class Record:
    """One application of an operation: what its gradient rules will need, and no more."""

    __slots__ = (
        *("op", "parents", "saved", "input_shapes", "input_dtypes", "shape", "dtype"),
        *("constants", "module", "where", "hooks", "retains_grad", "grad"),
    )

    def __init__(self, op: Op, inputs: tuple[Value, ...], y: Tensor, kept: Any) -> None:
        arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
        self.op = op
        nodes = [x._node if isinstance(x, Tensor) else None for x in inputs]
        pairs = zip(arrays, nodes, strict=True)
        self.parents = tuple(nodes)
        self.constants = tuple([a if node is None else None for a, node in pairs])
        self.input_shapes = tuple([getattr(a, "shape", ()) for a in arrays])
        self.input_dtypes = tuple([getattr(a, "dtype", type(a)) for a in arrays])
        self.shape = y._array.shape
        self.dtype = y._array.dtype
        self.module = recording.module_path.get()
        self.where = Where()
        self.hooks: dict[int, Any] = {}
        self.retains_grad = False
        self.grad: Tensor | None = None
        found = {"y": [y], "input": inputs, "kept": kept, "index": [None]}
        found |= {"shape": self.input_shapes, "dtype": self.input_dtypes}
        self.saved: dict[str, tuple[Value, Version | None, int]] | None = {}
        for name, kind, at in self.needs(kept):
            value = found[kind] if at < 0 else found[kind][at]
            version = value._version if isinstance(value, Tensor) else None
            array = value._array if version else value
            self.saved[name] = array, version, version.count if version else 0

    def needs(self, kept: Any) -> Iterator[Need]:
        """What to keep: whatever the rules of the asked-for gradients name."""
        for i, parent in enumerate(self.parents):
            rule = self.op.rules.get(self.op.input_name(i))
            if rule is not None and parent is not None:
                yield from rule.needs

    def gradients(
        self, asked: list[int], g: Value, create_graph: bool
    ) -> Iterator[tuple[int, Value | None]]:
        """∂L/∂(input i) for each i asked for; None where there is none."""
        return ((i, self.gradient(i, g, create_graph)) for i in asked)

    def gradient(self, i: int, g: Value, create_graph: bool) -> Value:
        """∂L/∂(input i) for g = ∂L/∂y, by the operation's rule."""
        name = self.op.input_name(i)
        rule = self.op.rules.get(name)
        if rule is None:
            raise errors.NotDifferentiableError(
                f"the derivative of {self} with respect to {name} is not implemented"
            )
        self.held()
        values = [
            i if need.kind == "index" else self.value(need, create_graph)
            for need in rule.needs
        ]
        d = rule.function(self.op, g, *values)
        if self.op.broadcasts and d.shape != self.input_shapes[i]:
            d = SumTo(self.input_shapes[i])(d)
        return d

    def held(self) -> dict[str, tuple[Value, Version | None, int]]:
        """The saved values, if no backward pass has used them up."""
        if self.saved is None:
            raise errors.GraphFreedError(
                f"the graph through {self} was used up by an earlier backward pass; "
                "give that one retain_graph=True if a second is wanted"
            )
        return self.saved

    def value(self, need: Need, create_graph: bool = False) -> Value:
        """A saved value: an array, or a node of the graph where gradients are recorded."""
        value, version, count = self.held()[need.name]
        if version is not None and version.count != count:
            what = "its result" if need.kind == "y" else need.name
            raise errors.MutationError(
                f"{self} needs {what} as it was, but it was changed in place at "
                f"{version.where} (version {count} then, {version.count} now); "
                "change a clone() instead"
            )
        if not create_graph:
            return value
        if need.name in self.op.recompute:
            rule = self.op.recompute[need.name]
            return rule.function(self.op, *[self.value(n, True) for n in rule.needs])
        node: Node | None = self if need.kind == "y" else None
        if need.kind == "input":
            node = self.parents[need.position]
        if node is None or isinstance(node, Tensor):
            return value if node is None else node
        tensor = Tensor._wrap(value, node)
        tensor._version = version or tensor._version
        return tensor

    def name(self) -> str:
        """The operation's name, as `grad_fn.name()` in PyTorch."""
        return type(self.op).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """Where each input came from: a record, a leaf, or None where no gradient goes."""
        return tuple((parent, 0) for parent in self.parents)

    def __str__(self) -> str:
        operands = zip(self.input_dtypes, self.input_shapes, strict=True)
        kinds = [f"{getattr(d, '__name__', d)}{list(s)}" for d, s in operands]
        inside = f" in {self.module}" if self.module else ""
        return f"{self.op} of ({', '.join(kinds)}){inside} at {self.where}"


class Tensor(Methods, Operand):
    """An array that remembers how it was computed.

    Tensor(data, requires_grad=False): `data` is a NumPy array, which is taken over without
    a copy (and locked against changes from outside, which no gradient could notice), or
    nested lists of numbers, which become float32; `tensor()` copies. Everything that can
    be done with a Tensor stands in `methods.Methods`.
    Raises DTypeError where a gradient is asked of integers.
    """

    __slots__ = (
        *("_array", "_record", "_requires_grad", "_version", "_grad", "_hooks"),
        *("_leaf_hooks", "__weakref__"),
    )
    __array_ufunc__ = None  # so that array * tensor asks the Tensor
    __hash__ = object.__hash__

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if np.isscalar(data):
            raise errors.DTypeError(
                f"Tensor({data!r}) is ambiguous; use tensor({data!r})"
            )
        if isinstance(data, Tensor):
            self._set(data._array, None)
            self._version = data._version
        elif isinstance(data, np.ndarray):
            self._set(taken_over(data), None)
        else:
            self._set(numbers(data).astype(np.float32), None)
        self.requires_grad_(requires_grad)

    def _set(self, array: Any, record: Record | None) -> None:
        self._array: np.ndarray[Any, Any] = array
        self._record = record
        self._requires_grad = record is not None
        self._version = Version()
        self._grad: Tensor | None = None
        self._hooks: dict[int, Any] = {}
        self._leaf_hooks: dict[int, Any] = {}

    @staticmethod
    def _wrap(array: Any, record: Record | None = None) -> Tensor:
        """A Tensor on an array that nobody outside holds."""
        t = Tensor.__new__(Tensor)
        t._set(np.asarray(array), record)
        return t

    @property
    def _node(self) -> Node | None:
        if not self._requires_grad:
            return None
        return self if self._record is None else self._record

    def __apply__(self, op: Op, inputs: tuple[Value, ...]) -> Tensor:
        """Run the operation's forward and, where a gradient may be asked, record it."""
        arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
        try:
            result = recording.quiet.run(op.forward, *arrays)
        except UNFIT as error:
            raise recording.explained(op, inputs, error) from None
        array, *kept = result if op.keeps else (result,)
        return Tensor._result(op, inputs, array, kept, Record)

    @staticmethod
    def _result(op: Op, inputs: Any, array: Any, kept: Any, record: Any) -> Tensor:
        """What an operation made of these inputs, observed and recorded."""
        y = Tensor._wrap(array)
        observe = recording.observer.get()
        if observe is not None:
            arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
            observe(op, arrays, y._array, kept)
        base = inputs[0] if op.view else None
        if isinstance(base, Tensor) and np.may_share_memory(array, base._array):
            y._version = base._version
            y._version.viewed = True
        asked = [isinstance(x, Tensor) and x._requires_grad for x in inputs]
        if any(asked) and recording.grad_enabled.get() and y._array.dtype.kind == "f":
            y._record = record(op, inputs, y, kept)
            y._requires_grad = True
        return y

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Add ∂self/∂leaf, weighted by `gradient`, to `.grad` of each leaf behind self.

        gradient: as self in shape; may be left out where self has one element.
        retain_graph: keep the saved values for another pass (default: create_graph).
        create_graph: record the gradients themselves, so that they have gradients.
        inputs: only these leaves.
        """
        targets = [inputs] if isinstance(inputs, Tensor) else inputs
        run_backward([self], [gradient], retain_graph, create_graph, targets, True)


Node = Record | Tensor  # of the walk: a record, or a leaf that requires a gradient


def run_backward(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
    targets: Iterable[Tensor] | None,
    accumulate: bool,
) -> dict[Node, Value]:
    """Walk from the outputs to the leaves (or only to `targets`).

    Returns the gradient that arrived at each target, by node; with `accumulate`, adds it
    to `.grad` as well.
    """
    retain = create_graph if retain_graph is None else retain_graph
    grads: dict[Node, Value] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        g = cotangent_of(output, cotangent)
        _add(grads, output._node, g if create_graph else g._array)
    order = _topological_order(list(grads))
    wanted = None if targets is None else {t._node for t in targets}
    if wanted is not None and (not wanted or None in wanted):
        raise errors.AutogradError(
            "One of the differentiated Tensors does not require grad, or none was given"
        )
    needed = _leading_to(order, wanted)
    arrived: dict[Node, Value] = {}
    with recording.set_grad_enabled(create_graph), np.errstate(all="ignore"):
        for node in order:
            if node not in grads or node not in needed:
                continue
            g = _run_hooks(node, grads.pop(node))
            if wanted is not None and node in wanted:
                arrived[node] = g
                if accumulate and isinstance(node, Record):
                    node.retains_grad = True
            if accumulate and (node in arrived or wanted is None):
                _deposit(node, g)
                run_leaf_hooks(node)
            if isinstance(node, Record):
                asked = [i for i, p in enumerate(node.parents) if p in needed]
                for i, d in node.gradients(asked, g, create_graph):
                    check_gradient(node, i, g, d)
                    _add(grads, node.parents[i], d)
                if not retain:
                    node.saved = None
    return arrived


def _topological_order(roots: list[Node]) -> list[Node]:
    """Every node behind the roots, each before those that it was computed from."""
    order: list[Node] = []
    seen: set[Node | None] = {None}
    stack: list[tuple[Any, bool]] = [(root, False) for root in roots]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            if isinstance(node, Record):
                stack += [(p, False) for p in node.parents if p not in seen]
    return order[::-1]


def _leading_to(order: list[Node], wanted: set[Node | None] | None) -> set[Node]:
    """The nodes whose gradient is a part of a wanted one's."""
    if wanted is None:
        return set(order)
    needed: set[Node] = set()
    for node in reversed(order):
        parents = node.parents if isinstance(node, Record) else ()
        if node in wanted or any(p in needed for p in parents):
            needed.add(node)
    return needed


def _add(grads: dict[Any, Value], node: Node | None, g: Value | None) -> None:
    if g is not None:
        grads[node] = grads[node] + g if node in grads else g


def _run_hooks(node: Node, g: Value) -> Value:
    hooks = node.hooks if isinstance(node, Record) else node._hooks
    for hook in list(hooks.values()):
        replaced = hook(g if isinstance(g, Tensor) else Tensor._wrap(read_only(g)))
        if replaced is not None:
            fitted(replaced, node.shape, node.dtype, "the result of the hook")
            g = replaced if isinstance(g, Tensor) else replaced._array
    return g


def _deposit(node: Node, g: Value) -> None:
    """Add to `.grad`, which never shares memory with another gradient."""
    if not (node.retains_grad if isinstance(node, Record) else node._requires_grad):
        return
    before = node.grad
    if isinstance(g, Tensor):
        node.grad = g.clone() if before is None else before + g
    elif before is None:
        node.grad = Tensor._wrap(np.array(g))
    elif before._requires_grad or not before._array.flags.writeable:
        node.grad = before + Tensor._wrap(g)
    else:
        before._array += g
        before.mark_changed()
