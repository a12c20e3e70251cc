"""Dtypes, devices, the order of memory, and the way out to NumPy and Python."""

from __future__ import annotations

import builtins
import copy as copying
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...errors import AutogradError, DTypeError, ShapeError
from ...ops import shape as ops
from ...ops.base import Op
from ..recording import grad_enabled, observer, told_reader
from .base import Array, Base, DType, axis_of, int64, of_array

if TYPE_CHECKING:
    from ..engine import Tensor


def read_only(array: Array) -> Array:
    """A view that cannot be written to: changes made there would go unnoticed."""
    view = array.view()
    view.flags.writeable = False
    return view


def numbers(data: Any, dtype: Any = None) -> Array:
    """An array of its own of nested lists, arrays, Tensors or a number; real numbers only.

    Python's floats become float32, its integers int64. DTypeError for other than numbers,
    ShapeError for lists that form no table.
    """
    if isinstance(data, Base):
        data = data._array
    try:
        array = np.array(data, dtype=dtype, order="C")
    except (ValueError, TypeError, OverflowError) as error:
        kind = ShapeError if "inhomogeneous" in str(error) else DTypeError
        raise kind(f"can't make a Tensor of {data!r}: {error}") from None
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"can't make a Tensor of {array.dtype} values: {data!r}")
    while isinstance(data, list | tuple) and data:
        data = data[0]
    if dtype is None and array.dtype == np.float64 and not hasattr(data, "dtype"):
        array = array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def taken_over(array: Array) -> Array:
    """The array of a caller for a Tensor to hold, so that nobody can change it unseen.

    It is shared, and locked for the caller, where the caller's array is its only owner;
    a view of other memory, or one locked before, is copied. DTypeError for other than
    real numbers.
    """
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"can't make a Tensor of an array of {array.dtype}")
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    if array.base is not None or not array.flags.writeable:
        array.flags.writeable = False
        return np.array(array)
    shared = array.view()
    array.flags.writeable = False
    return shared


class device:
    """device("cpu"), the only one; `type` is "cpu", `index` None."""

    type = "cpu"
    index = None

    def __init__(self, name: Any = "cpu", index: Any = None) -> None:
        check_device(name)

    def __str__(self) -> str:
        return "cpu"

    def __repr__(self) -> str:
        return "device(type='cpu')"

    def __eq__(self, other: object) -> bool:
        return str(other) == "cpu"

    def __hash__(self) -> int:
        return hash("cpu")


def images_innermost(x: Array) -> bool:
    """Whether images or rows of numbers have the batch innermost, as kernels leave them."""
    if x.ndim not in (2, 4) or x.flags.c_contiguous:
        return False
    return x.transpose(*range(1, x.ndim), 0).flags.c_contiguous


