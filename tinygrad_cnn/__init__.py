"""tinygrad_cnn: autograd on NumPy to learn, teach and check how a CNN gets its gradients.

PyTorch's names and behaviour; not affiliated with tinygrad. The names below are loaded when
they are first used, so that the command line answers at once.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

_SUBMODULES = (
    *("autograd", "checkpoint", "creation", "data", "errors", "kernels", "metrics"),
    *("nn", "ops", "optim", "random", "training", "utils"),
)
_HOMES = {
    "checkpoint": "load save",
    "creation": (
        "arange as_tensor empty empty_like eye from_numpy full full_like linspace ones "
        "ones_like rand rand_like randint randn randn_like randperm tensor zeros zeros_like"
    ),
    "engine": "Tensor",
    "functions": (
        "abs add all allclose amax amin any argmax argmin atan bmm cat ceil chunk "
        "clamp clip concat conv2d div dot dropout eq equal exp flatten flip floor "
        "gather is_tensor isfinite isinf isnan log log_softmax logsumexp matmul "
        "max maximum mean min minimum mm mul neg numel permute pow relu reshape "
        "round sigmoid sign softmax split sqrt square squeeze stack std sub sum "
        "tanh topk transpose unbind unsqueeze var where"
    ),
    "kernels.threads": "get_num_threads set_num_threads",
    "planning": "planned",
    "platform": (
        "Size bool cuda device double float float16 float32 float64 "
        "get_default_dtype inf nan pi half int int16 int32 int64 int8 long uint8"
    ),
    "random": "Generator initial_seed manual_seed",
    "recording": "enable_grad is_grad_enabled no_grad set_grad_enabled",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME_OF, *_SUBMODULES])


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
