"""Shapes, joining and indexing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DTypeError, IndexingError, ShapeError
from ...ops import shape as ops
from ...ops.base import Value
from ...ops.selection import Where
from ..recording import told_reader
from .base import (
    Array,
    Base,
    Size,
    axes_of,
    axis_of,
    int64,
    ints,
    of_array,
    promote,
    raw,
)

if TYPE_CHECKING:
    from ..engine import Tensor


class Shape(Base):
    """The methods that move values and compute none."""

    __slots__ = ()

    @property
    def shape(self) -> Size:
        """Length of each axis."""
        return Size(self._array.shape)

    ndim: int = of_array("ndim", "How many axes.")

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one axis."""
        if dim is None:
            return self.shape
        if not self.ndim:
            raise IndexingError(
                f"dimension specified as {dim} but tensor has no dimensions"
            )
        return self.shape[axis_of(dim, self.ndim)]

    def dim(self) -> int:
        """How many axes."""
        return self.ndim

    def numel(self) -> int:
        """How many values."""
        return int(self._array.size)

    nelement = numel

    def __len__(self) -> int:
        if self.ndim == 0:
            raise DTypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise DTypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(self.shape[0]))

    def reshape(self, *shape: Any) -> Tensor:
        """The same values in row-major order under another shape; one −1 is worked out."""
        return self._share_with(ops.Reshape(ints(shape))(self))

    # The memory order of images is the library's business here, so a view that needs a
    # copy is made instead of refused.
    view = reshape

    def view_as(self, other: Any) -> Tensor:
        """Reshaped to the shape of `other`."""
        return self.reshape(other.shape)

    reshape_as = view_as

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes start_dim … end_dim joined into one."""
        s = self._array.shape
        start, end = axis_of(start_dim, len(s)), axis_of(end_dim, len(s))
        if start > end:
            raise ArgumentError(
                "flatten() has invalid args: start_dim comes after end_dim"
            )
        if start == end and s:
            return self  # type: ignore[return-value]
        joined = (*s[:start], math.prod(s[start : end + 1]), *s[end + 1 :])
        return self._share_with(self.__apply__(ops.Reshape(joined), (self,)))

    def ravel(self) -> Tensor:
        """All values in one axis; a copy, unless they lie in row-major order."""
        return self.contiguous().reshape(-1)

    def permute(self, *axes: Any, dims: Any = ()) -> Tensor:
        """The axes in another order."""
        dims = axes or dims
        axes = axes_of(ints(dims), self.ndim) or ()
        if len(axes) != self.ndim:
            raise ShapeError(
                f"permute{ints(dims)} does not name each of {self.ndim} axes"
            )
        return ops.Permute(axes)(self)

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Two axes exchanged."""
        axes = list(range(self.ndim))
        a, b = axis_of(dim0, self.ndim), axis_of(dim1, self.ndim)
        if axes:
            axes[a], axes[b] = axes[b], axes[a]
        return ops.Permute(tuple(axes))(self)

    swapaxes = swapdims = transpose

    def t(self) -> Tensor:
        """The transpose of a matrix (a vector stays)."""
        if self.ndim > 2:
            raise ShapeError(f"t() expects at most 2 axes, got {list(self.shape)}")
        return self.transpose(0, 1) if self.ndim == 2 else self  # type: ignore[return-value]

    @property
    def T(self) -> Tensor:
        """All axes reversed."""
        return ops.Permute(tuple(reversed(range(self.ndim))))(self)

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return self.transpose(-2, -1)

    def expand(self, *sizes: Any) -> Tensor:
        """Axes of length 1, and new ones in front, repeated; −1 keeps a length."""
        shape = ints(sizes)
        lead = len(shape) - self.ndim
        if lead < 0:
            raise ShapeError(f"expand{shape} has fewer axes than {list(self.shape)}")
        kept = [
            self.shape[i - lead] if s == -1 and i >= lead else s
            for i, s in enumerate(shape)
        ]
        return ops.Expand(tuple(kept))(self)

    def expand_as(self, other: Any) -> Tensor:
        """Expanded to the shape of `other`."""
        return self.expand(other.shape)

    def repeat(self, *repeats: Any) -> Tensor:
        """The whole, laid side by side so many times along each axis: a copy."""
        times = ints(repeats)
        lead = len(times) - self.ndim
        if lead < 0:
            raise ShapeError(f"repeat{times} has fewer axes than {list(self.shape)}")
        shape = (1,) * lead + self.shape
        pairs = [n for r, s in zip(times, shape, strict=True) for n in (r, s)]
        apart = [n for s in shape for n in (1, s)]
        full = [r * s for r, s in zip(times, shape, strict=True)]
        return self.reshape(apart).expand(pairs).clone().reshape(full)

    def squeeze(self, dim: Any = None) -> Tensor:
        """Without the axes of length 1, or without those of `dim` that have it."""
        axes = range(self.ndim) if dim is None else axes_of(dim, self.ndim) or ()
        kept = [s for i, s in enumerate(self.shape) if s != 1 or i not in axes]
        return self.reshape(kept)

    def unsqueeze(self, dim: int) -> Tensor:
        """With an axis of length 1 at `dim`."""
        at = axis_of(dim, self.ndim + 1)
        return self.reshape((*self.shape[:at], 1, *self.shape[at:]))

    def flip(self, *axes: Any, dims: Any = ()) -> Tensor:
        """Back to front along each of `dims`."""
        axes = axes_of(ints(axes or (dims,)), self.ndim) or ()
        back, all_ = slice(None, None, -1), slice(None)
        key = tuple([back if i in axes else all_ for i in range(self.ndim)])
        return ops.Index(key)(self) if axes else self.clone()

    def narrow(self, dim: int, start: int, length: int) -> Tensor:
        """`length` entries from `start` along `dim`."""
        if not self.ndim:
            raise IndexingError("narrow() cannot be applied to a 0-d tensor")
        axis = axis_of(dim, self.ndim)
        start += self.shape[axis] if start < 0 else 0
        if length < 0 or not 0 <= start <= start + length <= self.shape[axis]:
            raise IndexingError(
                f"narrow: {length} from {start} reach beyond the {self.shape[axis]} of "
                f"dimension {axis}"
            )
        return ops.Index((slice(None),) * axis + (slice(start, start + length),))(self)

    def split(
        self, split_size: int | Sequence[int], dim: int = 0
    ) -> tuple[Tensor, ...]:
        """Pieces of `split_size` along `dim`, the last one smaller; or of these sizes."""
        total = self.size(dim)
        if isinstance(split_size, int) and split_size < 1:
            raise ArgumentError(
                f"split expects a positive split_size, got {split_size}"
            )
        if isinstance(split_size, int):
            whole, rest = divmod(total, split_size)
            split_size = [split_size] * whole + ([rest] if rest or not whole else [])
        if sum(split_size) != total:
            raise ShapeError(f"split sizes {list(split_size)} do not add up to {total}")
        starts = np.cumsum([0, *split_size])
        sizes = zip(starts.tolist(), split_size, strict=False)
        return tuple(self.narrow(dim, start, length) for start, length in sizes)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """At most `chunks` pieces of equal size (the last may be smaller)."""
        total = self.size(dim)
        if chunks < 1:
            raise ArgumentError(
                f"chunk expects `chunks` to be greater than 0, got {chunks}"
            )
        if not total:  # then there are as many as were asked for
            return self.split([0] * chunks, dim)
        return self.split(-(-total // chunks), dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """The slices along `dim`, without it."""
        pieces = (self.narrow(dim, i, 1) for i in range(self.size(dim)))
        return tuple([piece.squeeze(dim) for piece in pieces])

    def gather(self, dim: int, index: Any) -> Tensor:
        """y[i, j, …] = x[index[i, j, …], j, …] for dim 0, and so on."""
        return gather(self, dim, index)

    def masked_fill(self, mask: Any, value: float) -> Tensor:
        """`value` (a number) where the mask is true."""
        if getattr(value, "ndim", 0) or raw(mask).dtype != np.bool_:
            raise DTypeError(
                f"masked_fill takes bools and one number, got {mask!r}, {value!r}"
            )
        mask = mask.copy() if isinstance(mask, np.ndarray) else mask
        value = (
            value.to(self.dtype) if isinstance(value, Base) else self.dtype.type(value)
        )
        return Where()(mask, value, self)

    def __getitem__(self, key: Any) -> Tensor:
        return ops.Index(checked_key(key, self.shape))(self)


def checked_key(key: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """An index as NumPy takes it, with Tensors as arrays of their own.

    IndexingError for what is no index or out of range; PyTorch has no negative step.
    """
    parts = key if isinstance(key, tuple) else (key,)
    read = []
    for part in parts:
        if isinstance(part, Base | np.ndarray | list):
            array = np.array(part._array if isinstance(part, Base) else part)
            if array.dtype.kind not in "ib":
                raise IndexingError(
                    "tensors used as indices must be signed integers or bools, got "
                    f"{array.dtype}"
                )
            if array.ndim == 0 and array.dtype.kind == "i":
                told_reader("an index")
                part = int(array)
            else:
                part = array
        elif isinstance(part, slice) and part.step is not None and part.step < 1:
            raise ArgumentError("step must be greater than zero; use flip()")
        elif isinstance(part, float | str):
            raise IndexingError(f"{part!r} cannot index a Tensor")
        read.append(part)
    if _split(read):
        return _in_two_steps(read, shape)
    if not any(part is Ellipsis for part in read):
        read.append(Ellipsis)  # so that a single element is a view as well
    return tuple(read)


def _split(parts: list[Any]) -> bool:
    """Whether something stands between an integer and an array, which NumPy and PyTorch
    order differently: there the integer counts as an array.
    """
    places = [i for i, p in enumerate(parts) if isinstance(p, int | np.ndarray)]
    kinds = {type(parts[i]) is np.ndarray for i in places}
    return len(kinds) == 2 and places[-1] - places[0] >= len(places)


def _in_two_steps(parts: list[Any], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The same index by arrays alone, as PyTorch reads it: integers first, then arrays."""
    if any(isinstance(part, bool) for part in parts):
        raise IndexingError("True and False beside integers and arrays cannot index")
    places = np.arange(math.prod(shape)).reshape(shape)
    first: list[Any] = []
    second: list[Any] = []
    for part in parts:
        if isinstance(part, np.ndarray):
            first += [slice(None)] * (part.ndim if part.dtype.kind == "b" else 1)
            second.append(part)
        else:
            first.append(part)
            if not isinstance(part, int):
                second.append(part if part is Ellipsis else slice(None))
    try:
        return np.unravel_index(places[tuple(first)][tuple(second)], shape)
    except IndexError as error:
        raise IndexingError(f"{error}, in an index of {list(shape)}") from None


def places_of(name: str, index: Any, length: int) -> Array:
    """A copy of an index of integers, each of 0 … length − 1."""
    fits = isinstance(index, Base) and not (
        index.numel() and index.dtype not in (np.int64, np.int32)
    )
    if not fits:
        raise IndexingError(f"{name} takes an index of int64 or int32, got {index!r}")
    places = np.array(index._array, int64)
    if places.size and not 0 <= places.min() <= places.max() < length:
        raise IndexingError(
            f"{name}: index {places.min()} … {places.max()} is out of bounds for "
            f"{length} places"
        )
    return places


def spots(name: str, x: Any, dim: int, index: Any) -> tuple[Any, ...]:
    """The key of the places (i, j, …) with one of them replaced by index[i, j, …]."""
    axis = axis_of(dim, x.ndim)
    places = places_of(name, index, x.shape[axis] if x.ndim else 1)
    if places.size and max(places.ndim, 1) != max(x.ndim, 1):
        raise IndexingError(f"{name} takes an index of {x.ndim} axes, got {index!r}")
    if not x.ndim:
        return (...,)
    if places.ndim != x.ndim:  # nothing is named, in whatever shape
        places = places.reshape([0] * x.ndim)
    other = [i for i in range(x.ndim) if i != axis]
    if any(places.shape[i] > x.shape[i] for i in other):
        raise ShapeError(
            f"{name}: an index {list(places.shape)} for {list(x.shape)} along {axis}"
        )
    key: list[Any] = list(np.indices(places.shape, sparse=True))
    key[axis] = places
    return tuple(key)


def gather(x: Any, dim: int, index: Any) -> Tensor:
    """See `Tensor.gather`."""
    key = spots("gather", x, dim, index)
    if not x.ndim:
        return x.expand(index.shape).clone()
    y = ops.Index(key)(x)
    return y if y.ndim == index.ndim else y.reshape(index.shape)


def cat(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """The Tensors one after the other along `dim`."""
    parts = _common(tensors, "cat")
    return ops.Concatenate(axis_of(dim, parts[0].ndim))(*parts)


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """The Tensors side by side along a new axis `dim`."""
    parts = _common(tensors, "stack")
    if len({p.shape for p in parts}) > 1:
        shapes = ", ".join(str(list(p.shape)) for p in parts)
        raise ShapeError(f"stack expects each tensor to be equal size, got {shapes}")
    at = axis_of(dim, parts[0].ndim + 1)
    return ops.Concatenate(at)(*[p.unsqueeze(at) for p in parts])


def _common(tensors: Sequence[Any], name: str) -> list[Any]:
    if not tensors or not all(isinstance(t, Base) for t in tensors):
        raise DTypeError(f"{name}() expects a non-empty sequence of Tensors")
    first: Value = tensors[0]
    for t in tensors[1:]:
        first = promote(first, t)[0]
    return [promote(t, first)[0] for t in tensors]
