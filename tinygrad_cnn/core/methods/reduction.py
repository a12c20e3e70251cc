"""Sums, means and extremes, of all values or along axes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import ArgumentError
from ...ops import reduction
from .base import (
    Base,
    Dim,
    DType,
    axes_of,
    axis_of,
    float_only,
    floating,
    numpy_names,
    unrecorded,
)
from .shape import gather

if TYPE_CHECKING:
    from ..engine import Tensor


class Extreme(NamedTuple):
    """What `max(dim)` and `min(dim)` return: the values and where they stand."""

    values: Tensor
    indices: Tensor


class Reduction(Base):
    """Methods that make one value of several."""

    __slots__ = ()

    @numpy_names
    def sum(
        self, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Tensor:
        """Σ over `dim` (an int, several, or None for all)."""
        x = self if dtype is None else self.to(dtype)
        return reduction.Sum(axes_of(dim, x._array.ndim), keepdim)(x)

    @numpy_names
    def mean(
        self, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Tensor:
        """The mean over `dim`; DTypeError for integers, which have no mean among them."""
        x = self if dtype is None else self.to(dtype)
        float_only(x, "mean()")
        return reduction.Mean(axes_of(dim, x._array.ndim), keepdim)(x)

    @numpy_names
    def var(
        self,
        dim: Dim = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: int | None = None,
    ) -> Tensor:
        """Σ (x − mean)² / (n − correction) over `dim`; correction 1 unless given."""
        return self._spread(reduction.Var, dim, unbiased, keepdim, correction)

    @numpy_names
    def std(
        self,
        dim: Dim = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: int | None = None,
    ) -> Tensor:
        """√var; where all values are equal its gradient is 0."""
        return self._spread(reduction.Std, dim, unbiased, keepdim, correction)

    def _spread(
        self, kind: Any, dim: Any, unbiased: bool, keepdim: bool, correction: Any
    ) -> Tensor:
        float_only(self, f"{kind.__name__.lower()}()")
        if isinstance(dim, bool):  # var(False) is var(unbiased=False)
            unbiased, dim = dim, None
        c = int(unbiased) if correction is None else correction
        return kind(axes_of(dim, self._array.ndim), keepdim, c)(self)

    @numpy_names
    def amax(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """The maximum over `dim`; ties share the gradient evenly."""
        return reduction.Max(axes_of(dim, self._array.ndim), keepdim)(self)

    @numpy_names
    def amin(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """The minimum over `dim`; ties share the gradient evenly."""
        return reduction.Min(axes_of(dim, self._array.ndim), keepdim)(self)

    @numpy_names
    def max(self, dim: Any = None, keepdim: bool = False) -> Any:
        """The maximum of all; (values, indices) along one `dim`; or `maximum(other)`."""
        if isinstance(dim, Base):
            return self.maximum(dim)
        return self.amax() if dim is None else self._extreme(np.argmax, dim, keepdim)

    @numpy_names
    def min(self, dim: Any = None, keepdim: bool = False) -> Any:
        """The minimum of all; (values, indices) along one `dim`; or `minimum(other)`."""
        if isinstance(dim, Base):
            return self.minimum(dim)
        return self.amin() if dim is None else self._extreme(np.argmin, dim, keepdim)

    def _extreme(self, find: Any, dim: int, keepdim: bool) -> Extreme:
        axis = axis_of(dim, self._array.ndim)
        indices = self._along(find.__name__, find, axis, self.ndim > 0)
        values = gather(self, axis, indices)
        if not keepdim:
            values, indices = values.squeeze(axis), indices.squeeze(axis)
        return Extreme(values, indices)

    @numpy_names
    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the maximum stands (the first, if several), in all or along `dim`."""
        return self._along("argmax()", np.argmax, dim, keepdim)

    @numpy_names
    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the minimum stands (the first, if several), in all or along `dim`."""
        return self._along("argmin()", np.argmin, dim, keepdim)

    def _along(self, name: str, function: Any, dim: Any, keepdim: bool) -> Tensor:
        axis = None if dim is None else axis_of(dim, self.ndim)
        find = functools.partial(function, axis=axis if self.ndim else None)
        found = unrecorded(name, find, self, differentiable=False)
        if not keepdim or not self.ndim:
            return found
        return found.reshape([1] * self.ndim) if axis is None else found.unsqueeze(axis)

    def topk(
        self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
    ) -> Extreme:
        """The k largest (or smallest) along `dim`, in order: (values, indices)."""
        axis = axis_of(dim, self.ndim)
        if not 0 <= k <= self.size(axis):
            raise ArgumentError(f"topk: {k} of {self.size(axis)} values")
        order = np.argsort(-self._array if largest else self._array, axis, "stable")
        indices = self._wrap(np.take(order, np.arange(k), axis))
        return Extreme(gather(self, axis, indices), indices)

    @numpy_names
    def logsumexp(self, dim: Dim, keepdim: bool = False) -> Tensor:
        """ln Σ eˣ over `dim`, without overflow."""
        x = floating(self)
        return reduction.LogSumExp(axes_of(dim, x.ndim), keepdim)(x)

    @numpy_names
    def all(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Whether all are true."""
        found = self._along("all()", np.all, dim, keepdim)
        return found.to(np.uint8) if self.dtype == np.uint8 else found

    @numpy_names
    def any(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Whether any is true."""
        found = self._along("any()", np.any, dim, keepdim)
        return found.to(np.uint8) if self.dtype == np.uint8 else found

    def norm(
        self,
        p: Any = "fro",
        dim: Dim = None,
        keepdim: bool = False,
        dtype: DType | None = None,
    ) -> Tensor:
        """√Σ x², of all values or over `dim`; p must be 2 or "fro", which is the same."""
        if p not in ("fro", 2):
            raise ArgumentError(f"only the norm with p=2 is there, not p={p!r}")
        x = float_only(self if dtype is None else self.to(dtype), "norm()")
        if dim is None and not keepdim:
            return reduction.Norm()(x)
        return (x * x).sum(dim, keepdim).sqrt()
