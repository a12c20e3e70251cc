"""Values in another arrangement: rolled, turned, repeated, split, side by side."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...errors import ArgumentError, DTypeError, IndexingError, ShapeError
from ...ops import shape as ops
from ..recording import told_reader
from .base import Base, axes_of, axis_of, ints
from .shape import cat, stack

if TYPE_CHECKING:
    from ..engine import Tensor


def listed(values: Any) -> list[Any]:
    """One, or several, as a list."""
    return list(values) if isinstance(values, tuple | list | range) else [values]


def each_of(tensors: Any) -> tuple[Any, ...]:
    """f(a, b) and f([a, b]) alike; DTypeError for other than Tensors."""
    if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
        tensors = tuple(tensors[0])
    if not all(isinstance(x, Base) for x in tensors):
        raise DTypeError(f"expected Tensors, got {tensors!r}")
    return tuple(tensors)


class Arranging(Base):
    """Methods that compose others that move values."""

    __slots__ = ()

    def select(self, dim: int, index: int) -> Tensor:
        """The slice at `index` along `dim`, without that axis."""
        if not self.ndim:
            raise IndexingError("select() cannot be applied to a 0-d tensor")
        axis, n = axis_of(dim, self.ndim), operator.index(index)
        if not -self.shape[axis] <= n < self.shape[axis]:
            raise IndexingError(
                f"select(): index {n} out of range for {list(self.shape)} at dimension "
                f"{dim}"
            )
        return self[(slice(None),) * axis + (n,)]

    def movedim(self, source: Any, destination: Any) -> Tensor:
        """The axes `source` moved to the places `destination`, the others in order."""
        sources, places = listed(source), listed(destination)
        if len(sources) != len(places):
            raise ArgumentError(f"movedim of the axes {source} to {destination}")
        from_ = axes_of(sources, self.ndim) or ()
        to = axes_of(places, self.ndim) or ()
        rest = iter([i for i in range(self.ndim) if i not in from_])
        moved = dict(zip(to, from_, strict=True))
        order = [moved[i] if i in moved else next(rest) for i in range(self.ndim)]
        return self.permute(order)

    moveaxis = movedim

    def roll(self, shifts: Any, dims: Any = None) -> Tensor:
        """Each value moved on by `shifts` along `dims`; the last come back in front."""
        if dims is None or dims == ():
            return self.reshape(-1).roll(shifts, 0).reshape(self.shape)
        x: Any = self
        shifts, dims = listed(shifts), listed(dims)
        if len(shifts) != len(dims):
            raise ArgumentError(f"roll by {len(shifts)} shifts along {len(dims)} axes")
        for shift, dim in zip(shifts, dims, strict=True):
            n = x.size(dim)
            at = n - shift % n if n else 0
            x = cat([x.narrow(dim, at, n - at), x.narrow(dim, 0, at)], dim)
        return x.clone() if x is self else x

    def tile(self, *dims: Any) -> Tensor:
        """Repeated so often along each axis; fewer numbers are for the last axes."""
        times = ints(dims)
        return self.repeat((1,) * (self.ndim - len(times)) + times)

    def repeat_interleave(
        self, repeats: Any, dim: int | None = None, *, output_size: int | None = None
    ) -> Tensor:
        """Each slice along `dim` repeated in its place; without `dim`, each value."""
        if dim is None:
            return self.reshape(-1).repeat_interleave(repeats, 0)
        x = self if self.ndim else self.reshape(1)
        axis = axis_of(dim, x.ndim)
        n = x.shape[axis]
        if isinstance(repeats, Base):
            told_reader("repeat_interleave()")
            repeats = repeats._array
        times = np.asarray(repeats)
        if times.dtype.kind != "i" or times.size not in (1, n) or np.any(times < 0):
            raise ArgumentError(
                f"repeat_interleave takes one count ≥ 0, or {n} of them, got {repeats!r}"
            )
        if times.size == 1:
            k = int(times.item())
            shape = (*x.shape[: axis + 1], k, *x.shape[axis + 1 :])
            y = x.unsqueeze(axis + 1).expand(shape).clone()
            return y.reshape((*x.shape[:axis], n * k, *x.shape[axis + 1 :]))
        return x[(slice(None),) * axis + (np.repeat(np.arange(n), times),)]

    def unflatten(self, dim: int, sizes: Sequence[int]) -> Tensor:
        """The axis `dim` parted into several; one −1 is worked out."""
        axis, sizes = axis_of(dim, self.ndim), ints((sizes,))
        n = self.size(axis)
        known = math.prod(s for s in sizes if s != -1)
        whole = [n // known if s == -1 and known else s for s in sizes]
        if not sizes or sizes.count(-1) > 1 or math.prod(whole) != n:
            raise ShapeError(
                f"unflatten: sizes {list(sizes)} don't multiply up to the {n} of "
                f"dimension {axis}"
            )
        return self.reshape((*self.shape[:axis], *whole, *self.shape[axis + 1 :]))

    def broadcast_to(self, size: Any) -> Tensor:
        """Expanded to a shape."""
        return self.expand(size)

    def tensor_split(
        self, indices_or_sections: Any, dim: int = 0
    ) -> tuple[Tensor, ...]:
        """So many pieces along `dim`, of nearly one length; or cut before indices."""
        if not self.ndim:
            raise ShapeError("tensor_split expects at least one axis, got a 0-d tensor")
        axis = axis_of(dim, self.ndim)
        n, cuts = self.shape[axis], indices_or_sections
        if isinstance(cuts, Base):
            cuts = cuts.tolist()
        if isinstance(cuts, int):
            if cuts < 1:
                raise ArgumentError(f"tensor_split into {cuts} sections")
            size, rest = divmod(n, cuts)
            cuts = [i * size + min(i, rest) for i in range(1, cuts)]
        bounds = [0, *cuts, n]
        key = (slice(None),) * axis
        parts = itertools.pairwise(bounds)
        last = len(bounds) - 2
        return tuple(
            [
                self[(*key, slice(a, None if i == last else b))]
                for i, (a, b) in enumerate(parts)
            ]
        )

    def hsplit(self, indices_or_sections: Any) -> tuple[Tensor, ...]:
        """Split along axis 1 (of a vector: 0), evenly, or before indices."""
        return self._split("hsplit", 1, indices_or_sections, min(self.ndim - 1, 1))

    def vsplit(self, indices_or_sections: Any) -> tuple[Tensor, ...]:
        """Split along axis 0, evenly, or before indices."""
        return self._split("vsplit", 2, indices_or_sections, 0)

    def dsplit(self, indices_or_sections: Any) -> tuple[Tensor, ...]:
        """Split along axis 2, evenly, or before indices."""
        return self._split("dsplit", 3, indices_or_sections, 2)

    def _split(self, name: str, least: int, where: Any, axis: int) -> Any:
        if self.ndim < least:
            raise ShapeError(f"{name} needs {least} axes or more, got {self.ndim}")
        if isinstance(where, int) and (where < 1 or self.shape[axis] % where):
            raise ArgumentError(
                f"{name}: {self.shape[axis]} along axis {axis} do not divide into {where}"
            )
        return self.tensor_split(where, axis)

    def fliplr(self) -> Tensor:
        """Left and right exchanged: axis 1 back to front."""
        if self.ndim < 2:
            raise ShapeError("fliplr needs two axes or more")
        return self.flip(1)

    def flipud(self) -> Tensor:
        """Up and down exchanged: axis 0 back to front."""
        if not self.ndim:
            raise ShapeError("flipud needs an axis")
        return self.flip(0)

    def rot90(self, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
        """Turned k times by 90 degrees, from the first of `dims` towards the second."""
        if len(dims) != 2:
            raise ArgumentError(f"rot90 turns in two axes, got dims={dims!r}")
        a, b = axes_of(dims, self.ndim) or (0, 0)
        match k % 4:
            case 0:
                return self.clone()
            case 1:
                return self.flip(b).transpose(a, b)
            case 2:
                return self.flip(a, b)
        return self.flip(a).transpose(a, b)

    def unfold(self, dimension: int, size: int, step: int) -> Tensor:
        """Windows of `size`, one each `step`, along a new last axis: a view."""
        x: Any = self if self.ndim else self.reshape(1)
        axis = axis_of(dimension, x.ndim)
        if not 0 <= size <= x.shape[axis] or step < 1:
            raise ArgumentError(
                f"unfold: windows of {size}, each {step}, along an axis of {x.shape[axis]}"
            )
        windows = ops.Windows(size, step)(x.movedim(axis, -1)).movedim(-2, axis)
        return windows if self.ndim else windows.reshape(size)

    # ------------------------------------------------- another shape for self itself

    def _reshaped(self, result: Any) -> Self:
        """Take over the shape of a view of self."""
        if result is not self:
            self._refuse_leaf()
            self._array, self._record = result._array, result._record
        return self

    def _refuse_leaf(self) -> None:
        if self._requires_grad and self._record is None:
            self.check_in_place()

    def squeeze_(self, dim: Any = None) -> Self:
        """Lose axes of length 1, itself."""
        return self._reshaped(self.squeeze(dim))

    def unsqueeze_(self, dim: int) -> Self:
        """Get an axis of length 1, itself."""
        return self._reshaped(self.unsqueeze(dim))

    def transpose_(self, dim0: int, dim1: int) -> Self:
        """Exchange two axes of itself."""
        return self._reshaped(self.transpose(dim0, dim1))

    swapaxes_ = swapdims_ = transpose_

    def t_(self) -> Self:
        """Transpose itself."""
        return self._reshaped(self.t())


# ------------------------------------------------------------------ several Tensors


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that these broadcast to."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ShapeError(f"shapes {shapes} do not broadcast: {error}") from None


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Each expanded to the shape that all of them broadcast to."""
    parts = each_of(tensors)
    shape = broadcast_shapes(*[x.shape for x in parts])
    return tuple([x.expand(shape) for x in parts])


