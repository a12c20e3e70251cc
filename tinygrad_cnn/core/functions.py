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
from .methods.base import result_type
from .methods.indexing import where as where
from .methods.products import einsum as einsum
from .methods.products import tensordot as tensordot
from .methods.shape import cat as cat
from .methods.shape import stack as stack
from .methods.sorting import bucketize as bucketize
from .methods.sorting import isin as isin
from .methods.sorting import searchsorted as searchsorted

concat = cat


NUMBER_FIRST = (
    *("add", "div", "divide", "float_power", "floor_divide", "mul", "multiply", "pow"),
    *("remainder", "sub", "subtract", "true_divide", "xlogy"),
)
"""Functions that may have a number before their Tensor, which is then of its dtype."""

Method = TypeVar("Method", bound=Callable[..., Any])


def _make_function(method: Method, alias: str = "") -> Method:
    """`name(input, …)` for `input.name(…)`."""
    name = alias or method.__name__

    def function(input: Any, *args: Any, **kwargs: Any) -> Any:
        tensor_next = bool(args) and isinstance(args[0], Tensor)
        if name in NUMBER_FIRST and tensor_next and isinstance(input, int | float):
            input = Tensor._wrap(np.asarray(input, result_type(input, args[0])))
        if not isinstance(input, Tensor):
            raise DTypeError(f"{name}() takes a Tensor, got {type(input).__name__}")
        return getattr(input, name)(*args, **kwargs)

    functools.update_wrapper(function, method)
    first, *others = inspect.signature(method).parameters.values()
    parameters = [first.replace(name="input"), *others]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function  # type: ignore[return-value]  # `input` may be named as well


