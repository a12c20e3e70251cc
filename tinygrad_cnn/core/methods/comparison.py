"""Comparisons, and what is made of bools and bits: no gradient passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DTypeError
from ...ops.base import Value
from ..recording import told_reader
from .base import Base, promote, raw, unrecorded

if TYPE_CHECKING:
    from ..engine import Tensor


def _bitwise(name: str, ufunc: Any, a: Value, b: Value) -> Tensor:
    a, b = promote(a, b)
    for x in (a, b):
        if isinstance(x, float) or getattr(x, "dtype", np.dtype(int)).kind == "f":
            raise DTypeError(f"{name} needs integers or bools, got {x!r}")
    return unrecorded(name, ufunc, a, b)


def _same_dtype(name: str, a: Value, b: Value) -> None:
    if not isinstance(b, Base):
        raise DTypeError(f"{name}() compares with a Tensor, got {b!r}")
    if a.dtype != b.dtype:
        raise DTypeError(f"{name}() compares one dtype, got {a.dtype} and {b.dtype}")


class Comparison(Base):
    """What answers with bools, or computes with bits."""

    __slots__ = ()

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._compare(np.equal, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._compare(np.not_equal, other)

    def __lt__(self, other: Value) -> Tensor:
        return self._compare(np.less, other)

    def __le__(self, other: Value) -> Tensor:
        return self._compare(np.less_equal, other)

    def __gt__(self, other: Value) -> Tensor:
        return self._compare(np.greater, other)

    def __ge__(self, other: Value) -> Tensor:
        return self._compare(np.greater_equal, other)

    __hash__ = object.__hash__

    def _compare(self, ufunc: Any, other: Value) -> Tensor:
        if other is None or isinstance(other, str):
            return NotImplemented
        a, b = promote(self, other)
        return unrecorded(ufunc.__name__, ufunc, a, b, differentiable=False)

    eq = __eq__
    ne = not_equal = __ne__
    lt = less = __lt__
    le = less_equal = __le__
    gt = greater = __gt__
    ge = greater_equal = __ge__

    def __contains__(self, value: Value) -> bool:
        return bool((self == value).any())

    def isclose(
        self,
        other: Value,
        rtol: float = 1e-05,
        atol: float = 1e-08,
        equal_nan: bool = False,
    ) -> Tensor:
        """Where |self − other| ≤ atol + rtol · |other|."""
        _same_dtype("isclose", self, other)
        if rtol < 0 or atol < 0:
            raise ArgumentError(
                f"isclose() takes no negative rtol={rtol} or atol={atol}"
            )
        arrays = raw(self), raw(other)
        return self._wrap(np.isclose(*arrays, rtol, atol, equal_nan))

    def allclose(
        self,
        other: Value,
        rtol: float = 1e-05,
        atol: float = 1e-08,
        equal_nan: bool = False,
    ) -> bool:
        """Whether |self − other| ≤ atol + rtol · |other| everywhere."""
        told_reader("allclose()")
        return np.allclose(self._array, other._array, rtol, atol, equal_nan)

    def equal(self, other: Value) -> bool:
        """Whether shape and all values are the same."""
        told_reader("equal()")
        return np.array_equal(self._array, other._array)

    def isinf(self) -> Tensor:
        """Where the values are infinite."""
        return self._wrap(np.isinf(self._array))

    def isposinf(self) -> Tensor:
        """Where the values are ∞."""
        return self._wrap(self._array == np.inf)

    def isneginf(self) -> Tensor:
        """Where the values are −∞."""
        return self._wrap(self._array == -np.inf)

    def isnan(self) -> Tensor:
        """Where the values are NaN."""
        return self._wrap(np.isnan(self._array))

    def isfinite(self) -> Tensor:
        """Where the values are neither infinite nor NaN."""
        return self._wrap(np.isfinite(self._array))

    def signbit(self) -> Tensor:
        """Where the values are negative, −0 included."""
        return self._wrap(np.signbit(self._array))

    def heaviside(self, values: Value) -> Tensor:
        """0 or 1 as x is negative or positive, and the value of `values` where x is 0."""
        _same_dtype("heaviside", self, values)
        return unrecorded(
            "heaviside",
            lambda x, v: np.where(x == 0, v, (x > 0).astype(x.dtype)),
            self,
            values,
        )

    # ----------------------------------------------------------------- bools and bits

    def __and__(self, other: Value) -> Tensor:
        return _bitwise("&", np.bitwise_and, self, other)

    def __or__(self, other: Value) -> Tensor:
        return _bitwise("|", np.bitwise_or, self, other)

    def __xor__(self, other: Value) -> Tensor:
        return _bitwise("^", np.bitwise_xor, self, other)

    def __invert__(self) -> Tensor:
        return unrecorded("~", np.invert, self)

    __rand__ = bitwise_and = __and__
    __ror__ = bitwise_or = __or__
    __rxor__ = bitwise_xor = __xor__
    bitwise_not = __invert__

    def logical_and(self, other: Value) -> Tensor:
        """Where both are true, as every number but 0 is."""
        return self._logical(np.logical_and, other)

    def logical_or(self, other: Value) -> Tensor:
        """Where one is true, as every number but 0 is."""
        return self._logical(np.logical_or, other)

    def logical_xor(self, other: Value) -> Tensor:
        """Where exactly one is true, as every number but 0 is."""
        return self._logical(np.logical_xor, other)

    def logical_not(self) -> Tensor:
        """Where the values are 0 or False."""
        return self._logical(np.logical_not)

    def _logical(self, ufunc: Any, *others: Value) -> Tensor:
        if not all(isinstance(other, Base) for other in others):
            raise DTypeError(f"{ufunc.__name__}() takes Tensors, got {others[0]!r}")
        return unrecorded(ufunc.__name__, ufunc, self, *others, differentiable=False)
