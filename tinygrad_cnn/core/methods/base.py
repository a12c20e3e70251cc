"""What the mixins share: reading arguments as PyTorch does."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ...errors import (
    ArgumentError,
    DTypeError,
    IndexingError,
    MissingNameError,
    NotDifferentiableError,
)
from ...missing import explain
from ...ops.base import Operand, Value
from ...ops.selection import Decision
from ...ops.shape import Cast
from ..recording import explained, grad_enabled, observer, quiet

if TYPE_CHECKING:
    from ..engine import Tensor

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]
Dim = int | Sequence[int] | None
Method = TypeVar("Method", bound=Callable[..., Any])

float32 = np.dtype(np.float32)
int64 = np.dtype(np.int64)


class Size(tuple[int, ...]):
    """The lengths of axes: a tuple, of which `numel` is how many values there are."""

    __slots__ = ()

    def numel(self) -> int:
        """The product."""
        return math.prod(self)

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return Size(found) if isinstance(key, slice) else found


class Base(Operand):
    """A Tensor, as its mixins see it: they rely on the engine and on one another."""

    __slots__ = ()

    if TYPE_CHECKING:
        _array: Any
        _requires_grad: bool

        def __getattr__(self, name: str) -> Any: ...

        def __getitem__(self, key: Any) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    else:

        def __getattr__(self, name):
            if name.startswith("__"):  # NumPy and copy ask for many
                raise AttributeError(name)
            raise MissingNameError(explain(f"Tensor.{name}", dir(self)))


def of_array(name: str, doc: str) -> Any:
    """A property of a Tensor that is its array's, read without a call of Python's."""
    return property(operator.attrgetter(f"_array.{name}"), doc=doc)


def numpy_names(method: Method) -> Method:
    """Accept NumPy's `axis` and `keepdims` for `dim` and `keepdim`, as PyTorch does."""

    @functools.wraps(method)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        for numpy_name, name in (("axis", "dim"), ("keepdims", "keepdim")):
            if numpy_name in kwargs:
                kwargs[name] = kwargs.pop(numpy_name)
        return method(*args, **kwargs)

    return renamed  # type: ignore[return-value]


def axis_of(dim: Any, ndim: int) -> int:
    """A non-negative axis; IndexingError if there is no such axis."""
    if type(dim) is not int and (
        isinstance(dim, bool) or not isinstance(dim, int | np.integer)
    ):
        raise DTypeError(f"dim must be an int, got {dim!r}")
    reach = max(ndim, 1)
    if not -reach <= dim < reach:
        raise IndexingError(
            f"Dimension out of range (expected to be in range of [{-reach}, {reach - 1}], "
            f"but got {dim})"
        )
    return int(dim) % reach


def axes_of(dim: Dim, ndim: int) -> tuple[int, ...] | None:
    """None for all axes, else each of them, checked, none twice."""
    if dim is None:
        return None
    dims = dim if isinstance(dim, tuple | list) else (dim,)
    axes = tuple([axis_of(d, ndim) for d in dims])
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"dim {dim} names an axis more than once")
    return axes if axes and ndim else None


def ints(values: tuple[Any, ...]) -> tuple[int, ...]:
    """f(2, 3) and f((2, 3)) alike."""
    if len(values) == 1 and isinstance(values[0], Sequence):
        values = tuple(values[0])
    try:
        return tuple([operator.index(v) for v in values])
    except TypeError:
        raise DTypeError(f"sizes and axes are integers, got {values!r}") from None


def unrecorded(
    name: str, function: Callable[..., Any], *inputs: Value, differentiable: bool = True
) -> Tensor:
    """A Tensor of `function(*arrays)`, which has no gradient.

    Refuses inputs that ask for one, unless the function is locally constant anyway
    (`differentiable=False`: comparisons, argmax).
    """
    tensors = [x for x in inputs if isinstance(x, Base)]
    if differentiable and grad_enabled.get() and any(t._requires_grad for t in tensors):
        raise NotDifferentiableError(
            f"the derivative of {name} is not implemented; use detach() if none is wanted"
        )
    try:
        arrays = [raw(x) for x in inputs]
        result = quiet.run(function, *arrays)
    except (ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        raise explained(name, inputs, error) from None
    observe = observer.get()
    if observe is not None and not differentiable:
        observe(Decision(name), arrays, np.asarray(result), [])
    return tensors[0]._wrap(result)


def raw(x: Value) -> Value:
    """The array of a Tensor; anything else as it is, NumPy scalars as Python's."""
    if isinstance(x, Base):
        return x._array
    return x.item() if isinstance(x, np.generic) else x


_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}


def promote(a: Value, b: Value, *, to_float: bool = False) -> tuple[Value, Value]:
    """Two operands of one dtype, by PyTorch's rule.

    The higher kind (bool < integer < float) wins; among operands of that kind, one with
    axes decides before one without, and a Python number decides last (float32, int64).
    `to_float`: integers become float32, as a division needs.
    """
    if isinstance(a, Base):  # the usual cases first, for their time counts
        dtype = a._array.dtype
        if isinstance(b, Base):
            if dtype is b._array.dtype and (not to_float or dtype.kind == "f"):
                return a, b
        elif type(b) in (int, float) and dtype.kind == "f":
            return a, float(b)
    a, b = _number(a), _number(b)
    da, db = getattr(a, "dtype", None), getattr(b, "dtype", None)
    if da == db and da is not None and (da.kind == "f" or not to_float):
        return a, b
    dtype = result_type(a, b)
    if to_float and dtype.kind != "f":
        dtype = float32
    return _cast(a, dtype), _cast(b, dtype)


def _number(x: Value) -> Value:
    if isinstance(x, np.generic):
        x = x.item()
    if isinstance(x, np.ndarray):
        return x.copy()  # the caller may change it before the backward pass
    if not isinstance(x, Base | np.ndarray | int | float):
        raise DTypeError(
            f"expected a Tensor, an array or a number, got {type(x).__name__}: {x!r}"
        )
    return x


def result_type(a: Value, b: Value) -> DType:
    """The dtype of a + b by PyTorch's rule."""
    ranked = []
    for x in (a, b):
        dtype = getattr(x, "dtype", None) or _default(x)
        if dtype.kind not in _KINDS:
            raise DTypeError(f"operands of dtype {dtype} are not supported")
        places = 2 if getattr(x, "ndim", 0) else 1 if hasattr(x, "dtype") else 0
        ranked.append((_KINDS[dtype.kind], places, dtype))
    (kind_a, places_a, dtype_a), (kind_b, places_b, dtype_b) = ranked
    if (kind_a, places_a) == (kind_b, places_b):
        return np.promote_types(dtype_a, dtype_b)
    return dtype_a if (kind_a, places_a) > (kind_b, places_b) else dtype_b


def _default(x: Value) -> DType:
    if isinstance(x, bool):
        return np.dtype(bool)
    return int64 if isinstance(x, int) else float32


def _cast(x: Value, dtype: DType) -> Value:
    if not hasattr(x, "dtype"):
        # A Python number takes part without a dtype, so it widens nothing.
        return float(x) if dtype.kind == "f" else x
    return x if x.dtype == dtype else Cast(dtype)(x)


def floating(x: Value) -> Value:
    """Functions such as exp turn integers into float32."""
    return promote(x, 0.0, to_float=True)[0]


def float_only(x: Value, name: str) -> Value:
    """x, or DTypeError if it has integers or bools."""
    if x.dtype.kind != "f":
        raise DTypeError(f"{name} needs floats, got {x.dtype}; use x.float()")
    return x
