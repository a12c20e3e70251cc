"""Values taken from, and put to, places that Tensors of integers or bools name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ...errors import ArgumentError, DTypeError, IndexingError, ShapeError
from ...ops import shape as ops
from ...ops.base import Value
from ...ops.selection import Where
from . import arithmetic
from .arranging import broadcast_shapes, broadcast_tensors
from .base import Array, Base, axis_of, unrecorded
from .shape import checked_key, gather, places_of, spots

if TYPE_CHECKING:
    from ..engine import Tensor

Key = tuple[Any, ...]
Method = TypeVar("Method", bound=Callable[..., Any])


def in_place(method: Method) -> Method:
    """The same, done to the Tensor itself."""

    @functools.wraps(method)
    def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.become(method(self._before(), *args, **kwargs))

    changed.__name__ += "_"
    changed.__qualname__ += "_"
    changed.__doc__ = f"In place: {method.__doc__}"
    return changed  # type: ignore[return-value]


def _along(name: str, x: Any, dim: int, index: Any) -> tuple[Key, tuple[int, ...]]:
    """The key of the slices that a vector names along `dim`, and the shape of these."""
    axis = axis_of(dim, x.ndim)
    places = places_of(name, index, x.shape[axis] if x.ndim else 1)
    if places.ndim > 1:
        raise IndexingError(f"{name} takes a vector as index, got {list(places.shape)}")
    if not x.ndim:
        return (...,), ()
    shape = (*x.shape[:axis], places.size, *x.shape[axis + 1 :])
    return ((slice(None),) * axis + (places.reshape(-1), ...)), shape


def _source(name: str, x: Any, key: Key, index: Any, src: Any) -> Any:
    """What is put to the places: a number, or the first values of a Tensor."""
    if not isinstance(src, Base):
        return x._wrap(np.full(x._array[key].shape, src, x.dtype))
    if src.dtype != x.dtype:
        raise DTypeError(
            f"{name} puts {src.dtype} into {x.dtype}; they must be the same"
        )
    shape = x._array[key].shape
    if not x.ndim:
        return src.reshape(-1)[0] if src.ndim else src
    if index.numel() and (
        src.ndim != x.ndim or any(s < n for s, n in zip(src.shape, shape, strict=True))
    ):
        raise ShapeError(f"{name}: src {list(src.shape)} for an index {list(shape)}")
    if not index.numel():
        return x._wrap(np.zeros(shape, x.dtype))
    return src[tuple([slice(n) for n in shape])]


def _fitting(name: str, x: Any, source: Any, shape: tuple[int, ...]) -> Any:
    """A source whose dtype is that of x, and whose shape is this one."""
    if source.dtype != x.dtype:
        raise DTypeError(
            f"{name} puts {source.dtype} into {x.dtype}; they must be the same"
        )
    if not x.ndim and source.numel() == 1:
        return source.reshape(())
    if source.shape != shape:
        raise ShapeError(f"{name}: source {list(source.shape)} for {list(shape)}")
    return source


REDUCTIONS = {"sum": "sum", "add": "sum", "prod": "prod", "multiply": "prod"}
REDUCTIONS |= {"mean": "mean", "amax": "amax", "amin": "amin"}
REDUCTIONS |= {
    "max": "amax",
    "min": "amin",
}  # as PyTorch has them in scatter_reduce too


class Indexing(Base):
    """Methods that take, put, add or find values by index or by mask."""

    __slots__ = ()

    # ------------------------------------------------------------------- taking

    def index_select(self, dim: int, index: Any) -> Tensor:
        """The slices along `dim` that a vector names: a copy."""
        key, _ = _along("index_select", self, dim, index)
        return ops.Index(key)(self) if self.ndim else self.clone()

    def take(self, index: Any) -> Tensor:
        """The values at these places of all, counted in row-major order."""
        flat = self.reshape(-1)
        if not isinstance(index, Base) or index.dtype != np.int64:
            raise IndexingError(f"take() takes an index of int64, got {index!r}")
        return flat[index] if index.ndim else flat[index].clone()

    def take_along_dim(self, indices: Any, dim: int | None = None) -> Tensor:
        """The values at `indices` along `dim`; the other axes broadcast."""
        if dim is None:
            return gather(self.reshape(-1), 0, indices.reshape(-1))
        axis = axis_of(dim, self.ndim)
        if self.ndim != indices.ndim:
            raise ShapeError(f"take_along_dim: {self.ndim} and {indices.ndim} axes")
        n, at = self.shape[axis], indices._array
        indices = self._wrap(np.where(at < 0, at + n, at))
        shapes = [(*x.shape[:axis], 1, *x.shape[axis + 1 :]) for x in (self, indices)]
        shape = broadcast_shapes(*shapes)
        wide = *shape[:axis], -1, *shape[axis + 1 :]
        return gather(self.expand(wide), axis, indices.expand(wide))

    def masked_select(self, mask: Any) -> Tensor:
        """The values where the mask is true, one after the other."""
        x, at = broadcast_tensors(self, _bools("masked_select", mask))
        return x[at].clone() if not x.ndim else x[at]

    # ------------------------------------------------------------------ putting

    def scatter(
        self,
        dim: int,
        index: Any,
        src: Any = None,
        *,
        value: Any = None,
        reduce: Any = None,
    ) -> Tensor:
        """A copy in which y[index[i, j, …], j, …] = src[i, j, …], for dim 0, and so on.

        src: a Tensor, or one number (also by the name `value`). reduce: "add" or
        "multiply", instead of putting.
        """
        key = spots("scatter", self, dim, index)
        given = value if src is None else src
        source = _source("scatter", self, key, index, given)
        if reduce is not None:
            return self._reduced(key, source, reduce, True)
        return ops.Put(key)(self, source)

    def scatter_add(self, dim: int, index: Any, src: Any) -> Tensor:
        """A copy in which src[i, j, …] is added to y[index[i, j, …], j, …], for dim 0, …"""
        key = spots("scatter_add", self, dim, index)
        source = _source("scatter_add", self, key, index, src)
        return self._reduced(key, source, "sum", True)

    def scatter_reduce(
        self, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
    ) -> Tensor:
        """All src[i, j, …] that go to one place y[index[i, j, …], j, …] become one value.

        reduce: "sum", "prod" (without a gradient), "mean", "amax" or "amin", of which ties
        share the gradient. include_self: with the value of self among them.
        """
        key = spots("scatter_reduce", self, dim, index)
        source = _source("scatter_reduce", self, key, index, src)
        return self._reduced(key, source, reduce, include_self)

    def _reduced(self, key: Key, src: Any, reduce: str, include: bool) -> Tensor:
        if reduce not in REDUCTIONS:
            raise ArgumentError(
                f"reduce is one of sum, prod, mean, amax and amin, not {reduce!r}"
            )
        reduce = REDUCTIONS[reduce]
        start: Any = self
        if not include:
            start = ops.Put(key)(self, self._wrap(np.zeros((), self.dtype)))
        spread = ops.IndexAdd(key, self.shape)
        if reduce in ("sum", "mean"):
            total = start + spread(src)
            if reduce == "sum":
                return total
            one = np.ones((), np.int64)
            counts = spread(np.broadcast_to(one, src.shape)) + include
            counts = self._wrap(np.maximum(counts, 1).astype(self.dtype))
            return total / counts if self.dtype.kind == "f" else total // counts
        ufunc = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[reduce]

        def gathered(x: Array, src: Array) -> Array:
            y = x.copy()
            if not include:
                y[key] = _neutral(reduce, x.dtype)
            ufunc.at(y, key, src)
            return y

        name = f"scatter_reduce({reduce!r})"
        if reduce == "prod":
            return unrecorded(name, gathered, self, src)
        y: Any = unrecorded(name, gathered, self, src, differentiable=False)
        if not (self._requires_grad or src._requires_grad):
            return y
        # Where values equal the extreme they are it, each with an equal share.
        named = spread(np.ones(src.shape)) > 0
        of_self = (start == y) & self._wrap(np.logical_or(include, ~named))
        of_src = src == ops.Index(key)(y)
        shares = of_self.to(self.dtype) + spread(of_src.to(self.dtype))
        chosen = Where()(of_self, start, 0.0) + spread(Where()(of_src, src, 0.0))
        return chosen / shares

    def index_add(self, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Tensor:
        """A copy, alpha · source added to the slices along `dim` that a vector names."""
        key, shape = _along("index_add", self, dim, index)
        source = _fitting("index_add", self, source, shape)
        return self + ops.IndexAdd(key, self.shape)(
            source * alpha if alpha != 1 else source
        )

    def index_copy(self, dim: int, index: Any, source: Any) -> Tensor:
        """A copy with `source` in the slices along `dim` that a vector names."""
        key, shape = _along("index_copy", self, dim, index)
        return ops.Put(key)(self, _fitting("index_copy", self, source, shape))

    def index_fill(self, dim: int, index: Any, value: Any) -> Tensor:
        """A copy with one value in the slices along `dim` that a vector names."""
        once = self._wrap(
            np.unique(index._array)
        )  # a gradient goes to `value` for each
        key, _ = _along("index_fill", self, dim, once)
        if getattr(value, "ndim", 0):
            raise ShapeError(f"index_fill takes one value, got {list(value.shape)}")
        if not isinstance(value, Base):
            value = self._wrap(np.asarray(value, self.dtype))
        return ops.Put(key)(self, value.to(self.dtype))

    def index_put(
        self, indices: Sequence[Any], values: Any, accumulate: bool = False
    ) -> Tensor:
        """A copy with y[indices] = values; or, with `accumulate`, these added there."""
        whole = [slice(None) if part is None else part for part in indices]
        key = checked_key(tuple(whole), self.shape)
        if values.dtype != self.dtype:
            raise DTypeError(f"index_put puts {values.dtype} into {self.dtype}")
        if not accumulate:
            return ops.Put(key)(self, values)
        shape = self._array[key].shape
        return self + ops.IndexAdd(key, self.shape)(values.expand(shape))

    def masked_scatter(self, mask: Any, source: Any) -> Tensor:
        """A copy with the values of `source`, in order, where the mask is true."""
        shape = broadcast_shapes(self.shape, _bools("masked_scatter", mask).shape)
        x, at = self if self.shape == shape else self.expand(shape), mask.expand(shape)
        count = int(np.count_nonzero(at._array))
        if source.dtype != self.dtype:
            raise DTypeError(f"masked_scatter puts {source.dtype} into {self.dtype}")
        if source.numel() < count:
            raise ShapeError(
                f"masked_scatter: {source.numel()} values for {count} places"
            )
        key = checked_key(at, x.shape)
        return ops.Put(key)(x, source.reshape(-1)[:count])

    scatter_ = in_place(scatter)
    scatter_add_ = in_place(scatter_add)
    scatter_reduce_ = in_place(scatter_reduce)
    index_add_ = in_place(index_add)
    index_copy_ = in_place(index_copy)
    index_fill_ = in_place(index_fill)
    index_put_ = in_place(index_put)
    masked_scatter_ = in_place(masked_scatter)

    # ------------------------------------------------------------------ finding

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        """Where the values are not 0: a row of indices each; or a vector for each axis."""
        x: Any = self if self.ndim or not as_tuple else self.reshape(1)
        find = lambda a: np.argwhere(a).astype(np.int64)
        found = unrecorded("nonzero()", find, x, differentiable=False)
        return found.unbind(1) if as_tuple else found

    def argwhere(self) -> Tensor:
        """Where the values are not 0: a row of indices for each."""
        return self.nonzero()

    def where(self, condition: Any, other: Value) -> Tensor:
        """Self where the condition (bools) holds, else `other`."""
        return arithmetic.where(condition, self, other)


def _bools(name: str, mask: Any) -> Any:
    if not isinstance(mask, Base) or mask.dtype != np.bool_:
        raise DTypeError(f"{name} takes a mask of bools, got {mask!r}")
    return mask


def _neutral(reduce: str, dtype: Any) -> Any:
    """What changes no product, no maximum or no minimum."""
    if reduce == "prod":
        return 1
    if dtype.kind == "b":
        return reduce == "amin"
    limits = (-np.inf, np.inf) if dtype.kind == "f" else None
    if limits is None:
        info = np.iinfo(dtype)
        limits = info.min, info.max
    return limits[reduce == "amin"]


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition (bools) holds, else `other`; alone, where it holds."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return arithmetic.where(condition, input, other)
