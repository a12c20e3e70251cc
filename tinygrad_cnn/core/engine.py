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

from .. import errors
from ..ops import selection
from ..ops.base import Need, Op, Value, shape_of
from ..ops.shape import sum_to
from . import node_hooks, recording
from .methods.arithmetic import Arithmetic
from .methods.arranging import Arranging
from .methods.comparison import Comparison
from .methods.elementwise import Elementwise
from .methods.gradient import (
    Gradient,
    HookHandle,
    cotangent_of,
    deposit,
    hooks_of,
    inputs_first,
    leading_to,
    run_hooks,
    run_leaf_hooks,
)
from .methods.in_place import InPlace
from .methods.indexing import Indexing
from .methods.making import Making, sized_or_given
from .methods.memory import Memory, taken_over
from .methods.products import Products
from .methods.reduction import Reduction
from .methods.shape import Shape
from .methods.sharing import join
from .methods.sorting import Sorting
from .recording import Version, Where, grad_enabled, module_path, observer, quiet

# What NumPy raises for operands that do not fit.
UNFIT = (
    *(ValueError, TypeError, IndexError, RuntimeError, OverflowError),
    MemoryError,
)


class Record:
    """One application of an operation: what its gradient rules will need, and no more."""

    __slots__ = (
        "_grad",
        "_hooks",
        "asked",
        "constants",
        "dtype",
        "module",
        "op",
        "parents",
        "retains_grad",
        "saved",
        "shape",
        "where",
    )

    def __init__(
        self, op: Op, inputs: Any, arrays: Any, asked: Any, y: Tensor, kept: Any
    ) -> None:
        parents: list[Any] = [None] * len(inputs)
        constants = list(arrays)
        for i in asked:
            x = inputs[i]
            parents[i], constants[i] = x._record or x, None
        array = y._array
        self.op, self.asked = op, asked
        self.parents, self.constants = tuple(parents), tuple(constants)
        self.shape, self.dtype = array.shape, array.dtype
        self.module = module_path.get()
        self.where = Where(4)
        self._hooks: dict[int, Any] | None = None
        self.retains_grad = False
        self._grad: Tensor | None = None
        saved: dict[str, tuple[Value, Version | None, int]] = {}
        for name, kind, at in self.needs(kept):
            x = inputs[at] if kind == "input" else y if kind == "y" else None
            if isinstance(x, Tensor):
                version = x._version
                saved[name] = x._array, version, version.count
                continue
            if kind == "kept":
                x = kept[at]
            elif kind == "shape":
                x = self.input_shapes if at < 0 else getattr(arrays[at], "shape", ())
            elif kind == "dtype":
                x = self.input_dtypes if at < 0 else self.input_dtypes[at]
            saved[name] = x, None, 0
        self.saved: dict[str, tuple[Value, Version | None, int]] | None = saved

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each input."""
        return tuple([shape_of(x) for x in self._sources()])

    @property
    def input_dtypes(self) -> tuple[Any, ...]:
        """The dtype of each input, or the type of a number."""
        return tuple([getattr(x, "dtype", type(x)) for x in self._sources()])

    def _sources(self) -> Iterable[Any]:
        pairs = zip(self.parents, self.constants, strict=True)
        return [constant if p is None else p for p, constant in pairs]

    def needs(self, kept: Any) -> Iterable[tuple[str, str, int]]:
        """What to keep: whatever the rules of the asked-for gradients name."""
        return self.op.needs_of[self.asked]

    @property
    def hooks(self) -> dict[int, Any]:
        """What was given to `register_hook`, by key."""
        return hooks_of(self, "_hooks")

    def register_hook(self, hook: Any) -> HookHandle:
        """Call hook(grad_inputs, grad_outputs), tuples, when the rules have been run.

        A tuple that it returns replaces grad_inputs; there, None is no gradient.
        """
        return node_hooks.add_hook_after(self, hook, Tensor._wrap)

    def register_prehook(self, hook: Any) -> HookHandle:
        """Call hook(grad_outputs) before the rules are run; its tuple replaces these."""
        return node_hooks.add_hook_before(self, hook)

    def gradients(
        self, asked: tuple[int, ...], g: Value, create_graph: bool
    ) -> Iterator[tuple[int, Value | None]]:
        """∂L/∂(input i) for each i asked for, by the operation's rules, from g = ∂L/∂y."""
        op, saved = self.op, self.saved
        for i, rule, needs in op.rules_of[asked]:
            if rule is None:
                raise errors.NotDifferentiableError(
                    f"the derivative of {self} with respect to {op.input_name(i)} is "
                    "not implemented"
                )
            if saved is None:
                saved = self.held()
            values = []
            for need in needs:
                value, version, count = saved[need[0]]
                if create_graph or (version is not None and version.count != count):
                    value = self.value(Need(*need), create_graph)
                values.append(i if need[1] == "index" else value)
            d = rule(op, g, *values)
            if op.broadcasts:
                parent = self.parents[i]
                shape = (parent if isinstance(parent, Record) else parent._array).shape
                if d.shape != shape:
                    d = sum_to(shape)(d)
            if create_graph and op.flat_slope and recording.flat_slopes.get():
                d = self._tie(d, self.parents[i]) if grad_enabled.get() else d
            yield i, d

    def _tie(self, d: Tensor, parent: Node) -> Tensor:
        """A gradient as a function of its input, if only with the derivative 0."""
        if d._requires_grad and self.op.flat_slope == "alone":
            return d
        if isinstance(parent, Record):  # whose values do not matter
            zero = np.broadcast_to(np.zeros((), parent.dtype), parent.shape)
            parent = Tensor._wrap(zero, parent)
        return selection.Where()(True, d, parent)

    def held(self) -> dict[str, tuple[Value, Version | None, int]]:
        """The saved values, if no backward pass has used them up."""
        if self.saved is None:
            raise errors.GraphFreedError(
                f"the graph through {self} was used up by an earlier backward pass; "
                "give that one retain_graph=True if a second is wanted"
            )
        return self.saved

    def value(self, need: Need, create_graph: bool = False) -> Value:
        """A saved value: an array; a Tensor where gradients are recorded."""
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
        if need.name in self.op.recompute and grad_enabled.get():
            rule = self.op.recompute[need.name]
            return rule.function(self.op, *[self.value(n, True) for n in rule.needs])
        is_input, is_result = need.kind == "input", need.kind == "y"
        node = self.parents[need.position] if is_input else self if is_result else None
        if node is None or not grad_enabled.get():
            return Tensor._wrap(value) if isinstance(value, np.ndarray) else value
        if isinstance(node, Tensor):
            return node
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


