"""Making Tensors: from data, filled, counted or drawn. PyTorch's names and defaults."""

from __future__ import annotations

import functools
import inspect
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

import numpy as np

from ..errors import ArgumentError, DTypeError, OutOfMemoryError, TinygradError
from ..ops.selection import Where
from .engine import Tensor
from .generator import Generator, default_generator, uniform
from .methods.base import float32, int64, ints
from .methods.making import sized_or_given
from .methods.memory import check_device, dtype_of, numbers
from .recording import no_grad

F = TypeVar("F", bound=Callable[..., Tensor])


class Options(TypedDict, total=False):
    """What most functions here take by keyword, as type checkers see it."""

    dtype: Any
    device: Any
    requires_grad: bool
    memory_format: Any


def make_tensor(
    make: Callable[[Any], Any],
    default: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A Tensor of what `make` makes in `dtype`, by default in `default`.

    What NumPy refuses becomes an error of ours.
    """
    check_device(device)
    dtype = default if dtype is None else dtype_of(dtype)
    try:
        array = make(dtype)
    except TinygradError:
        raise
    except TypeError as error:
        raise DTypeError(f"cannot make such a tensor: {error}") from None
    except MemoryError as error:
        raise OutOfMemoryError(f"cannot make such a tensor: {error}") from None
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ArgumentError(f"cannot make such a tensor: {error}") from None
    return Tensor._wrap(np.asarray(array, dtype)).requires_grad_(requires_grad)


def with_options(function: F) -> F:
    """Give the options their names and defaults in the signature that `help` shows, and
    refuse other names.
    """
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[:-1]
    parameters += list(inspect.signature(make_tensor).parameters.values())[2:]
    shown = signature.replace(parameters=parameters)
    names = {p.name for p in parameters if p.kind is not p.VAR_POSITIONAL}

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Tensor:
        for name in kwargs.keys() - names:
            raise DTypeError(
                f"{function.__name__}() takes no argument {name!r}; there are "
                f"{', '.join(sorted(names))}"
            )
        return function(*args, **kwargs)

    checked.__signature__ = shown  # type: ignore[attr-defined]
    return checked  # type: ignore[return-value]


@with_options
def tensor(data: Any, **options: Unpack[Options]) -> Tensor:
    """A copy of `data`: numbers, nested lists, an array or a Tensor.

    dtype None: that of an array; for Python numbers float32, int64 or bool.
    """
    return make_tensor(lambda dtype: numbers(data, dtype), None, **options)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a Tensor, without a copy where it is a Tensor or an array of that dtype.

    An array taken over this way becomes read-only for the caller, since a change made
    there would falsify gradients unseen.
    """
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    if isinstance(data, np.ndarray) and dtype in (None, data.dtype):
        return from_numpy(data)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array: Any) -> Tensor:
    """A Tensor sharing the array's memory; the array becomes read-only for the caller.

    A view of other memory, or an array that is read-only already, is copied.
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"expected np.ndarray (got {type(array).__name__})")
    return Tensor(array)


@with_options
def full(size: Sequence[int], fill_value: Any, **options: Unpack[Options]) -> Tensor:
    """`fill_value` everywhere; its own kind decides the dtype (float32, int64, bool)."""
    make = lambda dtype: np.full(ints((size,)), numbers(fill_value, dtype))
    return make_tensor(make, None, **options)


@with_options
def zeros(*shape: Any, size: Any = (), **options: Unpack[Options]) -> Tensor:
    """Zeros."""
    make = lambda dtype: np.zeros(ints(shape or (size,)), dtype)
    return make_tensor(make, float32, **options)


@with_options
def ones(*shape: Any, size: Any = (), **options: Unpack[Options]) -> Tensor:
    """Ones."""
    make = lambda dtype: np.ones(ints(shape or (size,)), dtype)
    return make_tensor(make, float32, **options)


empty = zeros
"""Values of no meaning: zeros, here."""


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind != "f":
        raise DTypeError(f"random numbers are floats, not {dtype}; see randint()")
    return dtype


@with_options
def rand(
    *shape: Any,
    size: Any = (),
    generator: Generator | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """Uniform on [0, 1)."""
    make = lambda dtype: uniform(generator, ints(shape or (size,)), _floating(dtype))
    return make_tensor(make, float32, **options)


@with_options
def randn(
    *shape: Any,
    size: Any = (),
    generator: Generator | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """Standard normal."""
    draw = (generator or default_generator).numpy.standard_normal
    make = lambda dtype: draw(ints(shape or (size,))).astype(_floating(dtype))
    return make_tensor(make, float32, **options)


def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Integers from low to high − 1: randint(high, size) or randint(low, high, size)."""
    if size is None:
        low, high, size = 0, low, high
    draw = (generator or default_generator).numpy.integers
    make = lambda _: draw(low, high, ints((size,)))
    return make_tensor(make, int64, dtype=dtype, device=device)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """0 … n − 1 in random order."""
    if operator.index(n) < 0:
        raise ArgumentError(f"randperm of {n} numbers")
    draw = (generator or default_generator).numpy.permutation
    return make_tensor(lambda _: draw(n), int64, dtype=dtype, device=device)


@with_options
def arange(
    start: Any = 0, end: Any = None, step: Any = 1, **options: Unpack[Options]
) -> Tensor:
    """start, start + step, … below end; integers give int64, floats float32.

    Of an integer dtype, all three are cut to integers first, as in PyTorch.
    """
    if end is None:
        start, end = 0, start
    floats = any(isinstance(v, float) for v in (start, end, step))

    def make(dtype: Any) -> Any:
        a, b, by = start, end, step
        if dtype is not None and dtype.kind in "iu" and floats:
            a, b, by = int(a), int(b), int(by)
        if not (math.isfinite(a) and math.isfinite(b)) or by == 0 or (b - a) * by < 0:
            raise ArgumentError(f"arange from {a} never reaches {b} by steps of {by}")
        return np.arange(a, b, by)

    return make_tensor(make, float32 if floats else int64, **options)


