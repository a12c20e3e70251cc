"""`f(x, …)` for `x.f(…)`, as PyTorch has both; and the functions of several Tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .engine import Tensor
from .methods.arithmetic import matmul as matmul
from .methods.arithmetic import where as where
from .methods.shape import cat as cat
from .methods.shape import stack as stack
from .nn.functional import conv2d as conv2d
from .nn.functional import dropout as dropout

concat = cat
bmm = Tensor.bmm
mm = Tensor.mm
dot = Tensor.dot

abs = Tensor.abs
add = Tensor.add
all = Tensor.all
amax = Tensor.amax
amin = Tensor.amin
any = Tensor.any
argmax = Tensor.argmax
argmin = Tensor.argmin
atan = Tensor.atan
chunk = Tensor.chunk
clamp = clip = Tensor.clamp
div = Tensor.div
eq = Tensor.eq
exp = Tensor.exp
flatten = Tensor.flatten
flip = Tensor.flip
gather = Tensor.gather
isfinite = Tensor.isfinite
isnan = Tensor.isnan
log = Tensor.log
log_softmax = Tensor.log_softmax
logsumexp = Tensor.logsumexp
max = Tensor.max
maximum = Tensor.maximum
mean = Tensor.mean
min = Tensor.min
minimum = Tensor.minimum
mul = Tensor.mul
neg = Tensor.neg
norm = Tensor.norm
numel = Tensor.numel
permute = Tensor.permute
pow = Tensor.pow
relu = Tensor.relu
reshape = Tensor.reshape
sigmoid = Tensor.sigmoid
sign = Tensor.sign
softmax = Tensor.softmax
split = Tensor.split
sqrt = Tensor.sqrt
square = Tensor.square
squeeze = Tensor.squeeze
std = Tensor.std
sub = Tensor.sub
sum = Tensor.sum
tanh = Tensor.tanh
transpose = Tensor.transpose
unbind = Tensor.unbind
unsqueeze = Tensor.unsqueeze
var = Tensor.var


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Any:
    """Whether |input − other| ≤ atol + rtol · |other| everywhere."""
    return np.allclose(input._array, other._array, rtol, atol, equal_nan)


def equal(input: Tensor, other: Tensor) -> Any:
    """Whether shape and all values are the same."""
    return np.array_equal(input._array, other._array)


def is_tensor(value: Any) -> bool:
    """Whether `value` is a Tensor."""
    return isinstance(value, Tensor)