class Memory(Base):
    """What a Tensor is made of, and what happens to it."""

    __slots__ = ()

    dtype: DType = of_array("dtype", "NumPy's dtype of the values.")

    @property
    def device(self) -> Any:
        """Always device("cpu")."""
        return device()

    @property
    def nbytes(self) -> int:
        """How many bytes the values take."""
        return int(self._array.nbytes)

    def element_size(self) -> int:
        """How many bytes one value takes."""
        return int(self._array.itemsize)

    is_cuda = is_mps = is_xpu = is_sparse = is_quantized = False
    """The values lie in the memory of the processor, all of them."""

    def stride(self, dim: int | None = None) -> Any:
        """How far apart values lie in memory along each axis (or one), in values."""
        array = self.lie_in_rows()
        if self._version.innermost and images_innermost(array):
            array = np.empty_like(array, order="C")
        steps = tuple([s // array.itemsize for s in array.strides])
        return steps if dim is None else steps[axis_of(dim, len(steps))]

    def data_ptr(self) -> builtins.int:
        """The address of the first value."""
        return int(self.lie_in_rows().__array_interface__["data"][0])

    def is_complex(self) -> bool:
        """False: there are real numbers only."""
        return False

    def is_floating_point(self) -> bool:
        """Whether the values are floats."""
        return bool(self._array.dtype.kind == "f")

    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        copy: Any = False,
        non_blocking: Any = False,
        memory_format: Any = None,
    ) -> Tensor:
        """In another dtype: to(dtype), to(device), to(device, dtype), to(other).

        memory_format: accepted; how values lie in memory is the library's business.
        """
        for arg in args:
            if isinstance(arg, Base):
                dtype = arg._array.dtype
            elif isinstance(arg, bool) or arg is None:
                continue
            elif isinstance(arg, np.dtype | type | Refused):
                dtype = arg
            else:
                device = arg
        check_device(device)
        if dtype is None or dtype_of(dtype) == self.dtype:
            return self.clone() if copy else self  # type: ignore[return-value]
        return ops.Cast(dtype_of(dtype))(self)

    def type(self, dtype: Any) -> Tensor:
        """In another dtype."""
        return self.to(dtype)

    def type_as(self, other: Any) -> Tensor:
        """In the dtype of another Tensor."""
        return self.to(other.dtype)

    def float(self) -> Tensor:
        """In float32."""
        return self.to(np.float32)

    def double(self) -> Tensor:
        """In float64."""
        return self.to(np.float64)

    def half(self) -> Tensor:
        """In float16."""
        return self.to(np.float16)

    def long(self) -> Tensor:
        """In int64."""
        return self.to(int64)

    def int(self) -> Tensor:
        """In int32."""
        return self.to(np.int32)

    def bool(self) -> Tensor:
        """In bool."""
        return self.to(np.bool_)

    def short(self) -> Tensor:
        """In int16."""
        return self.to(np.int16)

    def char(self) -> Tensor:
        """In int8."""
        return self.to(np.int8)

    def byte(self) -> Tensor:
        """In uint8."""
        return self.to(np.uint8)

    def bfloat16(self) -> Tensor:
        """Refused: NumPy has no such dtype."""
        return self.to(bfloat16)

    def cuda(self, device: Any = None, *args: Any, **kwargs: Any) -> Tensor:
        """Refused: there is no GPU here."""
        return self.to(device="cuda")

    def cpu(self, memory_format: Any = None) -> Self:
        """Itself."""
        return self

    def contiguous(self, memory_format: Any = None) -> Tensor:
        """Itself if it is in row-major order, or else a copy that is."""
        if self.is_contiguous():
            return self  # type: ignore[return-value]
        return self._share_with(ops.Clone(order="C")(self))

    def is_contiguous(self, memory_format: Any = None) -> builtins.bool:
        """Whether the values lie in row-major order."""
        array = self.lie_in_rows()
        rows = array.flags.c_contiguous
        return bool(rows or (self._version.innermost and images_innermost(array)))

    def lie_in_rows(self) -> Array:
        """The array; images are put into row-major order before a first view is taken.

        Kernels leave them with the batch innermost. Reshaped they would be a copy, and a
        change in place of either would not reach the other, as in PyTorch it does.
        """
        before: Array = self._array
        if self._version.viewed or not images_innermost(before):
            return before
        self._array = rows = np.ascontiguousarray(before)
        rows.flags.writeable = before.flags.writeable
        if (observe := observer.get()) is not None:
            observe(ops.Clone(order="C"), [before], rows, [])
        return rows

    def prepare_view(self, op: Op) -> None:
        """Before a view is taken: from an order that PyTorch may not have, none is changed.

        Self may have been computed from a view, so that its order is another in PyTorch,
        too, or have an order that it has here alone; what is a view differs between these.
        One that keeps images apart is a view in both orders. Gradients that are watched
        are those of a first order, where nobody asks for an order.
        """
        version = self._version
        watched = observer.get() is not None and not grad_enabled.get()
        if images_innermost(self._array) and (watched or op.parts_images(self._array)):
            version.innermost = version.innermost or not version.viewed
            return
        if not (self.lie_in_rows().flags.c_contiguous or version.viewed):
            version.torn = True

    def _share_with(self, result: Tensor) -> Tensor:
        """A reshaped result; where PyTorch may have a view, neither is changed any more.

        Of a view of memory in rows it is known that PyTorch copies as well.
        """
        version = self._version
        if result._version is version or not self._array.size:
            return result
        if version.owner is None or not version.owner.flags.c_contiguous:
            version.torn = True
            result._version = version
        return result

    def clone(self, *, memory_format: Any = None) -> Tensor:
        """A copy, through which gradients flow."""
        return ops.Clone()(self)

    def item(self) -> Any:
        """The one value as a Python number; ShapeError if there are more."""
        if self._array.size != 1:
            raise ShapeError(
                f"a Tensor with {self._array.size} elements cannot be converted to Scalar"
            )
        told_reader("item()")
        return self._array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        told_reader("tolist()")
        return self._array.tolist()

    def numpy(self, *, force: builtins.bool = False) -> Array:
        """The values as a read-only array sharing memory; copy it to change it.

        force: also where a gradient is asked for, as `detach().numpy()`.
        """
        if self._requires_grad and not force:
            raise AutogradError(
                "Can't call numpy() on Tensor that requires grad. "
                "Use tensor.detach().numpy() instead."
            )
        told_reader("numpy()")
        return read_only(self.lie_in_rows())

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        array = self.numpy()
        if dtype is not None and np.dtype(dtype) != array.dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __bool__(self) -> builtins.bool:
        if self._array.size != 1:
            raise ShapeError(
                "Boolean value of Tensor with more than one value is ambiguous; "
                "use any() or all()"
            )
        told_reader("bool()")
        return bool(self._array.item())

    def __float__(self) -> builtins.float:
        return float(self.item())

    def __int__(self) -> builtins.int:
        return int(self.item())

    def __index__(self) -> builtins.int:
        if self._array.dtype.kind not in "iub":
            raise DTypeError("only integer tensors can be converted to an index")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        if spec and self._array.ndim:
            raise DTypeError(
                f"format {spec!r} is for one number, not {list(self.shape)}"
            )
        return format(repr(self) if self._array.ndim else self.item(), spec)

    def __repr__(self) -> str:
        told_reader("repr()")
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
        asked = ", requires_grad=True" if self._requires_grad else ""
        return f"tensor({body}{dtype}{asked})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """For pickle: type, values, whether a gradient is asked; it comes out a leaf."""
        given = type(self), self._array, self._requires_grad
        return _unpickled, given, getattr(self, "__dict__", None)

    def __copy__(self) -> Self:
        """A leaf that shares the memory."""
        copied = _unpickled(type(self), self.lie_in_rows(), self._requires_grad)
        copied._version = self._version
        return copied

    def __deepcopy__(self, memo: dict[Any, Any]) -> Self:
        if self._record is not None:
            raise AutogradError(
                "only leaf Tensors support deepcopy; use detach().clone() first"
            )
        copied = _unpickled(type(self), np.array(self._array), self._requires_grad)
        memo[id(self)] = copied
        copied._grad = copying.deepcopy(self._grad, memo)
        return copied


def _unpickled(kind: Any, array: Array, requires_grad: builtins.bool) -> Any:
    """A leaf of this type on an array of its own."""
    made = kind.__new__(kind)
    made._wrap(array, into=made)
    made._requires_grad = requires_grad
    return made


def check_device(device: Any) -> None:
    """Only the processor is there to compute on."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise DTypeError(
            f"device {device!s} is not available; tensors live on 'cpu', where this "
            "package computes with NumPy. For a GPU, run the same file with PyTorch itself."
        )


class Refused:
    """A dtype of PyTorch's by its name, which is refused where it is used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


bfloat16 = Refused("bfloat16")


def dtype_of(dtype: Any) -> DType:
    """NumPy's dtype of what is given; DTypeError for other than real numbers."""
    if isinstance(dtype, Refused):
        raise DTypeError(
            f"NumPy has no {dtype}; use float32, or float16 for less memory"
        )
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind not in "biuf":
        raise DTypeError(
            "a dtype is one of float32, float64, float16, int64, int32, int16, int8, "
            f"uint8 and bool, got {dtype!r}"
        )
    return found
