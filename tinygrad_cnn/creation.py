"""Making Tensors: from data, filled, counted or drawn. PyTorch's names and defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .engine import Tensor
from .errors import DTypeError
from .methods.base import ints
from .methods.memory import check_device
from .random import Generator, default_generator


def _made(array: Any, dtype: Any, requires_grad: bool, device: Any = None) -> Tensor:
    check_device(device)
    t = Tensor._wrap(np.asarray(array, dtype=dtype))
    t.requires_grad_(requires_grad)
    return t


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A copy of `data`: numbers, nested lists, an array or a Tensor.

    dtype None: that of an array; for Python numbers float32, int64 or bool.
    """
    if isinstance(data, Tensor):
        data = data._array
    array = np.array(data, dtype=dtype, order="C")
    if dtype is None and array.dtype == np.float64 and not hasattr(data, "dtype"):
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"can't make a Tensor of {array.dtype} values: {data!r}")
    return _made(array, None, requires_grad, device)


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
    """A Tensor sharing the array's memory; the array becomes read-only for the caller."""
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"expected np.ndarray (got {type(array).__name__})")
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"can't convert an array of {array.dtype}")
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
    if dtype is None:
        dtype = tensor(fill_value).dtype
    return _made(np.full(tuple(size), fill_value), dtype, requires_grad, device)


def zeros(
    *size: Any, dtype: Any = np.float32, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros."""
    return _made(np.zeros(ints(size), dtype or np.float32), None, requires_grad, device)


def ones(
    *size: Any, dtype: Any = np.float32, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones."""
    return _made(np.ones(ints(size), dtype or np.float32), None, requires_grad, device)


def empty(
    *size: Any, dtype: Any = np.float32, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Values of no meaning (zeros, here)."""
    return zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1)."""
    draw = (generator or default_generator).numpy.random(ints(size))
    return _made(draw, dtype or np.float32, requires_grad, device)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal."""
    draw = (generator or default_generator).numpy.standard_normal(ints(size))
    return _made(draw, dtype or np.float32, requires_grad, device)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = np.int64,
    device: Any = None,
) -> Tensor:
    """Integers from low to high − 1: randint(high, size) or randint(low, high, size)."""
    if size is None:
        low, high, size = 0, low, high
    draw = (generator or default_generator).numpy.integers(low, high, tuple(size))
    return _made(draw, dtype, False, device)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = np.int64
) -> Tensor:
    """0 … n − 1 in random order."""
    return _made((generator or default_generator).numpy.permutation(n), dtype, False)


def arange(
    start: Any,
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
    if dtype is None and any(isinstance(v, float) for v in (start, end, step)):
        dtype = np.float32
    return _made(np.arange(start, end, step), dtype, requires_grad, device)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """`steps` values from start to end, both included."""
    return _made(np.linspace(start, end, steps), dtype or np.float32, False, device)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Ones on the diagonal."""
    return _made(np.eye(n, m), dtype or np.float32, False, device)


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
