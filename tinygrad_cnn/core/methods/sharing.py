"""Views: Tensors on one piece of memory, of which each follows a change of another.

A family is a Tensor and the views taken of it, and of these. When one of them is changed in
place, what the others hold has changed as well, so their histories must say so: of each
value, that it is now the changed Tensor's, or that it is as it was.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

import numpy as np

from ...errors import AutogradError
from ...ops import shape as ops
from .base import Array


def join(base: Any, view: Any) -> None:
    """Count a view among the family of what it was taken of."""
    family: set[Any] | None = base._family
    if family is None:
        family = base._family = set()
        family.add(ref(base, family.discard))
    family.add(ref(view, family.discard))
    view._family = family


def others_to_change(tensor: Any) -> list[Any]:
    """The rest of the family; AutogradError where no gradient could follow."""
    family = [member() for member in list(tensor._family or ())]
    others = [t for t in family if t is not None and t is not tensor]
    for other in others:
        if other._requires_grad and other._record is None:
            raise AutogradError(
                "a view of a leaf Variable that requires grad is being used in an "
                "in-place operation; use no_grad(), or work on a clone()"
            )
        if other._requires_grad and not tensor._requires_grad:
            raise AutogradError(
                "in-place change of a view that was taken without being recorded "
                "(no_grad), of what the graph sees; take the view outside, or a clone()"
            )
    return others


def take_history(tensor: Any, new: Any) -> None:
    """Give a Tensor the history of another, and what it was told: to keep its gradient."""
    before, now = tensor._record, new._record
    if before is not None and before.retains_grad and now is not None:
        before.retains_grad, now.retains_grad = False, True
    tensor._record, tensor._requires_grad = now, new._requires_grad


def follow(other: Any, changed: Any) -> None:
    """Give `other` the history that a change of `changed`, which shares memory, makes."""
    if not (other._requires_grad or changed._requires_grad):
        return
    new = _as_changed(other, changed)
    if new is not None:
        take_history(other, new)


def _as_changed(other: Any, changed: Any) -> Any:
    a, b = other._array, changed._array
    if _is_one_run(a) and _is_one_run(b) and (_start(a), a.size) == (_start(b), b.size):
        return ops.Reshape(a.shape)(changed)
    places, inside = _places(a, b)
    if not inside.any():
        return None
    now = changed
    if b.ndim:
        now = ops.Index(np.unravel_index(places[inside], b.shape))(changed)
    where = np.nonzero(inside) if a.ndim else (...,)
    return ops.Put(where)(other, now if a.ndim else now.reshape(()))


def _is_one_run(array: Array) -> bool:
    return array.flags.c_contiguous


def _start(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _places(a: Array, b: Array) -> tuple[Array, Array]:
    """For each value of a, which of b (counted in rows) it is, and whether it is one."""
    ours, theirs = _addresses(a), _addresses(b).ravel()
    order = np.argsort(theirs)
    found = np.searchsorted(theirs[order], ours).clip(max=theirs.size - 1)
    places = order[found]
    return places, theirs[places] == ours


def _addresses(array: Array) -> Array:
    """Where in memory each value lies."""
    total = np.full(array.shape, _start(array), np.int64)
    for axis, (length, step) in enumerate(zip(array.shape, array.strides, strict=True)):
        along = np.arange(length, dtype=np.int64) * step
        total += along.reshape((-1,) + (1,) * (array.ndim - axis - 1))
    return total
