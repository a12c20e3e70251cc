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

__version__ = "0.2.0"

if TYPE_CHECKING:  # what `__getattr__` below loads, for type checkers and editors
    from . import autograd as autograd
    from . import checkpoint as checkpoint
    from . import data as data
    from . import distributions as distributions
    from . import errors as errors
    from . import func as func
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
    from .core.recording import inference_mode as inference_mode
    from .core.recording import is_grad_enabled as is_grad_enabled
    from .core.recording import no_grad as no_grad
    from .core.recording import set_grad_enabled as set_grad_enabled
    from .func import vmap as vmap
    from .kernels.threads import get_num_threads as get_num_threads
    from .kernels.threads import set_num_threads as set_num_threads
    from .nn.functional import celu as celu
    from .nn.functional import celu_ as celu_
    from .nn.functional import conv2d as conv2d
    from .nn.functional import cosine_similarity as cosine_similarity
    from .nn.functional import dropout as dropout
    from .nn.functional import hardshrink as hardshrink
    from .nn.functional import pairwise_distance as pairwise_distance
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
    "autograd checkpoint data distributions errors func kernels metrics nn ops optim "
    "training utils"
)
_MODULES = {name: name for name in _ROOMS.split()}
_MODULES |= {name: home for name, home in importing.HOMES.items() if "." not in name}
_HOMES = {
    "absent.amp": "autocast GradScaler",
    "absent.compiler": "compile",
    "checkpoint": "load save",
    "core.creation": (
        "arange as_tensor empty empty_like eye from_numpy full full_like linspace ones "
        "ones_like rand rand_like randint randn randn_like randperm tensor zeros zeros_like"
    ),
    "core.dtypes": (
        "Size bool cuda device double float float16 float32 float64 "
        "get_default_dtype inf nan pi half int int16 int32 int64 int8 long uint8"
    ),
    "core.engine": "Tensor",
    "core.functions": (
        "abs add all allclose amax amin any argmax argmin atan bmm cat ceil chunk "
        "clamp clip concat div dot eq equal exp flatten flip floor gather is_tensor "
        "isfinite isinf isnan log log_softmax logsumexp matmul max maximum mean min "
        "minimum mm mul neg numel permute pow relu reshape round sigmoid sign softmax "
        "split sqrt square squeeze stack std sub sum tanh topk transpose unbind "
        "unsqueeze var where"
    ),
    "core.generator": "Generator initial_seed manual_seed",
    "core.recording": "enable_grad inference_mode is_grad_enabled no_grad set_grad_enabled",
    "func": "vmap",
    "importing": "in_place_of_torch real_torch",
    "kernels.threads": "get_num_threads set_num_threads",
    "nn.functional": (
        "celu celu_ conv2d cosine_similarity dropout hardshrink pairwise_distance "
        "prelu relu_ rrelu rrelu_ selu selu_ threshold threshold_"
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
