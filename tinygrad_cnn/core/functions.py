"""`f(x, …)` for `x.f(…)`, as PyTorch has both; and the functions of several Tensors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..errors import DTypeError
from .engine import Tensor
from .methods.arranging import atleast_1d as atleast_1d
from .methods.arranging import atleast_2d as atleast_2d
from .methods.arranging import atleast_3d as atleast_3d
from .methods.arranging import block_diag as block_diag
from .methods.arranging import broadcast_shapes as broadcast_shapes
from .methods.arranging import broadcast_tensors as broadcast_tensors
from .methods.arranging import cartesian_prod as cartesian_prod
from .methods.arranging import column_stack as column_stack
from .methods.arranging import combinations as combinations
from .methods.arranging import dstack as dstack
from .methods.arranging import hstack as hstack
from .methods.arranging import meshgrid as meshgrid
from .methods.arranging import row_stack as row_stack
from .methods.arranging import vstack as vstack
from .methods.indexing import where as where
from .methods.products import einsum as einsum
from .methods.products import tensordot as tensordot
from .methods.shape import cat as cat
from .methods.shape import stack as stack
from .methods.sorting import bucketize as bucketize
from .methods.sorting import isin as isin
from .methods.sorting import searchsorted as searchsorted
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
addbmm = _make_function(Tensor.addbmm)
addmm = _make_function(Tensor.addmm)
addmv = _make_function(Tensor.addmv)
addr = _make_function(Tensor.addr)
all = _make_function(Tensor.all)
amax = _make_function(Tensor.amax)
amin = _make_function(Tensor.amin)
any = _make_function(Tensor.any)
argmax = _make_function(Tensor.argmax)
argmin = _make_function(Tensor.argmin)
argsort = _make_function(Tensor.argsort)
argwhere = _make_function(Tensor.argwhere)
atan = _make_function(Tensor.atan)
baddbmm = _make_function(Tensor.baddbmm)
bernoulli = _make_function(Tensor.bernoulli)
bincount = _make_function(Tensor.bincount)
bmm = _make_function(Tensor.bmm)
broadcast_to = _make_function(Tensor.broadcast_to)
ceil = _make_function(Tensor.ceil)
chunk = _make_function(Tensor.chunk)
clamp = _make_function(Tensor.clamp)
clip = _make_function(Tensor.clip, "clip")
clone = _make_function(Tensor.clone)
diag = _make_function(Tensor.diag)
diag_embed = _make_function(Tensor.diag_embed)
diagflat = _make_function(Tensor.diagflat)
diagonal = _make_function(Tensor.diagonal)
div = _make_function(Tensor.div, "div")
dot = _make_function(Tensor.dot)
dsplit = _make_function(Tensor.dsplit)
eq = _make_function(Tensor.eq, "eq")
exp = _make_function(Tensor.exp)
flatten = _make_function(Tensor.flatten)
flip = _make_function(Tensor.flip)
fliplr = _make_function(Tensor.fliplr)
flipud = _make_function(Tensor.flipud)
floor = _make_function(Tensor.floor)
gather = _make_function(Tensor.gather)
ger = _make_function(Tensor.ger, "ger")
histc = _make_function(Tensor.histc)
hsplit = _make_function(Tensor.hsplit)
index_add = _make_function(Tensor.index_add)
index_copy = _make_function(Tensor.index_copy)
index_fill = _make_function(Tensor.index_fill)
index_put = _make_function(Tensor.index_put)
index_select = _make_function(Tensor.index_select)
inner = _make_function(Tensor.inner)
isfinite = _make_function(Tensor.isfinite)
isinf = _make_function(Tensor.isinf)
isnan = _make_function(Tensor.isnan)
kron = _make_function(Tensor.kron)
kthvalue = _make_function(Tensor.kthvalue)
log = _make_function(Tensor.log)
log_softmax = _make_function(Tensor.log_softmax)
logsumexp = _make_function(Tensor.logsumexp)
masked_fill = _make_function(Tensor.masked_fill)
masked_scatter = _make_function(Tensor.masked_scatter)
masked_select = _make_function(Tensor.masked_select)
matmul = _make_function(Tensor.matmul)
matrix_power = _make_function(Tensor.matrix_power)
max = _make_function(Tensor.max)
maximum = _make_function(Tensor.maximum)
mean = _make_function(Tensor.mean)
min = _make_function(Tensor.min)
minimum = _make_function(Tensor.minimum)
mm = _make_function(Tensor.mm)
moveaxis = _make_function(Tensor.moveaxis, "moveaxis")
movedim = _make_function(Tensor.movedim)
msort = _make_function(Tensor.msort)
mul = _make_function(Tensor.mul)
multinomial = _make_function(Tensor.multinomial)
mv = _make_function(Tensor.mv)
narrow = _make_function(Tensor.narrow)
neg = _make_function(Tensor.neg)
nonzero = _make_function(Tensor.nonzero)
numel = _make_function(Tensor.numel)
outer = _make_function(Tensor.outer)
permute = _make_function(Tensor.permute)
pow = _make_function(Tensor.pow)
ravel = _make_function(Tensor.ravel)
relu = _make_function(Tensor.relu)
reshape = _make_function(Tensor.reshape)
roll = _make_function(Tensor.roll)
rot90 = _make_function(Tensor.rot90)
round = _make_function(Tensor.round)
scatter = _make_function(Tensor.scatter)
scatter_add = _make_function(Tensor.scatter_add)
scatter_reduce = _make_function(Tensor.scatter_reduce)
select = _make_function(Tensor.select)
sigmoid = _make_function(Tensor.sigmoid)
sign = _make_function(Tensor.sign)
softmax = _make_function(Tensor.softmax)
sort = _make_function(Tensor.sort)
sqrt = _make_function(Tensor.sqrt)
square = _make_function(Tensor.square)
squeeze = _make_function(Tensor.squeeze)
std = _make_function(Tensor.std)
sub = _make_function(Tensor.sub)
sum = _make_function(Tensor.sum)
swapaxes = _make_function(Tensor.swapaxes, "swapaxes")
swapdims = _make_function(Tensor.swapdims, "swapdims")
t = _make_function(Tensor.t)
take = _make_function(Tensor.take)
take_along_dim = _make_function(Tensor.take_along_dim)
tanh = _make_function(Tensor.tanh)
tensor_split = _make_function(Tensor.tensor_split)
tile = _make_function(Tensor.tile)
topk = _make_function(Tensor.topk)
trace = _make_function(Tensor.trace)
transpose = _make_function(Tensor.transpose)
tril = _make_function(Tensor.tril)
triu = _make_function(Tensor.triu)
unbind = _make_function(Tensor.unbind)
unflatten = _make_function(Tensor.unflatten)
unique = _make_function(Tensor.unique)
unique_consecutive = _make_function(Tensor.unique_consecutive)
unsqueeze = _make_function(Tensor.unsqueeze)
var = _make_function(Tensor.var)
vdot = _make_function(Tensor.vdot)
vsplit = _make_function(Tensor.vsplit)


def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, **options: Any
) -> Tensor:
    """Each value repeated in its place; alone, k as often as the k-th count says."""
    if repeats is None:
        places = Tensor._wrap(np.arange(input.numel()))
        return places.repeat_interleave(input, **options)
    return input.repeat_interleave(repeats, dim, **options)


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


def is_floating_point(input: Tensor) -> bool:
    """Whether the values are floats."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """False: there are real numbers only."""
    return input.is_complex()


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)
