"""Changes in place: refused where no gradient could follow, noticed by the graph."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from ...errors import AutogradError, DTypeError, ShapeError
from ...ops import shape as ops
from ...ops.base import Value, recorded
from ...ops.selection import Where as Select
from ..generator import Generator, default_generator, uniform
from ..recording import Where, explained, grad_enabled, reader
from .arithmetic import Arithmetic
from .base import Base
from .comparison import Comparison
from .elementwise import Elementwise
from .reduction import Reduction
from .shape import Shape, checked_key
from .sharing import follow, others_to_change, take_history


class InPlace(Base):
    """Methods that change a Tensor's values."""

    __slots__ = ()

    def mark_changed(self, where: Where | None = None) -> None:
        """Tell the graph that the array was changed in place, and by which line."""
        self._version.count += 1
        self._version.where = where or Where()
        if (tell := reader.get()) is not None:
            tell("it changes a Tensor in place")

    def check_in_place(self) -> None:
        """Refuse, before anything is changed, what no gradient could follow."""
        if self._requires_grad and self._record is None and grad_enabled.get():
            raise AutogradError(
                "a leaf Variable that requires grad is being used in an in-place "
                "operation; use no_grad(), or work on a clone()"
            )
        if self._version.torn:
            raise AutogradError(
                "in-place change of values in an order of memory of their own, of which a "
                "view was taken that may be none in PyTorch; use a clone()"
            )
        if not self._array.flags.writeable:
            raise AutogradError(
                "in-place change of expanded or read-only memory; use a clone()"
            )

    def become(self, result: Any) -> Self:
        """Take over the values and the history of `result`, in place; return self."""
        self.check_in_place()
        if result.shape != self._array.shape:
            raise ShapeError(
                f"in-place result {list(result.shape)} for a Tensor {list(self.shape)}"
            )
        if not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise DTypeError(
                f"result type {result.dtype} can't be cast to the desired output type "
                f"{self.dtype}"
            )
        others = others_to_change(self) if grad_enabled.get() else []
        self._array[...] = result._array
        self.mark_changed()
        if grad_enabled.get():
            take_history(self, result)
            for other in others:
                follow(other, self)
        return self

    def _before(self, *others: Any) -> Any:
        """Self as it was, for an operation whose gradient needs that after the change."""
        self.check_in_place()
        if self._node is None and not any(recorded(x) for x in others):
            return self
        copied = self._wrap(self._array.copy(), self._record)
        copied._requires_grad = self._requires_grad
        return copied

    def add_(self, other: Value, *, alpha: Any = 1) -> Self:
        """self += alpha · other."""
        self.check_in_place()
        return self.become(self.add(other, alpha=alpha))

    def sub_(self, other: Value, *, alpha: Any = 1) -> Self:
        """self −= alpha · other."""
        self.check_in_place()
        return self.become(self.sub(other, alpha=alpha))

    __iadd__ = add_
    __isub__ = subtract_ = sub_

    def relu_(self) -> Self:
        """max(0, x) in place."""
        self.check_in_place()
        return self.become(self.relu())

    def copy_(self, other: Value) -> Self:
        """Take over the values of `other`, broadcast and cast."""
        self.check_in_place()
        source = other if isinstance(other, Base) else self._wrap(np.asarray(other))
        source = source.to(self.dtype)
        if source.ndim > self.ndim:
            raise ShapeError(
                f"copy_ of {list(source.shape)} into {list(self.shape)}: it has more axes"
            )
        if grad_enabled.get() and (self._requires_grad or source._requires_grad):
            return self.become(ops.Put((...,))(self, source))
        if source.shape != self._array.shape:
            source = source.expand(self._array.shape)
        return self.become(source)

    def fill_(self, value: Any) -> Self:
        """Set every value; to a number, or a Tensor of no axes."""
        if isinstance(value, Base) and value.ndim:
            raise ShapeError(f"fill_ takes one value, got a Tensor {list(value.shape)}")
        return self.copy_(value)

    def zero_(self) -> Self:
        """Set every value to 0."""
        return self.fill_(0)

    def normal_(
        self, mean: Any = 0.0, std: Any = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """Draw every value from N(mean, std²)."""
        draw = (generator or default_generator).numpy.standard_normal(self._array.shape)
        return self.copy_(draw * std + mean)

    def uniform_(
        self, a: Any = 0.0, b: Any = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """Draw every value uniformly from [a, b)."""
        draw = uniform(generator, self._array.shape, self.dtype)
        return self.copy_(draw * (b - a) + a)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.check_in_place()
        source = value if isinstance(value, Base) else self._wrap(np.asarray(value))
        at = checked_key(key, self._array.shape)
        while (
            source.ndim and source.shape[0] == 1 and source.ndim > self._array[at].ndim
        ):
            source = source.squeeze(0)
        if grad_enabled.get() and (self._requires_grad or source._requires_grad):
            self.become(ops.Put(at)(self, source.to(self.dtype)))
        else:
            try:
                self._array[at] = source._array
            except (ValueError, IndexError) as error:
                raise explained("assignment", (self, source), error) from None
            self.mark_changed()


METHODS: dict[type[Base], str] = {
    Arithmetic: (
        "addcdiv addcmul arctan2 atan2 copysign div divide floor_divide fmod "
        "hypot lerp mul multiply neg negative pow remainder true_divide xlogy"
    ),
    Comparison: (
        "bitwise_and bitwise_not bitwise_or bitwise_xor eq ge greater greater_equal gt "
        "heaviside le less less_equal logical_and logical_not logical_or logical_xor lt ne "
        "not_equal"
    ),
    Elementwise: (
        "abs absolute acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin "
        "asinh atan atanh ceil clamp clamp_max clamp_min clip cos cosh deg2rad erf "
        "erfc exp exp2 expm1 fix floor frac log log10 log1p log2 logit nan_to_num "
        "rad2deg reciprocal round rsqrt sgn sigmoid sign sin sinh sqrt square tan "
        "tanh trunc"
    ),
    Reduction: "cumprod cumsum",
    Shape: "masked_fill",
}
"""The methods that have a form in place, `name_`, which takes over their result."""

OPERATORS = {
    **{"mul": "mul", "truediv": "div", "pow": "pow", "floordiv": "floor_divide"},
    **{name: f"bitwise_{name}" for name in ("and", "or", "xor")},
    "mod": "remainder",
}
"""What `*=` and its kind call."""


def _in_place(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = self._before(*args, *kwargs.values())
        result = method(before, *args, **kwargs)
        if grad_enabled.get() and before._requires_grad and not result._requires_grad:
            result = Select()(False, before, result)  # constant, with gradient 0
        return self.become(result)

    signature = inspect.signature(method).replace(return_annotation="Self")
    changed.__signature__ = signature  # type: ignore[attr-defined]
    changed.__name__, changed.__qualname__ = f"{name}_", f"Tensor.{name}_"
    changed.__doc__ = f"`{name}` in place."
    return changed


for _kind, _names in METHODS.items():
    for _name in _names.split():
        setattr(InPlace, f"{_name}_", _in_place(_name, getattr(_kind, _name)))
for _operator, _name in OPERATORS.items():
    setattr(InPlace, f"__i{_operator}__", getattr(InPlace, f"{_name}_"))
