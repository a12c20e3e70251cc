"""Dtypes, leaving for NumPy and Python, in-place changes, and the state of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import AutogradError, DTypeError, ShapeError
from ..ops import shape as ops
from ..random import Generator, default_generator
from ..recording import Where, grad_enabled
from .base import Base, DType, Value, int64, raw
from .shape import checked_key


class HookHandle:
    """What registering a hook returns; `remove()` takes the hook away again."""

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self.hooks, self.key = hooks, max(hooks, default=-1) + 1
        hooks[self.key] = hook

    def remove(self) -> None:
        """Take the hook away; twice does no harm."""
        self.hooks.pop(self.key, None)


def read_only(array: Any) -> Any:
    """A view that cannot be written to: changes made there would go unnoticed."""
    view = array.view()
    view.flags.writeable = False
    return view


class Memory(Base):
    """What a Tensor is made of, and what happens to it."""

    __slots__ = ()

    _hooks: dict[int, Any]

    @property
    def dtype(self) -> DType:
        """NumPy's dtype of the values."""
        dtype: DType = self._array.dtype
        return dtype

    @property
    def device(self) -> str:
        """Always "cpu"."""
        return "cpu"

    @property
    def nbytes(self) -> int:
        """How many bytes the values take."""
        return int(self._array.nbytes)

    def element_size(self) -> int:
        """How many bytes one value takes."""
        return int(self._array.itemsize)

    def is_floating_point(self) -> bool:
        """Whether the values are floats."""
        return bool(self._array.dtype.kind == "f")

    def to(self, *args: Any, dtype: Any = None, device: Any = None, **_: Any) -> Any:
        """In another dtype: to(dtype), to(device), to(device, dtype), to(other)."""
        for arg in args:
            if isinstance(arg, Base):
                dtype = arg._array.dtype
            elif isinstance(arg, bool) or arg is None:
                continue
            elif isinstance(arg, np.dtype | type):
                dtype = arg
            else:
                device = arg
        check_device(device)
        if dtype is None or np.dtype(dtype) == self.dtype:
            return self
        return ops.Cast(np.dtype(dtype))(self)

    type = to
    type_as = to

    def float(self) -> Any:
        """In float32."""
        return self.to(np.float32)

    def double(self) -> Any:
        """In float64."""
        return self.to(np.float64)

    def half(self) -> Any:
        """In float16."""
        return self.to(np.float16)

    def long(self) -> Any:
        """In int64."""
        return self.to(int64)

    def int(self) -> Any:
        """In int32."""
        return self.to(np.int32)

    def bool(self) -> Any:
        """In bool."""
        return self.to(np.bool_)

    def cpu(self) -> Any:
        """Itself."""
        return self

    def contiguous(self) -> Any:
        """Itself: the order in memory is the library's business."""
        return self

    def is_contiguous(self) -> Any:
        """Whether the values lie in row-major order."""
        return bool(self._array.flags.c_contiguous)

    def clone(self) -> Any:
        """A copy, through which gradients flow."""
        return ops.Clone()(self)

    def item(self) -> Any:
        """The one value as a Python number; ShapeError if there are more."""
        if self._array.size != 1:
            raise ShapeError(
                f"a Tensor with {self._array.size} elements cannot be converted to Scalar"
            )
        return self._array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._array.tolist()

    def numpy(self) -> Any:
        """The values as a read-only array sharing memory; copy it to change it."""
        if self._requires_grad:
            raise AutogradError(
                "Can't call numpy() on Tensor that requires grad. "
                "Use tensor.detach().numpy() instead."
            )
        return read_only(self._array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        array = self.numpy()
        if dtype is not None and np.dtype(dtype) != array.dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __bool__(self) -> Any:
        if self._array.size != 1:
            raise ShapeError(
                "Boolean value of Tensor with more than one value is ambiguous; "
                "use any() or all()"
            )
        return bool(self._array.item())

    def __float__(self) -> Any:
        return float(self.item())

    def __int__(self) -> Any:
        return int(self.item())

    def __index__(self) -> Any:
        if self._array.dtype.kind not in "iub":
            raise DTypeError("only integer tensors can be converted to an index")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item() if self._array.ndim == 0 else repr(self), spec)

    def __repr__(self) -> str:
        body = np.array2string(
            self._array, separator=", ", precision=4, threshold=1000, prefix="tensor("
        )
        dtype = (
            ""
            if self.dtype in (np.float32, np.int64, np.bool_)
            else f", dtype={self.dtype}"
        )
        if self._record is not None:
            return f"tensor({body}{dtype}, grad_fn=<{self._record.name()}>)"
        return f"tensor({body}{dtype}{', requires_grad=True' if self._requires_grad else ''})"

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        if self._record is not None:
            raise AutogradError(
                "only leaf Tensors support deepcopy; use detach().clone() first"
            )
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied._set(np.array(self._array), None)
        copied._requires_grad = self._requires_grad
        return copied

    # ------------------------------------------------------- the state of gradients

    @property
    def is_leaf(self) -> Any:
        """True for what the user made, and for all that requires no gradient."""
        return self._record is None

    @property
    def grad_fn(self) -> Any:
        """The record of the operation that made this Tensor; None for leaves."""
        return self._record

    @property
    def retains_grad(self) -> Any:
        """Whether `retain_grad` was called on this intermediate result."""
        return self._record is not None and self._record.retains_grad

    def retain_grad(self) -> None:
        """Keep this intermediate result's gradient in `.grad` as well."""
        if not self._requires_grad:
            raise AutogradError(
                "can't retain_grad on Tensor that has requires_grad=False"
            )
        if self._record is not None:
            self._record.retains_grad = True

    def register_hook(self, hook: Any) -> HookHandle:
        """Call `hook(grad)` when this gradient is complete; what it returns replaces it."""
        if not self._requires_grad:
            raise AutogradError(
                "cannot register a hook on a tensor that doesn't require gradient"
            )
        return HookHandle(
            self._hooks if self._record is None else self._record.hooks, hook
        )

    def detach(self) -> Any:
        """The same memory, cut off from the graph."""
        t = self._wrap(self._array)
        t._version = self._version
        return t

    @property
    def data(self) -> Any:
        """As `detach`; assigning replaces the values, graph or no graph."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        self._array = value._array
        self.mark_changed()

    # ------------------------------------------------------------ in-place changes

    def mark_changed(self) -> None:
        """Tell the graph that the array was changed in place."""
        self._version.count += 1
        self._version.where = Where()

    def check_in_place(self) -> None:
        """Refuse, before anything is changed, what no gradient could follow."""
        if grad_enabled.get() and self._requires_grad and self._record is None:
            raise AutogradError(
                "a leaf Variable that requires grad is being used in an in-place "
                "operation; use no_grad(), or work on a clone()"
            )
        if not self._array.flags.writeable:
            raise AutogradError(
                "in-place change of expanded or read-only memory; use a clone()"
            )

    def become(self, result: Any) -> Any:
        """Take over the values and the history of `result`, in place; return self."""
        self.check_in_place()
        recorded = grad_enabled.get() and (self._requires_grad or result._requires_grad)
        if recorded and self._version.viewed:
            raise AutogradError(
                "in-place change of memory that the graph also sees through a view "
                "(reshape, transpose, index, ...); write x = x + 1 for x += 1"
            )
        if result.shape != self._array.shape:
            raise ShapeError(
                f"in-place result {list(result.shape)} for a Tensor {list(self._array.shape)}"
            )
        if not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise DTypeError(
                f"result type {result.dtype} can't be cast to the desired output type "
                f"{self.dtype}"
            )
        self._array[...] = result._array
        self.mark_changed()
        if result._record is not None:
            self._record, self._requires_grad = result._record, True
        return self

    def add_(self, other: Value, *, alpha: Any = 1) -> Any:
        """self += alpha · other."""
        self.check_in_place()
        return self.become(self.add(other, alpha=alpha))  # type: ignore[attr-defined]

    def sub_(self, other: Value, *, alpha: Any = 1) -> Any:
        """self −= alpha · other."""
        return self.add_(other, alpha=-alpha)

    def mul_(self, other: Value) -> Any:
        """self *= other."""
        self.check_in_place()
        return self.become(self * other)  # type: ignore[operator]

    def div_(self, other: Value) -> Any:
        """self /= other."""
        self.check_in_place()
        return self.become(self / other)  # type: ignore[operator]

    def __iadd__(self, other: Value) -> Any:
        return self.add_(other)

    def __isub__(self, other: Value) -> Any:
        return self.sub_(other)

    def __imul__(self, other: Value) -> Any:
        return self.mul_(other)

    def __itruediv__(self, other: Value) -> Any:
        return self.div_(other)

    def __ipow__(self, other: Value) -> Any:
        self.check_in_place()
        return self.become(self**other)  # type: ignore[operator]

    def clamp_(self, min: Value = None, max: Value = None) -> Any:
        """Clamp in place."""
        self.check_in_place()
        return self.become(self.clamp(min, max))  # type: ignore[attr-defined]

    def relu_(self) -> Any:
        """max(0, x) in place."""
        self.check_in_place()
        return self.become(self.relu())  # type: ignore[attr-defined]

    def copy_(self, other: Value) -> Any:
        """Take over the values of `other`, broadcast and cast."""
        self.check_in_place()
        source = other if isinstance(other, Base) else self._wrap(np.asarray(other))
        return self.become(source.to(self.dtype).expand(self._array.shape))  # type: ignore[attr-defined]

    def fill_(self, value: Any) -> Any:
        """Set every value."""
        return self.copy_(raw(value))

    def zero_(self) -> Any:
        """Set every value to 0."""
        return self.fill_(0)

    def normal_(
        self, mean: Any = 0.0, std: Any = 1.0, *, generator: Generator | None = None
    ) -> Any:
        """Draw every value from N(mean, std²)."""
        draw = (generator or default_generator).numpy.standard_normal(self._array.shape)
        return self.copy_(draw * std + mean)

    def uniform_(
        self, a: Any = 0.0, b: Any = 1.0, *, generator: Generator | None = None
    ) -> Any:
        """Draw every value uniformly from [a, b)."""
        draw = (generator or default_generator).numpy.random(self._array.shape)
        return self.copy_(draw * (b - a) + a)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.check_in_place()
        source = value if isinstance(value, Base) else self._wrap(np.asarray(value))
        at = checked_key(key, self._array.shape)
        if grad_enabled.get() and (self._requires_grad or source._requires_grad):
            self.become(ops.Put(at)(self, source.to(self.dtype)))  # type: ignore[attr-defined]
        else:
            self._array[at] = source._array
            self.mark_changed()


def check_device(device: Any) -> None:
    """Only the processor is there to compute on."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise DTypeError(f"device {device!s} is not available; tensors live on 'cpu'")