@with_options
def linspace(start: Any, end: Any, steps: int, **options: Unpack[Options]) -> Tensor:
    """`steps` values from start to end, both included; cut to an integer dtype first."""

    make = lambda dtype: _spaced(start, end, steps, dtype)
    return make_tensor(make, float32, **options)


def _spaced(start: Any, end: Any, steps: int, dtype: np.dtype[Any]) -> Any:
    cut = math.trunc if dtype.kind in "iu" else lambda x: x * 1.0
    ends = [cut(x.item() if isinstance(x, Tensor) else x) for x in (start, end)]
    return np.linspace(ends[0], ends[1], operator.index(steps))


@with_options
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, **options: Unpack[Options]
) -> Tensor:
    """`steps` powers of the base, from base^start to base^end, both included."""

    make = lambda dtype: float(base) ** _spaced(start, end, steps, dtype)
    return make_tensor(make, float32, **options)


@with_options
def scalar_tensor(s: Any, **options: Unpack[Options]) -> Tensor:
    """One number, without axes; float32 unless said otherwise."""
    return make_tensor(lambda dtype: np.full((), s, dtype), float32, **options)


@with_options
def eye(n: int, m: int | None = None, **options: Unpack[Options]) -> Tensor:
    """Ones on the diagonal."""
    return make_tensor(lambda _: np.eye(n, m), float32, **options)


def zeros_like(input: Tensor, *, dtype: Any = None, **kwargs: Any) -> Tensor:
    """Zeros of the same shape and dtype."""
    return zeros(input.shape, dtype=dtype or input.dtype, **kwargs)


def ones_like(input: Tensor, *, dtype: Any = None, **kwargs: Any) -> Tensor:
    """Ones of the same shape and dtype."""
    return ones(input.shape, dtype=dtype or input.dtype, **kwargs)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, **kwargs: Any
) -> Tensor:
    """`fill_value` in the same shape and dtype."""
    return full(input.shape, fill_value, dtype=dtype or input.dtype, **kwargs)


def randn_like(input: Tensor, *, dtype: Any = None, **kwargs: Any) -> Tensor:
    """Standard normal of the same shape and dtype."""
    return randn(input.shape, dtype=dtype or input.dtype, **kwargs)


def rand_like(input: Tensor, *, dtype: Any = None, **kwargs: Any) -> Tensor:
    """Uniform on [0, 1), of the same shape and dtype."""
    return rand(input.shape, dtype=dtype or input.dtype, **kwargs)


def randint_like(
    input: Tensor, low: int = 0, high: Any = None, *, dtype: Any = None, **kwargs: Any
) -> Tensor:
    """Integers from low to high − 1, of the same shape and dtype: randint_like(x, high)."""
    if high is None:
        low, high = 0, low
    return randint(low, high, input.shape, dtype=dtype or input.dtype, **kwargs)


empty_like = zeros_like


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    **options: Any,
) -> Tensor:
    """From N(mean, std²), each a number or a Tensor with one value for each draw."""
    given = [x for x in (mean, std) if isinstance(x, Tensor)]
    if size is None and not given:
        raise DTypeError("normal() takes a size where mean and std are numbers")
    if size is None:
        size = np.broadcast_shapes(*[x.shape for x in given])
    if np.any(np.asarray(std.detach() if isinstance(std, Tensor) else std) < 0):
        raise ArgumentError(f"normal expects std >= 0, got {std}")
    dtype = given[0].dtype if given else float32
    options.setdefault("dtype", dtype)
    draw = randn(size, generator=generator, **options)
    with no_grad():
        drawn = draw * std + mean
    for x in given:  # it asks for gradients, which are 0, as in PyTorch
        drawn = Where()(True, drawn, x)
    return drawn


class TypedTensor(type):
    """FloatTensor and the like: makes Tensors of its dtype, and is the class of these."""

    dtype: Any

    def __call__(cls, *data: Any) -> Tensor:
        """Zeros of these sizes, or the values given."""
        return Tensor._wrap(sized_or_given(data, cls.dtype))

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.dtype == cls.dtype


def _typed(name: str, dtype: Any) -> TypedTensor:
    doc = f"Tensors of {np.dtype(dtype)}: of sizes, or of values."
    return TypedTensor(name, (), {"dtype": np.dtype(dtype), "__doc__": doc})


BoolTensor = _typed("BoolTensor", np.bool_)
ByteTensor = _typed("ByteTensor", np.uint8)
CharTensor = _typed("CharTensor", np.int8)
DoubleTensor = _typed("DoubleTensor", np.float64)
FloatTensor = _typed("FloatTensor", np.float32)
HalfTensor = _typed("HalfTensor", np.float16)
IntTensor = _typed("IntTensor", np.int32)
LongTensor = _typed("LongTensor", np.int64)
ShortTensor = _typed("ShortTensor", np.int16)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Rows and columns of what is not above a diagonal of a matrix, as two rows."""
    find = lambda _: np.array(np.tril_indices(row, offset, col))
    return make_tensor(find, int64, dtype=dtype, device=device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Rows and columns of what is not below a diagonal of a matrix, as two rows."""
    find = lambda _: np.array(np.triu_indices(row, offset, col))
    return make_tensor(find, int64, dtype=dtype, device=device)
