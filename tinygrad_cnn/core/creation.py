"""Making Tensors: from data, filled, counted or drawn. PyTorch's names and defaults."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError
from .engine import Tensor
from .generator import Generator, default_generator, uniform
from .methods.base import ints
from .methods.memory import check_device, numbers

FLOAT32 = np.dtype(np.float32)


def make_tensor(
    make: Callable[[], Any], dtype: Any, device: Any, requires_grad: bool = False
) -> Tensor:
    """A Tensor of what `make` makes; what NumPy refuses becomes an error of ours."""
    check_device(device)
    try:
        array = make()
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ArgumentError(f"cannot make such a tensor: {error}") from None
    return Tensor._wrap(np.asarray(array, dtype)).requires_grad_(requires_grad)


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A copy of `data`: numbers, nested lists, an array or a Tensor.

    dtype None: that of an array; for Python numbers float32, int64 or bool.
    """
    return make_tensor(lambda: numbers(data, dtype), None, device, requires_grad)


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


def full(
    size: Sequence[int],
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` everywhere; its own kind decides the dtype (float32, int64, bool)."""
    value = numbers(fill_value, dtype)
    make = lambda: np.full(ints((size,)), value)
    return make_tensor(make, None, device, requires_grad)


def zeros(
    *shape: Any,
    size: Any = (),
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros."""
    make = lambda: np.zeros(ints(shape or (size,)), dtype or FLOAT32)
    return make_tensor(make, None, device, requires_grad)


def ones(
    *shape: Any,
    size: Any = (),
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones."""
    make = lambda: np.ones(ints(shape or (size,)), dtype or FLOAT32)
    return make_tensor(make, None, device, requires_grad)


empty = zeros
"""Values of no meaning: zeros, here."""


def _floating_dtype(given: Any) -> np.dtype[Any]:
    dtype = np.dtype(given or FLOAT32)
    if dtype.kind != "f":
        raise DTypeError(f"random numbers are floats, not {dtype}; see randint()")
    return dtype


def rand(
    *shape: Any,
    size: Any = (),
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1)."""
    kind = _floating_dtype(dtype)
    make = lambda: uniform(generator, ints(shape or (size,)), kind)
    return make_tensor(make, kind, device, requires_grad)


def randn(
    *shape: Any,
    size: Any = (),
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal."""
    draw = (generator or default_generator).numpy.standard_normal
    make = lambda: draw(ints(shape or (size,)))
    return make_tensor(make, _floating_dtype(dtype), device, requires_grad)


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
    make = lambda: draw(low, high, ints((size,)))
    return make_tensor(make, dtype or np.int64, device)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """0 … n − 1 in random order."""
    if operator.index(n) < 0:
        raise ArgumentError(f"randperm of {n} numbers")
    draw = (generator or default_generator).numpy.permutation
    return make_tensor(lambda: draw(n), dtype or np.int64, device)


def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … below end; integers give int64, floats float32."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise ArgumentError(
            f"arange from {start} never reaches {end} by steps of {step}"
        )
    if dtype is None and any(isinstance(v, float) for v in (start, end, step)):
        dtype = FLOAT32
    make = lambda: np.arange(start, end, step)
    return make_tensor(make, dtype, device, requires_grad)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` values from start to end, both included."""
    make = lambda: np.linspace(start, end, steps)
    return make_tensor(make, dtype or FLOAT32, device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal."""
    return make_tensor(lambda: np.eye(n, m), dtype or FLOAT32, device, requires_grad)


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


empty_like = zeros_like
