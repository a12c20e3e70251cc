"""Changes in place: refused where no gradient could follow, noticed by the graph."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ...errors import AutogradError, DTypeError, ShapeError
from ...ops import shape as ops
from ...ops.base import Value
from ..generator import Generator, default_generator, uniform
from ..recording import Where, explained, grad_enabled, reader
from .base import Base
from .shape import checked_key
from .sharing import follow, others_to_change


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
        if grad_enabled.get() and self._requires_grad and self._record is None:
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
            self._record, self._requires_grad = result._record, result._requires_grad
            for other in others:
                follow(other, self)
        return self

    def _before(self) -> Any:
        """Self as it was, for an operation whose gradient needs that after the change."""
        self.check_in_place()
        if self._node is None:
            return self
        copied = self._wrap(self._array.copy(), self._record)
        copied._requires_grad = True
        return copied

    def add_(self, other: Value, *, alpha: Any = 1) -> Self:
        """self += alpha · other."""
        self.check_in_place()
        return self.become(self.add(other, alpha=alpha))

    def sub_(self, other: Value, *, alpha: Any = 1) -> Self:
        """self −= alpha · other."""
        self.check_in_place()
        return self.become(self.sub(other, alpha=alpha))

    def mul_(self, other: Value) -> Self:
        """self *= other."""
        return self.become(self._before() * other)

    def div_(self, other: Value) -> Self:
        """self /= other."""
        return self.become(self._before() / other)

    __iadd__ = add_
    __isub__ = sub_
    __imul__ = mul_
    __itruediv__ = div_

    def __ipow__(self, other: Value) -> Self:
        return self.become(self._before() ** other)

    def clamp_(self, min: Value = None, max: Value = None) -> Self:
        """Clamp in place."""
        return self.become(self._before().clamp(min, max))

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
