"""`f(x, …)` for `x.f(…)`, as PyTorch has both; and the functions of several Tensors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..errors import DTypeError
from .engine import Tensor
from .methods.arithmetic import where as where
from .methods.shape import cat as cat
from .methods.shape import stack as stack
from .recording import told_reader

concat = cat


Method = TypeVar("Method", bound=Callable[..., Any])


def _make_function(method: Method, alias: str = "") -> Method:
    """`name(input, …)` for `input.name(…)`."""
    name = alias or method.__name__

    def function(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(input, Tensor):
            raise DTypeError(f"{name}() takes a Tensor, got {type(input).__name__}")
        return getattr(input, name)(*args, **kwargs)

    functools.update_wrapper(function, method)
    first, *others = inspect.signature(method).parameters.values()
    parameters = [first.replace(name="input"), *others]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function  # type: ignore[return-value]  # `input` may be named as well


abs = _make_function(Tensor.abs)
add = _make_function(Tensor.add)
all = _make_function(Tensor.all)
amax = _make_function(Tensor.amax)
amin = _make_function(Tensor.amin)
any = _make_function(Tensor.any)
argmax = _make_function(Tensor.argmax)
argmin = _make_function(Tensor.argmin)
atan = _make_function(Tensor.atan)
bmm = _make_function(Tensor.bmm)
ceil = _make_function(Tensor.ceil)
chunk = _make_function(Tensor.chunk)
clamp = _make_function(Tensor.clamp)
clip = _make_function(Tensor.clip, "clip")
div = _make_function(Tensor.div, "div")
dot = _make_function(Tensor.dot)
eq = _make_function(Tensor.eq, "eq")
exp = _make_function(Tensor.exp)
flatten = _make_function(Tensor.flatten)
flip = _make_function(Tensor.flip)
floor = _make_function(Tensor.floor)
gather = _make_function(Tensor.gather)
isfinite = _make_function(Tensor.isfinite)
isinf = _make_function(Tensor.isinf)
isnan = _make_function(Tensor.isnan)
log = _make_function(Tensor.log)
log_softmax = _make_function(Tensor.log_softmax)
logsumexp = _make_function(Tensor.logsumexp)
matmul = _make_function(Tensor.matmul)
max = _make_function(Tensor.max)
maximum = _make_function(Tensor.maximum)
mean = _make_function(Tensor.mean)
min = _make_function(Tensor.min)
minimum = _make_function(Tensor.minimum)
mm = _make_function(Tensor.mm)
mul = _make_function(Tensor.mul)
neg = _make_function(Tensor.neg)
numel = _make_function(Tensor.numel)
permute = _make_function(Tensor.permute)
pow = _make_function(Tensor.pow)
relu = _make_function(Tensor.relu)
reshape = _make_function(Tensor.reshape)
round = _make_function(Tensor.round)
sigmoid = _make_function(Tensor.sigmoid)
sign = _make_function(Tensor.sign)
softmax = _make_function(Tensor.softmax)
sqrt = _make_function(Tensor.sqrt)
square = _make_function(Tensor.square)
squeeze = _make_function(Tensor.squeeze)
std = _make_function(Tensor.std)
sub = _make_function(Tensor.sub)
sum = _make_function(Tensor.sum)
tanh = _make_function(Tensor.tanh)
topk = _make_function(Tensor.topk)
transpose = _make_function(Tensor.transpose)
unbind = _make_function(Tensor.unbind)
unsqueeze = _make_function(Tensor.unsqueeze)
var = _make_function(Tensor.var)


def split(
    tensor: Tensor, split_size_or_sections: Any, dim: int = 0
) -> tuple[Tensor, ...]:
    """Pieces of one size, or of these sizes, along `dim`."""
    return tensor.split(split_size_or_sections, dim)


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether |input − other| ≤ atol + rtol · |other| everywhere."""
    told_reader("allclose()")
    return np.allclose(input._array, other._array, rtol, atol, equal_nan)


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shape and all values are the same."""
    told_reader("equal()")
    return np.array_equal(input._array, other._array)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)
