"""Functions of each element."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...errors import DTypeError
from ...ops import Op, activation, arithmetic, elementary, selection
from ...ops.base import Value
from ...ops.formulas import formulas
from .base import Base, float_only, floating, promote, raw

if TYPE_CHECKING:
    from ..engine import Tensor


def of_each(name: str, op: type[Op]) -> Callable[[Any], Tensor]:
    """The method for an operation on each element; integers become float32."""
    apply = op()

    def method(self: Any) -> Tensor:
        return apply(floating(self))

    method.__name__, method.__qualname__ = name, f"Tensor.{name}"
    method.__doc__ = formulas(op).forward.removeprefix("y = ") + "."
    return method


def _no_bools(x: Value, name: str) -> Value:
    if x.dtype.kind == "b":
        raise DTypeError(f"{name} needs numbers, got bools; use x.float()")
    return x


class Elementwise(Base):
    """What makes of each value one of its own."""

    __slots__ = ()

    acos = arccos = of_each("acos", elementary.Acos)
    acosh = arccosh = of_each("acosh", elementary.Acosh)
    asin = arcsin = of_each("asin", elementary.Asin)
    asinh = arcsinh = of_each("asinh", elementary.Asinh)
    atan = arctan = of_each("atan", activation.Atan)
    atanh = arctanh = of_each("atanh", elementary.Atanh)
    cos = of_each("cos", elementary.Cos)
    cosh = of_each("cosh", elementary.Cosh)
    erf = of_each("erf", elementary.Erf)
    erfc = of_each("erfc", elementary.Erfc)
    exp = of_each("exp", arithmetic.Exp)
    expm1 = of_each("expm1", elementary.Expm1)
    log = of_each("log", arithmetic.Log)
    log10 = of_each("log10", elementary.Log10)
    log1p = of_each("log1p", elementary.Log1p)
    log2 = of_each("log2", elementary.Log2)
    sigmoid = of_each("sigmoid", activation.Sigmoid)
    sin = of_each("sin", elementary.Sin)
    sinh = of_each("sinh", elementary.Sinh)
    sqrt = of_each("sqrt", arithmetic.Sqrt)
    tan = of_each("tan", elementary.Tan)
    tanh = of_each("tanh", activation.Tanh)

    def exp2(self) -> Tensor:
        """2ˣ."""
        return 2.0 ** floating(self)

    def rsqrt(self) -> Tensor:
        """1 / √x."""
        return 1.0 / self.sqrt()

    def reciprocal(self) -> Tensor:
        """1 / x."""
        return 1.0 / floating(self)

    def square(self) -> Tensor:
        """x²."""
        return self.pow(2)

    def logit(self, eps: float | None = None) -> Tensor:
        """ln(x / (1 − x)), of x between eps and 1 − eps if eps is given."""
        x = floating(self)
        x = x if eps is None else x.clamp(eps, 1 - eps)
        return (x / (1 - x)).log()

    def deg2rad(self) -> Tensor:
        """Degrees as radians."""
        return floating(self) * (math.pi / 180)

    def rad2deg(self) -> Tensor:
        """Radians as degrees."""
        return floating(self) * (180 / math.pi)

    def abs(self) -> Tensor:
        """|x|."""
        return selection.Abs()(self)

    absolute = __abs__ = abs

    def positive(self) -> Self:
        """x itself."""
        return _no_bools(self, "positive()")

    def sign(self) -> Tensor:
        """−1, 0 or 1; of NaN 0."""
        return self.clone() if self.dtype == np.bool_ else selection.Sign()(self)

    sgn = sign

    def relu(self) -> Tensor:
        """max(0, x)."""
        return _no_bools(self, "relu()").__apply__(activation.ReLU(), (self,))

    def round(self, *, decimals: int = 0) -> Tensor:
        """To the nearest integer, or multiple of 10^−decimals; halves to the even one.

        The gradient is 0.
        """
        if not decimals:
            return selection.Round("nearest")(_no_bools(self, "round()"))
        x, unit = float_only(self, "round() to decimals"), 10.0 ** abs(decimals)
        if decimals < 0:
            return (x / unit).round() * unit
        return (x * unit).round() / unit

    def floor(self) -> Tensor:
        """To the next integer below; its gradient is 0."""
        return selection.Round("below")(_no_bools(self, "floor()"))

    def ceil(self) -> Tensor:
        """To the next integer above; its gradient is 0."""
        return selection.Round("above")(_no_bools(self, "ceil()"))

    def trunc(self) -> Tensor:
        """To the next integer towards 0; its gradient is 0."""
        return selection.Round("zero")(_no_bools(self, "trunc()"))

    fix = trunc

    def frac(self) -> Tensor:
        """x − trunc(x)."""
        return self - float_only(self, "frac()").trunc()

    def clamp(self, min: Value = None, max: Value = None) -> Tensor:
        """Between two numbers, or two Tensors, either of which may be None.

        A Tensor as a bound has the gradient where it is taken.
        """
        bounds = [bound for bound in (min, max) if bound is not None]
        numbers = {isinstance(raw(bound), int | float) for bound in bounds}
        if numbers != {True} and {isinstance(b, Base) for b in bounds} != {True}:
            raise DTypeError(
                f"clamp() takes numbers or Tensors, not both, and at least one of "
                f"min={min!r} and max={max!r}"
            )
        x: Any = self
        if numbers == {True}:
            for bound in bounds:
                x = promote(x, bound)[0]
            return selection.Clip(raw(min), raw(max))(x)
        for bound, beyond in ((min, operator.lt), (max, operator.gt)):
            if bound is not None:
                x, bound = promote(x, bound)
                taken = beyond(x, bound) | (bound != bound)  # NaN is the result
                x = selection.Where()(taken, bound, x)
        return x

    clip = clamp

    def clamp_min(self, min: Value) -> Tensor:
        """clamp(min=min)."""
        return self.clamp(min=min)

    def clamp_max(self, max: Value) -> Tensor:
        """clamp(max=max)."""
        return self.clamp(max=max)

    def nan_to_num(
        self,
        nan: float | None = None,
        posinf: float | None = None,
        neginf: float | None = None,
    ) -> Tensor:
        """Numbers for NaN (0), ∞ and −∞ (the largest and the least of the dtype)."""
        if self.dtype.kind != "f":
            return self.clone()
        x: Any = self
        most = np.finfo(self.dtype)
        instead = (
            (x.isnan(), nan or 0.0),
            (x == math.inf, float(most.max) if posinf is None else posinf),
            (x == -math.inf, float(most.min) if neginf is None else neginf),
        )
        for at, number in instead:
            x = selection.Where()(at, number, x)
        return x
