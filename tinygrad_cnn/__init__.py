"""tinygrad_cnn: autograd on NumPy to learn, teach and check how a CNN gets its gradients.

PyTorch's names and behaviour; not affiliated with tinygrad. The names below are loaded when
they are first used, so that the command line answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:  # what `__getattr__` below loads, for type checkers and editors
    from . import autograd as autograd
    from . import checkpoint as checkpoint
    from . import data as data
    from . import errors as errors
    from . import kernels as kernels
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
    from .core.recording import is_grad_enabled as is_grad_enabled
    from .core.recording import no_grad as no_grad
    from .core.recording import set_grad_enabled as set_grad_enabled
    from .kernels.threads import get_num_threads as get_num_threads
    from .kernels.threads import set_num_threads as set_num_threads
    from .nn.functional import conv2d as conv2d
    from .nn.functional import dropout as dropout
    from .planning import planned as planned

_ROOMS = "autograd checkpoint data errors kernels metrics nn ops optim training utils"
_MODULES = {"creation": "core.creation", "random": "core.generator"}
_MODULES |= {name: name for name in _ROOMS.split()}
_HOMES = {
    "checkpoint": "load save",
    "core.creation": (
        "BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor "
        "IntTensor LongTensor ShortTensor arange as_tensor empty empty_like eye "
        "from_numpy full full_like linspace logspace normal ones ones_like rand "
        "rand_like randint randint_like randn randn_like randperm scalar_tensor "
        "tensor tril_indices triu_indices zeros zeros_like"
    ),
    "core.dtypes": (
        "Size bfloat16 bool can_cast channels_last contiguous_format cuda device "
        "double finfo float float16 float32 float64 get_default_dtype half iinfo inf "
        "int int16 int32 int64 int8 long nan pi preserve_format "
        "promote_types result_type set_default_dtype set_printoptions short uint8"
    ),
    "core.engine": "Tensor",
    "core.functions": (
        "abs add addbmm addmm addmv addr all allclose amax amin any argmax argmin "
        "argsort argwhere atan atleast_1d atleast_2d atleast_3d baddbmm bernoulli "
        "bincount block_diag bmm broadcast_shapes broadcast_tensors broadcast_to "
        "bucketize cartesian_prod cat ceil chunk clamp clip clone column_stack "
        "combinations concat diag diag_embed diagflat diagonal div dot dsplit dstack "
        "einsum eq equal exp flatten flip fliplr flipud floor gather ger histc hsplit "
        "hstack index_add index_copy index_fill index_put index_select inner "
        "is_complex is_floating_point is_tensor isfinite isin isinf isnan kron "
        "kthvalue log log_softmax logsumexp masked_fill masked_scatter masked_select "
        "matmul matrix_power max maximum mean meshgrid min minimum mm moveaxis "
        "movedim msort mul multinomial mv narrow neg nonzero numel outer permute pow "
        "ravel relu repeat_interleave reshape roll rot90 round row_stack scatter "
        "scatter_add scatter_reduce searchsorted select sigmoid sign softmax sort "
        "split sqrt square squeeze stack std sub sum swapaxes swapdims t take "
        "take_along_dim tanh tensor_split tensordot tile topk trace transpose tril "
        "triu unbind unflatten unique unique_consecutive unsqueeze var vdot vsplit "
        "vstack where"
    ),
    "core.generator": "Generator initial_seed manual_seed",
    "core.recording": "enable_grad is_grad_enabled no_grad set_grad_enabled",
    "kernels.threads": "get_num_threads set_num_threads",
    "nn.functional": "conv2d dropout",
    "planning": "planned",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME_OF, *_MODULES])

if not TYPE_CHECKING:  # to a type checker, a misspelled name is an error

    def __getattr__(name):
        if name not in _HOME_OF and name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = _HOME_OF.get(name) or _MODULES[name]
        value = importlib.import_module(f".{home}", __name__)
        if name in _HOME_OF:
            value = getattr(value, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
