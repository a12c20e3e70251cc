"""Operators, functions of two Tensors, and products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...errors import ArgumentError, DTypeError
from ...ops import Op, arithmetic, classification, elementary, linear, selection
from ...ops.base import Value
from .base import (
    Base,
    DType,
    axis_of,
    float_only,
    promote,
    raw,
    result_type,
    unrecorded,
)

if TYPE_CHECKING:
    from ..engine import Tensor


def _power(a: Value, b: Value) -> Tensor:
    a, b = promote(a, b)
    if np.dtype(bool) in (getattr(a, "dtype", None), getattr(b, "dtype", None)):
        raise DTypeError("a power of bools is not supported; use integers")
    return arithmetic.Pow()(a, b)


def _whole(
    name: str, function: Any, a: Value, b: Value, differentiable: bool = True
) -> Tensor:
    """A division that has no gradient, or the remainder of one."""
    a, b = promote(a, b)
    dtype = getattr(a, "dtype", None) or b.dtype
    if dtype.kind == "b" or (dtype.kind != "f" and not np.all(raw(b))):
        raise DTypeError(
            f"{name} of {dtype} by {b!r}: no bools, and integers not by zero"
        )
    if isinstance(function, Op):
        return function(a, b)
    return unrecorded(name, function, a, b, differentiable=differentiable)


def _quotient_to_zero(a: Value, b: Value) -> Value:
    if np.result_type(a, b).kind == "f":
        return np.trunc(a / b)
    return (a - np.fmod(a, b)) // b


def _constant_in(y: Value, *inputs: Value) -> Tensor:
    """y, with the gradient 0 for these inputs where they ask for one."""
    for x in inputs:
        if getattr(x, "requires_grad", False):
            y = selection.Where()(False, x, y)
    return y


def _along_axis(op: Any, dim: int, x: Value) -> Tensor:
    ndim = x.ndim
    axis = axis_of(dim, ndim)
    return op(axis)(x) if ndim else op(0)(x.reshape(1)).reshape(())


def _floats(name: str, a: Value, b: Value) -> tuple[Value, Value]:
    if not isinstance(b, Base):
        raise DTypeError(f"{name} takes two Tensors, got {b!r}")
    return promote(a, b, to_float=True)


def _bounds(a: Value, b: Value) -> tuple[Value, Value]:
    if not isinstance(b, Base | np.ndarray):
        raise DTypeError(f"expected a Tensor to compare with, got {b!r}; see clamp()")
    return promote(a, b)


class Arithmetic(Base):
    """What computes new values of a Tensor's and another's."""

    __slots__ = ()

    def __add__(self, other: Value) -> Tensor:
        return self.__apply__(arithmetic.Add(), promote(self, other))

    def __sub__(self, other: Value) -> Tensor:
        return self.__apply__(arithmetic.Sub(), promote(self, other))

    def __mul__(self, other: Value) -> Tensor:
        return self.__apply__(arithmetic.Mul(), promote(self, other))

    def __truediv__(self, other: Value) -> Tensor:
        return self.__apply__(arithmetic.Div(), promote(self, other, to_float=True))

    def __pow__(self, other: Value) -> Tensor:
        return _power(self, other)

    def __radd__(self, other: Value) -> Tensor:
        return self.__apply__(arithmetic.Add(), promote(other, self))

    def __rsub__(self, other: Value) -> Tensor:
        return self.__apply__(arithmetic.Sub(), promote(other, self))

    def __rmul__(self, other: Value) -> Tensor:
        return self.__apply__(arithmetic.Mul(), promote(other, self))

    def __rtruediv__(self, other: Value) -> Tensor:
        return self.__apply__(arithmetic.Div(), promote(other, self, to_float=True))

    def __rpow__(self, other: Value) -> Tensor:
        return _power(other, self)

    def __neg__(self) -> Tensor:
        return self.__apply__(arithmetic.Neg(), (self,))

    def __pos__(self) -> Self:
        return self

    def __matmul__(self, other: Value) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Value) -> Tensor:
        return matmul(other, self)

    def __floordiv__(self, other: Value) -> Tensor:
        return _whole("//", np.floor_divide, self, other)

    def __rfloordiv__(self, other: Value) -> Tensor:
        return _whole("//", np.floor_divide, other, self)

    def __mod__(self, other: Value) -> Tensor:
        return _whole("%", arithmetic.Remainder(), self, other)

    def __rmod__(self, other: Value) -> Tensor:
        return _whole("%", arithmetic.Remainder(), other, self)

    mul = multiply = __mul__
    true_divide = __truediv__
    floor_divide = __floordiv__
    remainder = __mod__
    pow = __pow__
    neg = negative = __neg__

    def add(self, other: Value, *, alpha: float = 1) -> Tensor:
        """self + alpha · other."""
        return self + (other if alpha == 1 else other * alpha)

    def sub(self, other: Value, *, alpha: float = 1) -> Tensor:
        """self − alpha · other."""
        return self - (other if alpha == 1 else other * alpha)

    subtract = sub

    def div(self, other: Value, *, rounding_mode: str | None = None) -> Tensor:
        """self / other; rounded towards 0 ("trunc") or down ("floor"), with gradient 0."""
        if rounding_mode is None:
            return self / other
        if rounding_mode not in ("trunc", "floor"):
            raise ArgumentError(
                f"div() rounds by None, 'trunc' or 'floor', not {rounding_mode!r}"
            )
        divide = np.floor_divide if rounding_mode == "floor" else _quotient_to_zero
        y = _whole("div()", divide, self, other, differentiable=False)
        return _constant_in(y, self, other)

    divide = div

    def fmod(self, other: Value) -> Tensor:
        """The remainder of a division that is rounded towards 0: its sign is self's."""
        return _whole("fmod()", arithmetic.Remainder(to_zero=True), self, other)

    def float_power(self, exponent: Value) -> Tensor:
        """self^exponent in float64."""
        b = exponent.to(np.float64) if isinstance(exponent, Base) else float(exponent)
        return _power(self.to(np.float64), b)

    def addcmul(self, tensor1: Value, tensor2: Value, *, value: float = 1) -> Tensor:
        """self + value · tensor1 · tensor2."""
        return self.add(tensor1 * tensor2, alpha=value)

    def addcdiv(self, tensor1: Value, tensor2: Value, *, value: float = 1) -> Tensor:
        """self + value · tensor1 / tensor2; of floats only."""
        return self.add(float_only(tensor1, "addcdiv()") / tensor2, alpha=value)

    def lerp(self, end: Value, weight: Value) -> Tensor:
        """self + weight · (end − self); of floats only."""
        x = float_only(self, "lerp()")
        if isinstance(weight, Base) or weight < 0.5:
            return x + weight * (end - x)
        return end - (1 - weight) * (end - x)  # exact where the weight is 1

    def atan2(self, other: Value) -> Tensor:
        """The angle of the point with height self and abscissa other."""
        return elementary.Atan2()(*_floats("atan2()", self, other))

    arctan2 = atan2

    def hypot(self, other: Value) -> Tensor:
        """√(self² + other²), without overflow."""
        return elementary.Hypot()(*_floats("hypot()", self, other))

    def logaddexp(self, other: Value) -> Tensor:
        """ln(e^self + e^other), without overflow."""
        return elementary.LogAddExp()(*_floats("logaddexp()", self, other))

    def xlogy(self, other: Value) -> Tensor:
        """self · ln other, and 0 where self is 0."""
        other = other if isinstance(other, Base) else self._wrap(np.asarray(other))
        return elementary.XLogY()(*promote(self, other, to_float=True))

    def copysign(self, other: Value) -> Tensor:
        """|self| with the signs of `other`."""
        a, b = promote(self, other, to_float=True)
        size = a.abs()
        return _constant_in(selection.Where()(np.signbit(raw(b)), -size, size), b)

    def softmax(self, dim: int, dtype: DType | None = None) -> Tensor:
        """e^x_k / Σ e^x_j along `dim`."""
        x = float_only(self if dtype is None else self.to(dtype), "softmax()")
        return _along_axis(classification.Softmax, dim, x)

    def log_softmax(self, dim: int, dtype: DType | None = None) -> Tensor:
        """The logarithm of the softmax along `dim`."""
        x = float_only(self if dtype is None else self.to(dtype), "log_softmax()")
        return _along_axis(classification.LogSoftmax, dim, x)

    def maximum(self, other: Value) -> Tensor:
        """The larger of two Tensors, element by element."""
        return selection.Maximum()(*_bounds(self, other))

    def minimum(self, other: Value) -> Tensor:
        """The smaller of two Tensors, element by element."""
        return selection.Minimum()(*_bounds(self, other))

    def fmax(self, other: Value) -> Tensor:
        """The larger of two Tensors, element by element; NaN only where both are."""
        a, b = _bounds(self, other)
        return selection.Where()((a >= b) | b.isnan(), a, b)

    def fmin(self, other: Value) -> Tensor:
        """The smaller of two Tensors, element by element; NaN only where both are."""
        a, b = _bounds(self, other)
        return selection.Where()((a <= b) | b.isnan(), a, b)

    # ---------------------------------------------------------------- products

    def matmul(self, other: Value) -> Tensor:
        """The matrix product; leading axes broadcast, vectors are rows or columns."""
        return matmul(self, other)

    def mm(self, mat2: Value) -> Tensor:
        """The product of two matrices."""
        return _product("mm", 2, self, mat2)

    def bmm(self, mat2: Value) -> Tensor:
        """The products of two batches of matrices."""
        return _product("bmm", 3, self, mat2)

    def dot(self, tensor: Value) -> Tensor:
        """The product of two vectors."""
        return _product("dot", 1, self, tensor)


