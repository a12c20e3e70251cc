"""Operators, functions of each element, comparisons and products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...errors import ArgumentError, DTypeError
from ...ops import activation, arithmetic, classification, linear, selection
from ...ops.base import Value
from .base import (
    Base,
    DType,
    axis_of,
    float_only,
    floating,
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


def _bitwise(name: str, ufunc: Any, a: Value, b: Value) -> Tensor:
    a, b = promote(a, b)
    for x in (a, b):
        if isinstance(x, float) or getattr(x, "dtype", np.dtype(int)).kind == "f":
            raise DTypeError(f"{name} needs integers or bools, got {x!r}")
    return unrecorded(name, ufunc, a, b)


def _whole(name: str, ufunc: Any, a: Value, b: Value) -> Tensor:
    """Floor division, which has no gradient, and its remainder."""
    a, b = promote(a, b)
    dtype = getattr(a, "dtype", None) or b.dtype
    if dtype.kind == "b" or (dtype.kind != "f" and not np.all(raw(b))):
        raise DTypeError(
            f"{name} of {dtype} by {b!r}: no bools, and integers not by zero"
        )
    if name == "%" and any(getattr(x, "requires_grad", False) for x in (a, b)):
        # a − b ⌊a / b⌋; the quotient is locally constant.
        return a - b * unrecorded("//", np.floor_divide, a, b, differentiable=False)
    return unrecorded(name, ufunc, a, b)


def _along_axis(op: Any, dim: int, x: Value) -> Tensor:
    axis = axis_of(dim, x.ndim)
    return op(axis)(x) if x.ndim else op(0)(x.reshape(1)).reshape(())


def _bounds(a: Value, b: Value) -> tuple[Value, Value]:
    if not isinstance(b, Base | np.ndarray):
        raise DTypeError(f"expected a Tensor to compare with, got {b!r}; see clamp()")
    return promote(a, b)


class Arithmetic(Base):
    """What computes new values of a Tensor's."""

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

    def __and__(self, other: Value) -> Tensor:
        return _bitwise("&", np.bitwise_and, self, other)

    def __or__(self, other: Value) -> Tensor:
        return _bitwise("|", np.bitwise_or, self, other)

    def __xor__(self, other: Value) -> Tensor:
        return _bitwise("^", np.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Tensor:
        return unrecorded("~", np.invert, self)

    def __floordiv__(self, other: Value) -> Tensor:
        return _whole("//", np.floor_divide, self, other)

    def __rfloordiv__(self, other: Value) -> Tensor:
        return _whole("//", np.floor_divide, other, self)

    def __mod__(self, other: Value) -> Tensor:
        return _whole("%", np.mod, self, other)

    def __rmod__(self, other: Value) -> Tensor:
        return _whole("%", np.mod, other, self)

    def __abs__(self) -> Tensor:
        return self.abs()

    def __contains__(self, value: Value) -> bool:
        return bool((self == value).any())

    def _compare(self, ufunc: Any, other: Value) -> Tensor:
        if other is None or isinstance(other, str):
            return NotImplemented
        a, b = promote(self, other)
        return unrecorded(ufunc.__name__, ufunc, a, b, differentiable=False)

    eq = __eq__
    ne = __ne__
    lt = __lt__
    le = __le__
    gt = __gt__
    ge = __ge__
    mul = multiply = __mul__
    div = divide = __truediv__
    pow = __pow__
    neg = __neg__

    def add(self, other: Value, *, alpha: float = 1) -> Tensor:
        """self + alpha · other."""
        return self + (other if alpha == 1 else other * alpha)

    def sub(self, other: Value, *, alpha: float = 1) -> Tensor:
        """self − alpha · other."""
        return self - (other if alpha == 1 else other * alpha)

    def exp(self) -> Tensor:
        """eˣ."""
        return arithmetic.Exp()(floating(self))

    def log(self) -> Tensor:
        """ln x."""
        return arithmetic.Log()(floating(self))

    def sqrt(self) -> Tensor:
        """√x."""
        return arithmetic.Sqrt()(floating(self))

    def square(self) -> Tensor:
        """x²."""
        return self**2

    def abs(self) -> Tensor:
        """|x|."""
        return selection.Abs()(self)

    def sign(self) -> Tensor:
        """−1, 0 or 1."""
        return selection.Sign()(self)

    def atan(self) -> Tensor:
        """arctan x."""
        return activation.Atan()(floating(self))

    def relu(self) -> Tensor:
        """max(0, x)."""
        return activation.ReLU()(self)

    def sigmoid(self) -> Tensor:
        """1 / (1 + e⁻ˣ)."""
        return activation.Sigmoid()(floating(self))

    def tanh(self) -> Tensor:
        """The hyperbolic tangent."""
        return activation.Tanh()(floating(self))

    def softmax(self, dim: int, dtype: DType | None = None) -> Tensor:
        """e^x_k / Σ e^x_j along `dim`."""
        x = float_only(self if dtype is None else self.to(dtype), "softmax()")
        return _along_axis(classification.Softmax, dim, x)

    def log_softmax(self, dim: int, dtype: DType | None = None) -> Tensor:
        """The logarithm of the softmax along `dim`."""
        x = float_only(self if dtype is None else self.to(dtype), "log_softmax()")
        return _along_axis(classification.LogSoftmax, dim, x)

    def clamp(self, min: Value = None, max: Value = None) -> Tensor:
        """Between two numbers, either of which may be None (Tensors: see maximum)."""
        bounds = [raw(bound) for bound in (min, max) if bound is not None]
        if not bounds or not all(isinstance(b, int | float) for b in bounds):
            raise DTypeError(
                f"clamp() takes numbers, at least one of min={min!r} and max={max!r}; "
                "for Tensors use maximum() and minimum()"
            )
        x: Any = self
        for bound in bounds:
            x = promote(x, bound)[0]
        return selection.Clip(raw(min), raw(max))(x)

    clip = clamp

    def maximum(self, other: Value) -> Tensor:
        """The larger of two Tensors, element by element."""
        return selection.Maximum()(*_bounds(self, other))

    def minimum(self, other: Value) -> Tensor:
        """The smaller of two Tensors, element by element."""
        return selection.Minimum()(*_bounds(self, other))

    def round(self) -> Tensor:
        """To the nearest integer, halves to the even one; its gradient is 0."""
        return selection.Round("nearest")(self)

    def floor(self) -> Tensor:
        """To the next integer below; its gradient is 0."""
        return selection.Round("below")(self)

    def ceil(self) -> Tensor:
        """To the next integer above; its gradient is 0."""
        return selection.Round("above")(self)

    def isinf(self) -> Tensor:
        """Where the values are infinite."""
        return self._wrap(np.isinf(self._array))

    def isnan(self) -> Tensor:
        """Where the values are NaN."""
        return self._wrap(np.isnan(self._array))

    def isfinite(self) -> Tensor:
        """Where the values are neither infinite nor NaN."""
        return self._wrap(np.isfinite(self._array))

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
