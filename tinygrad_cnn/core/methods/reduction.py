"""Sums, means and extremes, of all values or along axes."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import ArgumentError
from ...ops import cumulative, reduction
from ...ops.selection import Where
from .base import (
    Base,
    Dim,
    DType,
    axes_of,
    axis_of,
    float_only,
    floating,
    numpy_names,
    raw,
    unrecorded,
)
from .shape import cat, gather

if TYPE_CHECKING:
    from ..engine import Tensor


class Extreme(NamedTuple):
    """What `max(dim)` and `min(dim)` return: the values and where they stand."""

    values: Tensor
    indices: Tensor


class MinMax(NamedTuple):
    """What `aminmax` returns."""

    min: Tensor
    max: Tensor


_BELOW: dict[str, Any] = {
    **{"linear": np.floor, "midpoint": np.floor, "lower": np.floor},
    **{"higher": np.ceil, "nearest": np.round},
}
"""Which of the values in order comes first, by the interpolation of `quantile`."""


def _quantiles(x: Any, shares: Any, interpolation: str) -> Any:
    """Along the first axis, a row for each share."""
    place = shares * (len(x) - 1)
    order, missing = np.argsort(x._array, 0), np.isnan(x._array).any(0)

    def at(places: Any) -> Any:
        found = np.where(missing, order[-1], order[places.astype(int)])
        return gather(x, 0, x._wrap(found))

    below = _BELOW[interpolation](place)
    if interpolation not in ("linear", "midpoint"):
        return at(below)
    part = place - below if interpolation == "linear" else place * 0 + 0.5
    weight = part.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    return at(below).lerp(at(np.ceil(place)), x._wrap(weight))


def _summable(x: Any, dtype: DType | None) -> Any:
    """As `dtype`, or integers and bools as int64, in which they add up."""
    return x.to(dtype or (x.dtype if x.dtype.kind == "f" else np.int64))


def _middle(x: Any, axis: int | None) -> Any:
    """Where the median stands along an axis; the first NaN, if there is one."""
    if axis is None:
        return np.zeros((), np.int64)
    order = np.argsort(x, axis, kind="stable")
    found = np.take(order, (x.shape[axis] - 1) // 2, axis)
    missing = x != x
    return np.where(missing.any(axis), np.argmax(missing, axis), found)


def _least(dtype: DType) -> Any:
    return -math.inf if dtype.kind == "f" else np.iinfo(dtype).min


class Reduction(Base):
    """Methods that make one value of several."""

    __slots__ = ()

    @numpy_names
    def sum(
        self, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Tensor:
        """Σ over `dim` (an int, several, or None for all)."""
        x = self if dtype is None else self.to(dtype)
        y = reduction.Sum(axes_of(dim, x._array.ndim), keepdim)(x)
        return y if dtype is None else y.to(dtype)

    @numpy_names
    def mean(
        self, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Tensor:
        """The mean over `dim`; DTypeError for integers, which have no mean among them."""
        x = self if dtype is None else self.to(dtype)
        float_only(x, "mean()")
        return reduction.Mean(axes_of(dim, x._array.ndim), keepdim)(x)

    @numpy_names
    def nansum(
        self, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Tensor:
        """Σ over `dim`, NaN being 0."""
        return self._numbers().sum(dim, keepdim, dtype=dtype)

    @numpy_names
    def nanmean(
        self, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Tensor:
        """The mean over `dim` of what is not NaN."""
        x = float_only(self if dtype is None else self.to(dtype), "nanmean()")
        return x.nansum(dim, keepdim) / (x == x).sum(dim, keepdim)

    def _numbers(self) -> Tensor:
        if self.dtype.kind != "f":
            return self  # type: ignore[return-value]
        return Where()(self != self, 0.0, self)

    @numpy_names
    def prod(
        self, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Tensor:
        """Π over `dim` (an int, or None for all)."""
        x, axis = _summable(self, dtype), axis_of(0 if dim is None else dim, self.ndim)
        if not x.ndim:
            return x.clone()
        y = x.reshape(-1) if dim is None else x
        y = cumulative.Prod((axis,), keepdim and dim is not None)(y)
        return y if dtype is None else y.to(dtype)

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

    @numpy_names
    def var_mean(
        self,
        dim: Dim = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(var, mean), each over `dim`."""
        return self._with_mean(
            self.var(dim, unbiased, keepdim, correction=correction), dim, keepdim
        )

    @numpy_names
    def std_mean(
        self,
        dim: Dim = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(std, mean), each over `dim`."""
        return self._with_mean(
            self.std(dim, unbiased, keepdim, correction=correction), dim, keepdim
        )

    def _with_mean(self, y: Tensor, dim: Any, keepdim: bool) -> tuple[Tensor, Tensor]:
        return y, self.mean(None if isinstance(dim, bool) else dim, keepdim)

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
        if dim is None:
            return reduction.Max(None, nan_attains=True)(self)
        return self._extreme(np.argmax, dim, keepdim)

    @numpy_names
    def min(self, dim: Any = None, keepdim: bool = False) -> Any:
        """The minimum of all; (values, indices) along one `dim`; or `minimum(other)`."""
        if isinstance(dim, Base):
            return self.minimum(dim)
        if dim is None:
            return reduction.Min(None, nan_attains=True)(self)
        return self._extreme(np.argmin, dim, keepdim)

    @numpy_names
    def aminmax(self, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
        """(min, max), of all values or along `dim`."""
        return MinMax(self.amin(dim, keepdim), self.amax(dim, keepdim))

    @numpy_names
    def median(self, dim: Any = None, keepdim: bool = False) -> Any:
        """The middle value in order, of two the lower; along `dim`: (values, indices).

        Ties share the gradient of the median of all evenly. NaN wins.
        """
        if dim is not None:
            return self._extreme(_middle, dim, keepdim)
        x = self.detach().reshape(-1)
        if not x.numel():
            return x.new_full((), math.nan)
        middle = x[int(_middle(x._array, 0))]
        # The largest of what is not above it.
        up_to = Where()(self > middle, _least(self.dtype), self)
        return reduction.Max(None, nan_attains=True)(up_to)

    def quantile(
        self,
        q: Any,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
    ) -> Tensor:
        """The value below which the share q lies: a number, or a Tensor of several.

        Of all values or along `dim`; of several q the results stand along a new first axis.
        interpolation: "linear", "midpoint", "lower", "higher" or "nearest". NaN wins.
        """
        x = float_only(self, "quantile()")
        shares = np.asarray(raw(q), np.float64)
        if interpolation not in _BELOW or shares.ndim > 1:
            raise ArgumentError(
                f"quantile() takes a number or a vector as q, got {q!r}, and as "
                f"interpolation one of {', '.join(_BELOW)}, got {interpolation!r}"
            )
        if not ((shares >= 0) & (shares <= 1)).all() or not x.numel():
            raise ArgumentError(
                f"quantile() takes shares from 0 to 1 of some values, got {q!r} of "
                f"{list(x.shape)}"
            )
        axis = axis_of(dim or 0, x.ndim)
        over = range(x.ndim) if dim is None else [axis]
        sizes = [1 if a in over else s for a, s in enumerate(x.shape)]
        if not keepdim:
            sizes = [s for a, s in enumerate(x.shape) if a not in over]
        x = x.reshape(-1) if dim is None or not x.ndim else x
        if x.ndim > 1:  # what is reduced comes first
            x = x.unsqueeze(0).transpose(0, axis + 1).squeeze(axis + 1)
        y = _quantiles(x, shares.reshape(-1), interpolation)
        return y.reshape((*shares.shape, *sizes))

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
        if not self.ndim:
            values, indices = self.unsqueeze(0).topk(k, 0, largest, sorted)
            return Extreme(values.squeeze(0), indices.squeeze(0))
        if not 0 <= k <= self.size(axis):
            raise ArgumentError(f"topk: {k} of {self.size(axis)} values")
        order = np.argsort(self._array, axis, kind="stable")
        if (
            largest
        ):  # in the opposite order, but of equal values still the first one first
            rear = np.argsort(np.flip(self._array, axis), axis, kind="stable")
            order = self._array.shape[axis] - 1 - np.flip(rear, axis)
        indices = self._wrap(np.take(order, np.arange(k), axis))
        return Extreme(gather(self, axis, indices), indices)

    @numpy_names
    def logsumexp(self, dim: Dim, keepdim: bool = False) -> Tensor:
        """ln Σ eˣ over `dim`, without overflow."""
        x = floating(self)
        return reduction.LogSumExp(axes_of(dim, x.ndim), keepdim)(x)

    @numpy_names
    def all(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Whether all are true, of all values or over `dim`."""
        return self._whether(np.all, dim, keepdim)

    @numpy_names
    def any(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Whether any is true, of all values or over `dim`."""
        return self._whether(np.any, dim, keepdim)

    def _whether(self, function: Any, dim: Dim, keepdim: bool) -> Tensor:
        find = functools.partial(
            function, axis=axes_of(dim, self.ndim), keepdims=keepdim
        )
        found = unrecorded(function.__name__, find, self, differentiable=False)
        return found.to(np.uint8) if self.dtype == np.uint8 else found

    def count_nonzero(self, dim: Dim = None) -> Tensor:
        """How many values are not 0, of all or over `dim`."""
        find = functools.partial(np.count_nonzero, axis=axes_of(dim, self.ndim))
        return unrecorded("count_nonzero()", find, self, differentiable=False)

    def norm(
        self,
        p: Any = "fro",
        dim: Dim = None,
        keepdim: bool = False,
        dtype: DType | None = None,
    ) -> Tensor:
        """(Σ |x|^p)^(1/p) over `dim`; for p = ∞ and −∞ the largest and the smallest |x|.

        p=0 counts what is not 0. "fro" is p=2.
        """
        x = float_only(self if dtype is None else self.to(dtype), "norm()")
        axes = axes_of(dim, x.ndim)
        p = 2 if p in ("fro", None) else p
        if isinstance(p, bool) or not isinstance(p, int | float) or p != p:
            raise ArgumentError(f'norm() takes a number or "fro" as p, not {p!r}')
        if p == 2:
            return reduction.Norm(axes, keepdim)(x)
        if p == 0:
            return Where()(x != 0, 1.0, x.sign()).sum(dim, keepdim)
        size = x.abs()
        if p == 1:
            return size.sum(dim, keepdim)
        if math.isinf(p):
            return size.amax(dim, keepdim) if p > 0 else size.amin(dim, keepdim)
        return reduction.PNorm(axes, keepdim, float(p))(x)

    def dist(self, other: Any, p: float = 2) -> Tensor:
        """The p-norm of self − other."""
        return (self - other).norm(p)

    # ------------------------------------------------------------- up to each value

    def diff(
        self, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None
    ) -> Tensor:
        """The differences of neighbours along `dim`, n times; of bools: do they differ?

        prepend, append: Tensors that count as values before the first and after the last.
        """
        if n < 0 or self.ndim == 0:
            raise ArgumentError(f"diff(n={n}) of {self.ndim} axes: n ≥ 0 and an axis")
        if n == 0:
            return self.clone()
        parts = [t for t in (prepend, self, append) if t is not None]
        x: Any = cat(parts, dim) if len(parts) > 1 else self
        for _ in range(n):
            length = x.shape[dim]
            late = x.narrow(dim, min(1, length), max(length - 1, 0))
            early = x.narrow(dim, 0, max(length - 1, 0))
            x = late.logical_xor(early) if x.dtype == np.bool_ else late - early
        return x

    def cumsum(self, dim: int, *, dtype: DType | None = None) -> Tensor:
        """The sum of the values up to each one, along `dim`."""
        return self._cumulative(cumulative.CumSum, dim, dtype)

    def cumprod(self, dim: int, *, dtype: DType | None = None) -> Tensor:
        """The product of the values up to each one, along `dim`."""
        return self._cumulative(cumulative.CumProd, dim, dtype)

    def logcumsumexp(self, dim: int) -> Tensor:
        """ln Σ eˣ of the values up to each one, along `dim`."""
        return float_only(self, "logcumsumexp()")._cumulative(
            cumulative.LogCumSumExp, dim, None
        )

    def _cumulative(self, kind: Any, dim: int, dtype: DType | None) -> Tensor:
        x, axis = _summable(self, dtype), axis_of(dim, self.ndim)
        y = kind(axis)(x) if x.numel() > 1 else x.clone()
        return y if dtype is None else y.to(dtype)

    def cummax(self, dim: int) -> Extreme:
        """The largest value up to each one along `dim`, and where it stands (the last)."""
        return self._up_to_each(np.maximum, np.greater_equal, dim)

    def cummin(self, dim: int) -> Extreme:
        """The smallest value up to each one along `dim`, and where it stands (the last)."""
        return self._up_to_each(np.minimum, np.less_equal, dim)

    def _up_to_each(self, of_two: np.ufunc, wins: np.ufunc, dim: int) -> Extreme:
        axis = axis_of(dim, self.ndim)

        def find(x: Any) -> Any:
            if not x.ndim:
                return np.zeros((), np.int64)
            won = wins(x, of_two.accumulate(x, axis)) | (x != x)
            places = np.indices(x.shape, sparse=True)[axis]
            return np.maximum.accumulate(np.where(won, places, 0), axis)

        indices = unrecorded(of_two.__name__, find, self, differentiable=False)
        return Extreme(gather(self, axis, indices), indices)