abs = _make_function(Tensor.abs)
absolute = _make_function(Tensor.absolute, "absolute")
acos = _make_function(Tensor.acos)
acosh = _make_function(Tensor.acosh)
add = _make_function(Tensor.add)
addbmm = _make_function(Tensor.addbmm)
addcdiv = _make_function(Tensor.addcdiv)
addcmul = _make_function(Tensor.addcmul)
addmm = _make_function(Tensor.addmm)
addmv = _make_function(Tensor.addmv)
addr = _make_function(Tensor.addr)
all = _make_function(Tensor.all)
allclose = _make_function(Tensor.allclose)
amax = _make_function(Tensor.amax)
amin = _make_function(Tensor.amin)
aminmax = _make_function(Tensor.aminmax)
any = _make_function(Tensor.any)
arccos = _make_function(Tensor.arccos, "arccos")
arccosh = _make_function(Tensor.arccosh, "arccosh")
arcsin = _make_function(Tensor.arcsin, "arcsin")
arcsinh = _make_function(Tensor.arcsinh, "arcsinh")
arctan = _make_function(Tensor.arctan, "arctan")
arctan2 = _make_function(Tensor.arctan2, "arctan2")
arctanh = _make_function(Tensor.arctanh, "arctanh")
argmax = _make_function(Tensor.argmax)
argmin = _make_function(Tensor.argmin)
argsort = _make_function(Tensor.argsort)
argwhere = _make_function(Tensor.argwhere)
asin = _make_function(Tensor.asin)
asinh = _make_function(Tensor.asinh)
atan = _make_function(Tensor.atan)
atan2 = _make_function(Tensor.atan2)
atanh = _make_function(Tensor.atanh)
baddbmm = _make_function(Tensor.baddbmm)
bernoulli = _make_function(Tensor.bernoulli)
bincount = _make_function(Tensor.bincount)
bitwise_and = _make_function(Tensor.bitwise_and, "bitwise_and")
bitwise_not = _make_function(Tensor.bitwise_not, "bitwise_not")
bitwise_or = _make_function(Tensor.bitwise_or, "bitwise_or")
bitwise_xor = _make_function(Tensor.bitwise_xor, "bitwise_xor")
bmm = _make_function(Tensor.bmm)
broadcast_to = _make_function(Tensor.broadcast_to)
ceil = _make_function(Tensor.ceil)
chunk = _make_function(Tensor.chunk)
clamp = _make_function(Tensor.clamp)
clamp_max = _make_function(Tensor.clamp_max)
clamp_min = _make_function(Tensor.clamp_min)
clip = _make_function(Tensor.clip, "clip")
clone = _make_function(Tensor.clone)
copysign = _make_function(Tensor.copysign)
cos = _make_function(Tensor.cos)
cosh = _make_function(Tensor.cosh)
count_nonzero = _make_function(Tensor.count_nonzero)
cummax = _make_function(Tensor.cummax)
cummin = _make_function(Tensor.cummin)
cumprod = _make_function(Tensor.cumprod)
cumsum = _make_function(Tensor.cumsum)
deg2rad = _make_function(Tensor.deg2rad)
diag = _make_function(Tensor.diag)
diag_embed = _make_function(Tensor.diag_embed)
diagflat = _make_function(Tensor.diagflat)
diagonal = _make_function(Tensor.diagonal)
diff = _make_function(Tensor.diff)
dist = _make_function(Tensor.dist)
div = _make_function(Tensor.div)
div = _make_function(Tensor.div, "div")
divide = _make_function(Tensor.divide, "divide")
dot = _make_function(Tensor.dot)
dsplit = _make_function(Tensor.dsplit)
eq = _make_function(Tensor.eq, "eq")
equal = _make_function(Tensor.equal)
erf = _make_function(Tensor.erf)
erfc = _make_function(Tensor.erfc)
exp = _make_function(Tensor.exp)
exp2 = _make_function(Tensor.exp2)
expm1 = _make_function(Tensor.expm1)
fix = _make_function(Tensor.fix, "fix")
flatten = _make_function(Tensor.flatten)
flip = _make_function(Tensor.flip)
fliplr = _make_function(Tensor.fliplr)
flipud = _make_function(Tensor.flipud)
float_power = _make_function(Tensor.float_power)
floor = _make_function(Tensor.floor)
floor_divide = _make_function(Tensor.floor_divide, "floor_divide")
fmax = _make_function(Tensor.fmax)
fmin = _make_function(Tensor.fmin)
fmod = _make_function(Tensor.fmod)
frac = _make_function(Tensor.frac)
gather = _make_function(Tensor.gather)
ge = _make_function(Tensor.ge, "ge")
ger = _make_function(Tensor.ger, "ger")
greater = _make_function(Tensor.greater, "greater")
greater_equal = _make_function(Tensor.greater_equal, "greater_equal")
gt = _make_function(Tensor.gt, "gt")
heaviside = _make_function(Tensor.heaviside)
histc = _make_function(Tensor.histc)
hsplit = _make_function(Tensor.hsplit)
hypot = _make_function(Tensor.hypot)
index_add = _make_function(Tensor.index_add)
index_copy = _make_function(Tensor.index_copy)
index_fill = _make_function(Tensor.index_fill)
index_put = _make_function(Tensor.index_put)
index_select = _make_function(Tensor.index_select)
inner = _make_function(Tensor.inner)
isclose = _make_function(Tensor.isclose)
is_complex = _make_function(Tensor.is_complex)
is_floating_point = _make_function(Tensor.is_floating_point)
isfinite = _make_function(Tensor.isfinite)
isinf = _make_function(Tensor.isinf)
isnan = _make_function(Tensor.isnan)
isneginf = _make_function(Tensor.isneginf)
isposinf = _make_function(Tensor.isposinf)
kron = _make_function(Tensor.kron)
kthvalue = _make_function(Tensor.kthvalue)
le = _make_function(Tensor.le, "le")
lerp = _make_function(Tensor.lerp)
less = _make_function(Tensor.less, "less")
less_equal = _make_function(Tensor.less_equal, "less_equal")
log = _make_function(Tensor.log)
log10 = _make_function(Tensor.log10)
log1p = _make_function(Tensor.log1p)
log2 = _make_function(Tensor.log2)
log_softmax = _make_function(Tensor.log_softmax)
logaddexp = _make_function(Tensor.logaddexp)
logcumsumexp = _make_function(Tensor.logcumsumexp)
logical_and = _make_function(Tensor.logical_and)
logical_not = _make_function(Tensor.logical_not)
logical_or = _make_function(Tensor.logical_or)
logical_xor = _make_function(Tensor.logical_xor)
logit = _make_function(Tensor.logit)
logsumexp = _make_function(Tensor.logsumexp)
lt = _make_function(Tensor.lt, "lt")
masked_fill = _make_function(Tensor.masked_fill)
masked_scatter = _make_function(Tensor.masked_scatter)
masked_select = _make_function(Tensor.masked_select)
matmul = _make_function(Tensor.matmul)
matrix_power = _make_function(Tensor.matrix_power)
max = _make_function(Tensor.max)
maximum = _make_function(Tensor.maximum)
mean = _make_function(Tensor.mean)
median = _make_function(Tensor.median)
min = _make_function(Tensor.min)
minimum = _make_function(Tensor.minimum)
mm = _make_function(Tensor.mm)
moveaxis = _make_function(Tensor.moveaxis, "moveaxis")
movedim = _make_function(Tensor.movedim)
msort = _make_function(Tensor.msort)
mul = _make_function(Tensor.mul)
mul = _make_function(Tensor.mul, "mul")
multinomial = _make_function(Tensor.multinomial)
multiply = _make_function(Tensor.multiply, "multiply")
mv = _make_function(Tensor.mv)
nan_to_num = _make_function(Tensor.nan_to_num)
nanmean = _make_function(Tensor.nanmean)
nansum = _make_function(Tensor.nansum)
narrow = _make_function(Tensor.narrow)
ne = _make_function(Tensor.ne, "ne")
neg = _make_function(Tensor.neg)
neg = _make_function(Tensor.neg, "neg")
negative = _make_function(Tensor.negative, "negative")
nonzero = _make_function(Tensor.nonzero)
norm = _make_function(Tensor.norm)
not_equal = _make_function(Tensor.not_equal, "not_equal")
numel = _make_function(Tensor.numel)
outer = _make_function(Tensor.outer)
permute = _make_function(Tensor.permute)
positive = _make_function(Tensor.positive)
pow = _make_function(Tensor.pow)
pow = _make_function(Tensor.pow, "pow")
prod = _make_function(Tensor.prod)
quantile = _make_function(Tensor.quantile)
rad2deg = _make_function(Tensor.rad2deg)
ravel = _make_function(Tensor.ravel)
reciprocal = _make_function(Tensor.reciprocal)
relu = _make_function(Tensor.relu)
remainder = _make_function(Tensor.remainder, "remainder")
reshape = _make_function(Tensor.reshape)
roll = _make_function(Tensor.roll)
rot90 = _make_function(Tensor.rot90)
round = _make_function(Tensor.round)
rsqrt = _make_function(Tensor.rsqrt)
scatter = _make_function(Tensor.scatter)
scatter_add = _make_function(Tensor.scatter_add)
scatter_reduce = _make_function(Tensor.scatter_reduce)
select = _make_function(Tensor.select)
sgn = _make_function(Tensor.sgn, "sgn")
sigmoid = _make_function(Tensor.sigmoid)
sign = _make_function(Tensor.sign)
signbit = _make_function(Tensor.signbit)
sin = _make_function(Tensor.sin)
sinh = _make_function(Tensor.sinh)
softmax = _make_function(Tensor.softmax)
sort = _make_function(Tensor.sort)
sqrt = _make_function(Tensor.sqrt)
square = _make_function(Tensor.square)
squeeze = _make_function(Tensor.squeeze)
std = _make_function(Tensor.std)
std_mean = _make_function(Tensor.std_mean)
sub = _make_function(Tensor.sub)
subtract = _make_function(Tensor.subtract, "subtract")
sum = _make_function(Tensor.sum)
swapaxes = _make_function(Tensor.swapaxes, "swapaxes")
swapdims = _make_function(Tensor.swapdims, "swapdims")
t = _make_function(Tensor.t)
take = _make_function(Tensor.take)
take_along_dim = _make_function(Tensor.take_along_dim)
tan = _make_function(Tensor.tan)
tanh = _make_function(Tensor.tanh)
tensor_split = _make_function(Tensor.tensor_split)
tile = _make_function(Tensor.tile)
topk = _make_function(Tensor.topk)
trace = _make_function(Tensor.trace)
transpose = _make_function(Tensor.transpose)
tril = _make_function(Tensor.tril)
triu = _make_function(Tensor.triu)
true_divide = _make_function(Tensor.true_divide, "true_divide")
trunc = _make_function(Tensor.trunc)
unbind = _make_function(Tensor.unbind)
unflatten = _make_function(Tensor.unflatten)
unique = _make_function(Tensor.unique)
unique_consecutive = _make_function(Tensor.unique_consecutive)
unsqueeze = _make_function(Tensor.unsqueeze)
var = _make_function(Tensor.var)
var_mean = _make_function(Tensor.var_mean)
vdot = _make_function(Tensor.vdot)
vsplit = _make_function(Tensor.vsplit)
xlogy = _make_function(Tensor.xlogy)


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


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)
