"""tinygrad_cnn: autograd on NumPy to learn, teach and check how a CNN gets its gradients.

PyTorch's names and behaviour; not affiliated with tinygrad. The names below are loaded when
they are first used, so that the command line answers at once.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from . import importing
from .missing import missing_name

__version__ = "0.5.0"

if TYPE_CHECKING:  # what `__getattr__` below loads, for type checkers and editors
    from . import autograd as autograd
    from . import checkpoint as checkpoint
    from . import data as data
    from . import distributions as distributions
    from . import errors as errors
    from . import func as func
    from . import kernels as kernels
    from . import linalg as linalg
    from . import metrics as metrics
    from . import nn as nn
    from . import ops as ops
    from . import optim as optim
    from . import training as training
    from . import utils as utils
    from .checkpoint import load as load
    from .checkpoint import save as save
    from .core import creation as creation
    from .core import generator as random
    from .core.creation import *
    from .core.dtypes import *
    from .core.engine import Tensor as Tensor
    from .core.functions import *
    from .core.generator import Generator as Generator
    from .core.generator import initial_seed as initial_seed
    from .core.generator import manual_seed as manual_seed
    from .core.recording import enable_grad as enable_grad
    from .core.recording import inference_mode as inference_mode
    from .core.recording import is_grad_enabled as is_grad_enabled
    from .core.recording import no_grad as no_grad
    from .core.recording import set_grad_enabled as set_grad_enabled
    from .func import vmap as vmap
    from .kernels.threads import get_num_threads as get_num_threads
    from .kernels.threads import set_num_threads as set_num_threads
    from .nn.functional import adaptive_avg_pool1d as adaptive_avg_pool1d
    from .nn.functional import avg_pool1d as avg_pool1d
    from .nn.functional import celu as celu
    from .nn.functional import celu_ as celu_
    from .nn.functional import channel_shuffle as channel_shuffle
    from .nn.functional import conv1d as conv1d
    from .nn.functional import conv2d as conv2d
    from .nn.functional import conv3d as conv3d
    from .nn.functional import conv_transpose1d as conv_transpose1d
    from .nn.functional import conv_transpose2d as conv_transpose2d
    from .nn.functional import cosine_similarity as cosine_similarity
    from .nn.functional import dropout as dropout
    from .nn.functional import hardshrink as hardshrink
    from .nn.functional import max_pool1d as max_pool1d
    from .nn.functional import max_pool2d as max_pool2d
    from .nn.functional import max_pool3d as max_pool3d
    from .nn.functional import pairwise_distance as pairwise_distance
    from .nn.functional import pixel_shuffle as pixel_shuffle
    from .nn.functional import pixel_unshuffle as pixel_unshuffle
    from .nn.functional import prelu as prelu
    from .nn.functional import relu_ as relu_
    from .nn.functional import rrelu as rrelu
    from .nn.functional import rrelu_ as rrelu_
    from .nn.functional import selu as selu
    from .nn.functional import selu_ as selu_
    from .nn.functional import threshold as threshold
    from .nn.functional import threshold_ as threshold_
    from .planning import planned as planned

_ROOMS = (
    "autograd checkpoint data distributions errors func kernels linalg metrics nn ops "
    "optim training utils"
)
_MODULES = {name: name for name in _ROOMS.split()}
_MODULES |= {name: home for name, home in importing.HOMES.items() if "." not in name}
_HOMES = {
    "absent.amp": "autocast GradScaler",
    "absent.compiler": "compile _assert",
    "checkpoint": "load save",
    "core.creation": (
        "BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor "
        "IntTensor LongTensor ShortTensor arange as_tensor empty empty_like eye "
        "from_numpy full full_like linspace logspace normal ones ones_like rand "
        "rand_like randint randint_like randn randn_like randperm scalar_tensor "
        "tensor tril_indices triu_indices zeros zeros_like"
    ),
    "core.dtypes": (
        "Size bfloat16 bool can_cast channels_last contiguous_format device "
        "double finfo float float16 float32 float64 get_default_dtype half iinfo inf "
        "int int16 int32 int64 int8 long nan pi preserve_format "
        "promote_types result_type set_default_dtype set_printoptions short uint8"
    ),
    "core.engine": "Tensor",
    "core.functions": (
        "abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr all "
        "allclose amax amin aminmax any arccos arccosh arcsin arcsinh arctan arctan2 "
        "arctanh argmax argmin argsort argwhere asin asinh atan atan2 atanh "
        "atleast_1d atleast_2d atleast_3d baddbmm bernoulli bincount bitwise_and "
        "bitwise_not bitwise_or bitwise_xor block_diag bmm broadcast_shapes "
        "broadcast_tensors broadcast_to bucketize cartesian_prod cat ceil chunk "
        "clamp clamp_max clamp_min clip clone column_stack combinations concat "
        "copysign cos cosh count_nonzero cummax cummin cumprod cumsum deg2rad diag "
        "diag_embed diagflat diagonal diff dist div divide dot dsplit dstack einsum eq "
        "equal erf erfc exp exp2 expm1 fix flatten flip fliplr flipud float_power "
        "floor floor_divide fmax fmin fmod frac gather ge ger greater greater_equal "
        "gt heaviside histc hsplit hstack hypot index_add index_copy index_fill "
        "index_put index_select inner is_complex is_floating_point is_tensor isclose "
        "isfinite isin isinf isnan isneginf isposinf kron kthvalue le lerp less "
        "less_equal log log10 log1p log2 log_softmax logaddexp logcumsumexp "
        "logical_and logical_not logical_or logical_xor logit logsumexp lt "
        "masked_fill masked_scatter masked_select matmul matrix_power max maximum "
        "mean median meshgrid min minimum mm moveaxis movedim msort mul multinomial "
        "multiply mv nan_to_num nanmean nansum narrow ne neg negative nonzero norm "
        "not_equal numel outer permute positive pow prod quantile rad2deg ravel "
        "reciprocal relu remainder repeat_interleave reshape roll rot90 round "
        "row_stack rsqrt scatter scatter_add scatter_reduce searchsorted select sgn "
        "sigmoid sign signbit sin sinh softmax sort split sqrt square squeeze stack "
        "std std_mean sub subtract sum swapaxes swapdims t take take_along_dim tan "
        "tanh tensor_split tensordot tile topk trace transpose tril triu true_divide "
        "trunc unbind unflatten unique unique_consecutive unsqueeze var var_mean "
        "vdot vsplit vstack where xlogy"
    ),
    "core.generator": "Generator initial_seed manual_seed",
    "core.recording": "enable_grad inference_mode is_grad_enabled no_grad set_grad_enabled",
    "func": "vmap",
    "importing": "in_place_of_torch real_torch",
    "kernels.threads": "get_num_threads set_num_threads",
    "nn.functional": (
        "adaptive_avg_pool1d avg_pool1d celu celu_ channel_shuffle conv1d "
        "conv2d conv3d conv_transpose1d conv_transpose2d cosine_similarity "
        "dropout hardshrink max_pool1d max_pool2d max_pool3d pairwise_distance "
        "pixel_shuffle pixel_unshuffle prelu relu_ rrelu rrelu_ selu selu_ "
        "threshold threshold_"
    ),
    "planning": "planned",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME_OF, *_MODULES])

if not TYPE_CHECKING:  # to a type checker, a misspelled name is an error

    def __getattr__(name):
        if name not in _HOME_OF and name not in _MODULES:
            raise missing_name(__name__, name, __all__, sys._getframe(1))
        home = _HOME_OF.get(name) or _MODULES[name]
        value = importlib.import_module(f".{home}", __name__)
        if name in _HOME_OF:
            value = getattr(value, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
