"""Asking for gradients, and the state they are in."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...errors import AutogradError, DTypeError, ShapeError
from ...ops.base import Value
from .base import Base, DType
from .memory import read_only

if TYPE_CHECKING:
    from ..engine import Record, Tensor

_keys = itertools.count()

DONE = object()


class HookHandle:
    """What registering a hook returns; `remove()` takes the hook away again."""

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self.hooks, self.key = hooks, next(_keys)
        hooks[self.key] = hook

    def remove(self) -> None:
        """Take the hook away; twice does no harm."""
        self.hooks.pop(self.key, None)


def hooks_of(node: Any, kind: str) -> dict[int, Any]:
    """The hooks of a node; most nodes have none, and no dict for them."""
    if getattr(node, kind) is None:
        setattr(node, kind, {})
    hooks: dict[int, Any] = getattr(node, kind)
    return hooks


def fitted(g: Any, shape: tuple[int, ...], dtype: DType, what: str) -> Any:
    """`g`, if it is a Tensor that can be the gradient of one of this shape and dtype."""
    if not isinstance(g, Base):
        raise DTypeError(f"{what} must be a Tensor, got {type(g).__name__}")
    if g._array.shape != shape:
        raise ShapeError(
            f"Mismatch in shape: {what} has {list(g.shape)}, its tensor {list(shape)}"
        )
    if g.dtype != dtype:
        raise DTypeError(f"{what} has dtype {g.dtype}, its tensor {dtype}")
    return g


def cotangent_of(output: Any, given: Any) -> Tensor:
    """∂L/∂output where a backward pass begins: `given`, or 1 for a single element."""
    if not output._requires_grad:
        raise AutogradError(
            "element 0 of tensors does not require grad and does not have a grad_fn: "
            "nothing that it was computed from requires a gradient"
        )
    if given is None and output.numel() != 1:
        raise AutogradError(
            "grad can be implicitly created only for scalar outputs; this one has shape "
            f"{list(output.shape)}: reduce it, or pass the gradient explicitly"
        )
    if given is None:
        return output._wrap(np.ones_like(output._array))
    if isinstance(given, Base) and given.dtype != output.dtype:
        given = given.to(output.dtype)
    return fitted(given, output._array.shape, output.dtype, "the gradient")


def inputs_first(
    roots: Iterable[Any], known: Iterable[Any] = (), *, last_first: bool = False
) -> list[Any]:
    """The records and leaves behind these, and they themselves, but for the known ones.

    Each comes after its inputs; None, for what was not recorded, is passed over.
    last_first: of several inputs the last one, so that a walk back has the first first.
    """
    step = 1 if last_first else -1
    order: list[Any] = []
    seen = {None, *known}
    stack = list(roots)[::step]
    while stack:
        node = stack.pop()
        if node is DONE:  # all behind the next one are in the order
            order.append(stack.pop())
        elif node not in seen:
            seen.add(node)
            if isinstance(node, Base):
                order.append(node)
            else:
                stack += (node, DONE)
                stack += node.parents[::step]
    return order


def leading_to(wanted: set[Any], order: list[Any]) -> set[Any]:
    """The nodes of the order, inputs first, whose gradient is a part of a wanted one's."""
    needed: set[Any] = set()
    for node in order:
        parents = () if isinstance(node, Base) else node.parents
        if node in wanted or any(p in needed for p in parents):
            needed.add(node)
    return needed


def run_hooks(node: Any, g: Value, wrap: Callable[[Any], Tensor]) -> Value:
    """The gradient that goes on from a node with hooks."""
    for hook in list(node._hooks.values()):
        replaced = hook(g if isinstance(g, Base) else wrap(read_only(g)))
        if replaced is not None:
            fitted(replaced, node.shape, node.dtype, "the result of the hook")
            g = replaced if isinstance(g, Base) else replaced._array
    return g


def _holders(x: Any) -> int:
    return sys.getrefcount(x)


# What the count is for a function whose argument nobody else holds.
_ALONE = min(_holders(np.empty(0)), 2)


