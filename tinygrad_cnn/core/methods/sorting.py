"""Values in order, and where they are found: sorting, searching, counting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import ArgumentError, DTypeError, ShapeError
from .base import Array, Base, axis_of, numpy_names, raw, unrecorded
from .shape import gather

if TYPE_CHECKING:
    from ..engine import Tensor


class Sorted(NamedTuple):
    """What `sort` and `kthvalue` return: the values and where they stood."""

    values: Tensor
    indices: Tensor


def order_of(x: Array, axis: int, descending: bool) -> Array:
    """The places in order, equal ones as they stood; NaN counts as the greatest."""
    if not x.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(backwards, axis)


class Sorting(Base):
    """Methods that compare the values of a Tensor with one another, or find them."""

    __slots__ = ()

    def argsort(
        self, dim: int = -1, descending: bool = False, stable: bool = False
    ) -> Tensor:
        """Where the values stand that come first, second, … along `dim`; always stable."""
        axis = axis_of(dim, self.ndim)
        order = lambda x: order_of(x, axis, descending)
        return unrecorded("argsort()", order, self, differentiable=False)

    def sort(
        self, dim: int = -1, descending: bool = False, stable: bool = False
    ) -> Sorted:
        """In order along `dim`: (values, indices); equal values stay in their order."""
        indices = self.argsort(dim, descending)
        return Sorted(gather(self, dim, indices), indices)

    def msort(self) -> Tensor:
        """In order along the first axis."""
        return self.sort(0).values

    @numpy_names
    def kthvalue(self, k: int, dim: int = -1, keepdim: bool = False) -> Sorted:
        """The k-th smallest along `dim`, counted from 1: (values, indices)."""
        axis = axis_of(dim, self.ndim)
        n = self.shape[axis] if self.ndim else 1
        if not 1 <= k <= n:
            raise ArgumentError(f"kthvalue: there is no {k}-th of {n} values")
        indices: Any = self.argsort(axis)
        if self.ndim:
            indices = indices.narrow(axis, k - 1, 1).clone()
        values: Any = gather(self, axis, indices)
        if not keepdim and self.ndim:
            values, indices = values.squeeze(axis), indices.squeeze(axis)
        return Sorted(values, indices)

    def unique(
        self,
        sorted: bool = True,
        return_inverse: bool = False,
        return_counts: bool = False,
        dim: int | None = None,
    ) -> Any:
        """The different values (along `dim`, slices) in order; and, where asked for, which
        of them each is, and how often each occurs.
        """
        axis = None if dim is None else axis_of(dim, self.ndim)
        values, inverse, counts = np.unique(
            self._array, False, True, True, axis, equal_nan=False
        )
        inverse = inverse.reshape(self.shape if axis is None else -1)
        return self._found(
            "unique", values, inverse, counts, return_inverse, return_counts
        )

    def unique_consecutive(
        self,
        return_inverse: bool = False,
        return_counts: bool = False,
        dim: int | None = None,
    ) -> Any:
        """The values (along `dim`, slices) unlike the one before; see `unique`."""
        axis = 0 if dim is None else axis_of(dim, self.ndim)
        x = self._array.reshape(-1) if dim is None else self._array
        rows = np.moveaxis(x, axis, 0)
        changes = (rows[1:] != rows[:-1]).any(tuple(range(1, rows.ndim)))
        first = np.flatnonzero(
            np.concatenate([np.ones(min(len(rows), 1), bool), changes])
        )
        counts = np.diff(np.append(first, len(rows)))
        inverse = np.repeat(np.arange(len(first)), counts)
        if dim is None:
            inverse = inverse.reshape(self.shape)
        values = np.take(x, first, axis)
        return self._found(
            "unique_consecutive", values, inverse, counts, return_inverse, return_counts
        )

    def _found(
        self, name: str, values: Array, inverse: Array, counts: Array, *asked: bool
    ) -> Any:
        found = [unrecorded(f"{name}()", lambda _: values, self)]
        for wanted, array in zip(asked, (inverse, counts), strict=True):
            if wanted:
                found.append(unrecorded(f"{name}()", lambda _, a=array: a, self))
        return tuple(found) if len(found) > 1 else found[0]

    def bincount(self, weights: Any = None, minlength: int = 0) -> Tensor:
        """How often 0, 1, 2, … occur; with `weights`, the sum of the weights of each."""
        if self.dtype.kind not in "iu" or self.ndim != 1:
            raise DTypeError(f"bincount takes a vector of integers, got {self!r}")
        if minlength < 0 or (self.numel() and self._array.min() < 0):
            raise ArgumentError("bincount counts integers ≥ 0, and minlength is ≥ 0")
        if weights is None:
            return unrecorded(
                "bincount()", lambda x: np.bincount(x, None, minlength), self
            )
        dtype = np.float32 if weights.dtype == np.float32 else np.float64
        count = lambda x, w: np.bincount(x, w, minlength).astype(dtype)
        return unrecorded("bincount()", count, self, weights)

    def histc(self, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
        """How many values lie in each of `bins` equal parts of [min, max].

        Where min and max are the same: of the smallest to the largest value.
        """
        if self.dtype.kind != "f":
            raise DTypeError(f"histc takes floats, got {self.dtype}")
        if bins < 1 or max < min:
            raise ArgumentError(f"histc: {bins} bins from {min} to {max}")
        low, high = float(min), float(max)
        if low == high and self.numel():
            low, high = float(self._array.min()), float(self._array.max())
        if low == high:
            low, high = low - 1, high + 1
        if not np.isfinite(low) or not np.isfinite(high):
            raise ArgumentError(f"histc: the range from {low} to {high} is not finite")
        count = lambda x: np.histogram(x, bins, (low, high))[0].astype(x.dtype)
        return unrecorded("histc()", count, self)


def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Tensor:
    """Where each value would be put in to keep the order: before equal ones, or (`right`)
    behind them. Of several axes, each row of values belongs to a row of the sequence.
    sorter: the order of a sequence that is in none itself, as of `argsort`.
    """
    if side not in (None, "left", "right") or (right and side == "left"):
        raise ArgumentError(f"searchsorted: right={right} and side={side!r}")
    at: Any = "right" if right or side == "right" else "left"
    if sorter is not None:
        sorted_sequence = gather(sorted_sequence, -1, sorter)
    if not isinstance(input, Base):
        input = sorted_sequence._wrap(np.asarray(input, sorted_sequence.dtype))
    rows, values = sorted_sequence._array, input._array
    if rows.ndim == 0 or (rows.ndim > 1 and rows.shape[:-1] != values.shape[:-1]):
        raise ShapeError(
            f"searchsorted: values {list(values.shape)} for sequences {list(rows.shape)}"
        )
    if rows.dtype != values.dtype:
        raise DTypeError(f"searchsorted: {values.dtype} among {rows.dtype}")

    def search(rows: Array, values: Array) -> Array:
        if rows.ndim == 1:
            found = np.asarray(np.searchsorted(rows, values, at))
        else:
            found = np.zeros(values.shape, np.int64)
            for i in np.ndindex(rows.shape[:-1]):
                found[i] = np.searchsorted(rows[i], values[i], at)
        return found.astype(np.int32 if out_int32 else np.int64)

    return unrecorded(
        "searchsorted()", search, sorted_sequence, input, differentiable=False
    )


def bucketize(
    input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """Which of the intervals between `boundaries` (a vector in order) each value is in."""
    if boundaries.ndim != 1:
        raise ShapeError(f"boundaries are a vector, got {list(boundaries.shape)}")
    if isinstance(input, Base) and input.dtype != boundaries.dtype:
        dtype = np.promote_types(input.dtype, boundaries.dtype)
        input, boundaries = input.to(dtype), boundaries.to(dtype)
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(
    elements: Any,
    test_elements: Any,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> Tensor:
    """Which values occur in `test_elements`."""
    first = elements if isinstance(elements, Base) else test_elements
    if not isinstance(first, Base):
        raise DTypeError("isin() takes a Tensor, and a second one or a number")
    find = lambda _, a, b: np.isin(a, b, invert=invert)
    inputs = raw(elements), raw(test_elements)
    return unrecorded("isin()", find, first, *inputs, differentiable=False)