def _product(name: str, ndim: int, a: Value, b: Value) -> Tensor:
    if not (a.ndim == getattr(b, "ndim", 0) == ndim):
        raise ArgumentError(
            f"{name}() takes Tensors of {ndim} axes, got {a!r} and {b!r}"
        )
    return matmul(a, b)


def matmul(a: Value, b: Value) -> Tensor:
    """`a @ b` as in PyTorch: a vector on the left is a row, on the right a column."""
    a, b = promote(a, b)
    for x in (a, b):
        if getattr(x, "ndim", 0) == 0 or x.dtype.kind == "b":
            raise ArgumentError("matmul takes Tensors of numbers, of at least one axis")
    row, column = a.ndim == 1, b.ndim == 1
    y = linear.Matmul()(
        a.reshape(1, -1) if row else a, b.reshape(-1, 1) if column else b
    )
    if not (row or column):
        return y
    kept = (() if row else y.shape[-2:-1]) + (() if column else y.shape[-1:])
    return y.reshape(y.shape[:-2] + kept)


def where(condition: Value, input: Value, other: Value) -> Tensor:
    """`input` where the condition (bools) holds, else `other`."""
    if raw(condition).dtype != np.bool_:
        raise DTypeError(f"where() needs a condition of bools, got {condition!r}")
    if isinstance(condition, np.ndarray):
        condition = condition.copy()  # the caller may change it before backward
    a, b = promote(input, other)
    if not hasattr(a, "dtype") and not hasattr(b, "dtype"):
        a = result_type(a, b).type(a)
    return selection.Where()(condition, a, b)