def deposit(node: Any, g: Any, wrap: Callable[[Any], Any]) -> None:
    """Add to `.grad` of a leaf, or of a result that retains it.

    `.grad` never shares memory with anything: g itself is taken only if it owns its memory
    and nobody but this call holds it, so that nobody can see it change.
    """
    leaf = isinstance(node, Base)
    if leaf and not node._requires_grad:
        return
    before = node._grad
    if before is None and type(g) is np.ndarray:
        owned = g.flags.owndata and g.flags.writeable
        alone = owned and sys.getrefcount(g) == _ALONE
        grad = wrap(g if alone else np.array(g))
    elif isinstance(g, Base):
        grad = g.clone() if before is None else before + g
    elif before is None:
        grad = wrap(np.array(g))
    elif before._requires_grad or not before._array.flags.writeable:
        grad = before + wrap(g)
    else:
        before._array += g
        before.mark_changed()
        return
    a, b = grad._array, node._array if leaf else grad._array
    if a.shape != b.shape or a.dtype != b.dtype:
        fitted(grad, node.shape, node.dtype, "the assigned grad")
    node._grad = grad


def run_leaf_hooks(leaf: Any) -> None:
    """Call what `register_post_accumulate_grad_hook` was given."""
    for hook in list((leaf._leaf_hooks or {}).values()):
        result = hook(leaf)
        if result is not None and result is not leaf:
            raise DTypeError(
                "a post accumulate grad hook returns None (it may change the leaf or its "
                f".grad in place), but {hook} returned {result!r}"
            )


class Gradient(Base):
    """Leaves, gradients, hooks, and cutting the graph."""

    __slots__ = ()

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is asked of this Tensor or of something it came from."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: Any) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: Any = True) -> Self:
        """Ask (or stop asking) for this leaf's gradient; return self."""
        if self._record is not None and not requires_grad:
            raise AutogradError(
                "only leaves can stop requiring gradients; use detach()"
            )
        if requires_grad and self._array.dtype.kind != "f":
            raise DTypeError(
                "only Tensors of floating point dtype can require gradients; "
                f"this one is {self._array.dtype}"
            )
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def grad(self) -> Any:
        """∂L/∂self, summed over the backward passes so far; None before the first.

        Intermediate results keep theirs only after `retain_grad()`.
        """
        return self._grad if self._record is None else self._record._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            fitted(value, self.shape, self.dtype, "the assigned grad")
        if self._record is None:
            self._grad = value
        else:
            self._record._grad = value

    @property
    def is_leaf(self) -> bool:
        """True for what the user made, and for all that requires no gradient."""
        return self._record is None

    @property
    def grad_fn(self) -> Record | None:
        """The record of the operation that made this Tensor; None for leaves."""
        return self._record

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on this intermediate result."""
        return self._record is not None and self._record.retains_grad

    def retain_grad(self) -> None:
        """Keep this intermediate result's gradient in `.grad` as well."""
        if not self._requires_grad:
            raise AutogradError(
                "can't retain_grad on Tensor that has requires_grad=False"
            )
        if self._record is not None:
            self._record.retains_grad = True

    def register_hook(self, hook: Any) -> HookHandle:
        """Call `hook(grad)` when this gradient is complete; what it returns replaces it."""
        self._check_hookable()
        return HookHandle(hooks_of(self._node, "_hooks"), hook)

    def register_post_accumulate_grad_hook(self, hook: Any) -> HookHandle:
        """Call `hook(self)` each time that `.grad` of this leaf has been added to."""
        self._check_hookable()
        if self._record is not None:
            raise AutogradError(
                "only leaves take a post accumulate grad hook; this Tensor is the result "
                f"of {self._record}: use register_hook"
            )
        return HookHandle(hooks_of(self, "_leaf_hooks"), hook)

    def _check_hookable(self) -> None:
        if not self._requires_grad:
            raise AutogradError(
                "cannot register a hook on a tensor that doesn't require gradient"
            )

    def detach(self) -> Tensor:
        """The same memory, cut off from the graph."""
        t = self._wrap(self.lie_in_rows())
        t._version = self._version
        return t

    def detach_(self) -> Self:
        """Forget how self was computed, so that it is a leaf without a gradient."""
        nothing: Any = None
        self._record, self._requires_grad = nothing, False
        return self

    @property
    def data(self) -> Tensor:
        """As `detach`; assigning a Tensor shares its memory, graph or no graph."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, Base) or value.dtype.kind != self.dtype.kind:
            raise DTypeError(f"data must be a Tensor of {self.dtype}, got {value!r}")
        self._array, self._version = value.lie_in_rows(), value._version
