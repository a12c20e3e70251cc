"""Data sets, transforms and the DataLoader; see `load` for the names that it knows."""

from pathlib import Path

from ..errors import ArgumentError
from ..missing import suggest, teach
from . import transforms
from .collate import default_collate, default_convert
from .datasets import (
    CIFAR10,
    MNIST,
    ChainDataset,
    ColourDigits,
    ConcatDataset,
    Dataset,
    Digits,
    FashionMNIST,
    ImageDataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from .loader import DataLoader, get_worker_info
from .samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "CIFAR10",
    "MNIST",
    "NAMES",
    "BatchSampler",
    "ChainDataset",
    "ColourDigits",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageDataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "load",
    "random_split",
    "transforms",
]

_FROM_FILES = {"mnist": MNIST, "fashion-mnist": FashionMNIST, "cifar10": CIFAR10}

_DRAWN = {"digits": Digits, "colour-digits": ColourDigits}

NAMES = (*_DRAWN, *_FROM_FILES)
"""The names that `load` knows."""


def load(
    name: str, train: bool = True, root: str | Path | None = None, download: bool = True
) -> ImageDataset:
    """The data set of that name, one of `NAMES`, without transforms.

    "digits" and "colour-digits" need no files: root and download do not matter to them.
    Raises ArgumentError for another name, DatasetError if the files cannot be had.
    """
    if name in _DRAWN:
        return _DRAWN[name](train)
    if name not in _FROM_FILES:
        known = f"known: {', '.join(NAMES)}{suggest(name, NAMES)}"
        raise ArgumentError(f"no data set is called {name!r}; {known}")
    return _FROM_FILES[name](root, train, download=download)


teach(__name__)