def _at_least(ndim: int, tensors: Any) -> Any:
    parts = each_of(tensors)
    shaped = [_with_axes(x, ndim) for x in parts]
    alone = len(tensors) == 1 and isinstance(tensors[0], Base)
    return shaped[0] if alone else tuple(shaped)


def _with_axes(x: Any, ndim: int) -> Any:
    if x.ndim >= ndim:
        return x
    s = x.shape or (1,)
    shapes = {1: s, 2: (1, *s), 3: (*((1,) if len(s) == 1 else ()), *s, 1)}
    return x.reshape(shapes[ndim])


def atleast_1d(*tensors: Any) -> Any:
    """Each with one axis or more."""
    return _at_least(1, tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Each with two axes or more; new ones in front."""
    return _at_least(2, tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Each with three axes or more; a matrix gets a last one."""
    return _at_least(3, tensors)


def hstack(tensors: Sequence[Any]) -> Tensor:
    """Side by side along axis 1 (vectors: along 0)."""
    parts = [_with_axes(x, 1) for x in each_of((tensors,))]
    return cat(parts, int(bool(parts) and parts[0].ndim > 1))


def vstack(tensors: Sequence[Any]) -> Tensor:
    """One below the other, vectors as rows."""
    return cat([_with_axes(x, 2) for x in each_of((tensors,))], 0)


row_stack = vstack


def dstack(tensors: Sequence[Any]) -> Tensor:
    """One behind the other, along axis 2."""
    return cat([_with_axes(x, 3) for x in each_of((tensors,))], 2)


def column_stack(tensors: Sequence[Any]) -> Tensor:
    """Side by side along axis 1, vectors as columns."""
    parts = [x if x.ndim > 1 else x.reshape(-1, 1) for x in each_of((tensors,))]
    return cat(parts, 1)


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """The coordinates of a grid, an array for each axis.

    indexing: "ij" (the default): axis k is that of the k-th vector; "xy": the first two
    are exchanged.
    """
    parts = [_with_axes(x, 1) for x in each_of(tensors)]
    if indexing not in (None, "ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing is 'ij' or 'xy', not {indexing!r}")
    if not parts or any(x.ndim > 1 for x in parts):
        raise ShapeError("meshgrid takes one vector or more")
    if len({x.dtype for x in parts}) > 1:
        raise DTypeError("meshgrid takes vectors of one dtype")
    shape = [x.shape[0] for x in parts]
    along = [
        x.reshape([-1 if i == k else 1 for i in range(len(parts))])
        if x.shape[0]
        else x.reshape([0 if i == k else 1 for i in range(len(parts))])
        for k, x in enumerate(parts)
    ]
    grids = [x.expand(shape) for x in along]
    if indexing == "xy" and len(grids) > 1:
        grids = [x.transpose(0, 1) for x in grids]
    return tuple(grids)


def cartesian_prod(*tensors: Any) -> Tensor:
    """All ways to take one value of each vector, a row each."""
    parts = each_of(tensors)
    if len(parts) == 1:
        return parts[0]
    return stack([x.reshape(-1) for x in meshgrid(*parts)], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All ways to take r values of a vector, in order, a row each."""
    if input.ndim != 1 or r < 0:
        raise ArgumentError(f"combinations of {r} of {list(input.shape)}")
    choose = itertools.combinations_with_replacement
    ways = (choose if with_replacement else itertools.combinations)(
        range(input.shape[0]), r
    )
    return input[np.array(list(ways), np.int64).reshape(-1, r if r else 0)]


def block_diag(*tensors: Any) -> Tensor:
    """The matrices along the diagonal of one, 0 elsewhere."""
    parts = [_with_axes(x, 2) for x in each_of(tensors)]
    if any(x.ndim > 2 for x in parts):
        raise ShapeError("block_diag takes matrices")
    total, before, rows = sum(x.shape[1] for x in parts), 0, []
    for x in parts:
        after = total - before - x.shape[1]
        rows.append(ops.Pad(((0, 0), (before, after)))(x))
        before += x.shape[1]
    return cat(rows, 0)