class Tensor(
    Arithmetic,
    Elementwise,
    Comparison,
    Products,
    Reduction,
    Sorting,
    Shape,
    Arranging,
    Indexing,
    InPlace,
    Making,
    Memory,
    Gradient,
):
    """An array that remembers how it was computed.

    Tensor(data, requires_grad=False): `data` is a NumPy array, which is taken over without
    a copy (and locked against changes from outside, which no gradient could notice), or
    nested lists of numbers, which become float32; `tensor()` copies. Tensor(2, 3) are
    zeros of these sizes. Everything that can
    be done with a Tensor stands in `methods`, by theme.
    Raises DTypeError where a gradient is asked of integers.

    `_array` is the NumPy array itself, for this package's own rooms: whoever computes with
    it records nothing and is seen by no observer, and whoever writes to it calls
    `mark_changed`. A user's code takes `numpy()`.
    """

    __slots__ = (
        "__weakref__",
        "_array",
        "_family",
        "_grad",
        "_hooks",
        "_leaf_hooks",
        "_record",
        "_requires_grad",
        "_version",
    )
    _array: np.ndarray[Any, Any]
    _record: Record | None
    _requires_grad: bool
    _version: Version
    _grad: Tensor | None
    _hooks: dict[int, Any] | None
    _leaf_hooks: dict[int, Any] | None
    _family: Any
    __array_ufunc__ = None  # so that array * tensor asks the Tensor
    __hash__ = object.__hash__

    def __init__(self, *data_or_sizes: Any, requires_grad: bool = False) -> None:
        data = data_or_sizes[0] if len(data_or_sizes) == 1 else None
        if isinstance(data, Tensor):
            Tensor._wrap(data.lie_in_rows(), into=self)
            self._version = data._version
        elif isinstance(data, np.ndarray):
            Tensor._wrap(taken_over(data), into=self)
        else:
            Tensor._wrap(sized_or_given(data_or_sizes, np.float32), into=self)
        self.requires_grad_(requires_grad)

    @staticmethod
    def _wrap(
        array: Any, record: Record | None = None, into: Tensor | None = None
    ) -> Tensor:
        """A Tensor on an array that nobody outside holds: a new one, or `into`."""
        t = Tensor.__new__(Tensor) if into is None else into
        t._array = np.asarray(array)
        t._record = record
        t._requires_grad = record is not None
        t._version = Version()
        t._grad = t._hooks = t._leaf_hooks = t._family = None
        return t

    @property
    def _node(self) -> Node | None:
        if not self._requires_grad:
            return None
        return self if self._record is None else self._record

    def __apply__(self, op: Op, inputs: tuple[Value, ...]) -> Tensor:
        """Run the operation's forward and, where a gradient may be asked, record it."""
        arrays: list[Value] = []
        asked: tuple[int, ...] = ()
        if op.view and isinstance(inputs[0], Tensor):
            inputs[0].prepare_view(op)
        for x in inputs:
            if isinstance(x, Tensor):
                if x._requires_grad:
                    asked += (len(arrays),)
                x = x._array
            arrays.append(x)
        try:
            array = quiet.run(op.forward, *arrays)
        except UNFIT as error:
            raise recording.explained(op, inputs, error) from None
        kept = []
        if op.keeps:
            array, *kept = array
        return Tensor._result(op, inputs, arrays, asked, array, kept, Record)

    @staticmethod
    def _result(
        op: Op, inputs: Any, arrays: Any, asked: Any, array: Any, kept: Any, record: Any
    ) -> Tensor:
        """What an operation made of these inputs, observed and recorded."""
        y = Tensor._wrap(array)
        if (observe := observer.get()) is not None:
            observe(op, arrays, y._array, kept)
        if op.view and isinstance(inputs[0], Tensor):
            y._share(inputs[0])
        if asked and grad_enabled.get() and y._array.dtype.kind == "f":
            y._record = record(op, inputs, arrays, asked, y, kept)
            y._requires_grad = True
        return y

    def _share(self, base: Tensor) -> None:
        """Belong to the family of `base`, if this is a view of its memory."""
        if np.may_share_memory(self._array, base._array):
            self._version = version = base._version
            if not version.viewed:
                version.viewed, version.owner = True, base._array
            join(base, self)

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


