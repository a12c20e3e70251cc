"""Writes the public names of the PyTorch that is installed, as the package keeps them.

python tests/parity/pytorch_names.py > tinygrad_cnn/pytorch_names.txt
"""

import importlib
import types
import warnings

PLACES = [
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.utils",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.utils.data",
    "torch.autograd",
    "torch.linalg",
    "torch.func",
    "torch",
    "torch.Tensor",
    "torch.nn.Module",
]


def names_at(place):
    try:
        holder = importlib.import_module(place)
    except ModuleNotFoundError:
        module, _, name = place.rpartition(".")
        holder = getattr(importlib.import_module(module), name)
    listed = getattr(holder, "__all__", None) or dir(holder)
    return sorted(name for name in listed if is_public(holder, name))


def is_public(holder, name):
    if name.startswith("_"):
        return False
    value = getattr(holder, name)
    own = getattr(value, "__module__", None) or getattr(value, "__name__", "torch")
    return not isinstance(value, types.ModuleType) or own.startswith("torch")


def text():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines = [
            f"{place.removeprefix('torch').removeprefix('.')}: {' '.join(names_at(place))}"
            for place in PLACES
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(text(), end="")