class BackwardObserver:
    """Is told each step of a walk back; a subclass takes up those it wants to know.

    Gradients are arrays, or Tensors where they are recorded themselves.
    """

    def see_start(self, node: Node, g: Value, total: Value) -> None:
        """The walk begins at this output with g; total is the sum there so far."""

    def see_gradient(self, record: Record, g: Value) -> None:
        """g = ∂L/∂y of a record is complete; its rules come next."""

    def see_contribution(
        self, record: Record, i: int, g: Value, d: Value, total: Value
    ) -> None:
        """A rule made d = ∂L/∂(input i) from g; total is the sum at that input so far."""

    def see_release(self, record: Record) -> None:
        """The saved values of a record are let go."""

    def see_leaf(self, leaf: Tensor, g: Value) -> None:
        """g = ∂L/∂leaf is complete; where `.grad` is wanted, it is added there next."""


def run_backward(
    outputs: Iterable[Tensor],
    cotangents: Iterable[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
    targets: Iterable[Tensor] | None,
    accumulate: bool,
    recorded: bool = True,
    watch: BackwardObserver | None = None,
) -> dict[Node, Value]:
    """Walk from the outputs to the leaves (or only to `targets`).

    Returns the gradient at each target, by node; `accumulate` adds it to `.grad` as well.
    With create_graph, but not `recorded`, the rules meet Tensors only to be observed.
    """
    watch = watch or recording.backward_observer.get()
    keep = create_graph if retain_graph is None else retain_graph
    token = grad_enabled.set(create_graph and recorded)
    try:
        with np.errstate(all="ignore"):
            grads = _starts(outputs, cotangents, create_graph, watch)
            return _walk(grads, keep, create_graph, targets, accumulate, watch)
    finally:
        grad_enabled.reset(token)


def _walk(
    grads: dict[Node, Value],
    keep: bool,
    create_graph: bool,
    targets: Iterable[Tensor] | None,
    accumulate: bool,
    watch: BackwardObserver | None,
) -> dict[Node, Value]:
    """From the nodes that have a gradient to the leaves; what arrived at the targets."""
    arrived: dict[Node, Value] = {}
    order = inputs_first(grads, last_first=True)
    wanted = None if targets is None else {t._node for t in targets}
    if wanted is not None:
        if not wanted or None in wanted:
            raise errors.AutogradError(
                "One of the differentiated Tensors does not require grad, or none "
                "was given"
            )
        needed = leading_to(wanted, order)
        order = [node for node in order if node in needed]
    deposits = accumulate
    for node in reversed(order):
        if node not in grads:
            continue
        if node._hooks:
            grads[node] = run_hooks(node, grads[node], Tensor._wrap)
        if wanted is not None:
            deposits = accumulate and node in wanted
            if node in wanted:
                arrived[node] = grads[node]
            if deposits and isinstance(node, Record):
                node.retains_grad = True
        if not isinstance(node, Record):
            g = d = None  # so that only the dictionary holds this leaf's gradient
            if watch is not None:
                watch.see_leaf(node, grads[node])
            if deposits:
                deposit(node, grads.pop(node), Tensor._wrap)
                if node._leaf_hooks:
                    run_leaf_hooks(node)
            else:
                del grads[node]
            continue
        g = grads.pop(node)
        if watch is not None:
            watch.see_gradient(node, g)
        if node.retains_grad and deposits:
            deposit(node, g, Tensor._wrap)
        parents, asked = node.parents, node.asked
        if wanted is not None:
            asked = tuple([i for i in asked if parents[i] in needed])
        for i, d in node.gradients(asked, g, create_graph):
            if d is None:
                continue
            parent = parents[i]
            grads[parent] = grads[parent] + d if parent in grads else d
            if watch is not None:
                watch.see_contribution(node, i, g, d, grads[parent])
        if not keep:
            node.saved = None
            if watch is not None:
                watch.see_release(node)
    return arrived


def _starts(
    outputs: Iterable[Tensor],
    cotangents: Iterable[Tensor | None],
    create_graph: bool,
    watch: BackwardObserver | None,
) -> dict[Node, Value]:
    """The gradients that a walk begins with; nothing else holds them afterwards."""
    grads: dict[Node, Value] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        start = cotangent_of(output, cotangent)
        g: Value = start if create_graph else start._array
        node = output._record or output
        grads[node] = grads[node] + g if node in grads else g
        if watch is not None:
            watch.see_start(node, g, grads[node])
    return grads
