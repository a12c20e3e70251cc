"""Data sets, transforms and the DataLoader; see `load` for the names that it knows."""

from pathlib import Path

from ..errors import ArgumentError
from . import transforms
from .collate import default_collate
from .datasets import (
    CIFAR10,
    MNIST,
    ConcatDataset,
    Dataset,
    Digits,
    FashionMNIST,
    ImageDataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from .loader import DataLoader

__all__ = [
    "CIFAR10",
    "MNIST",
    "NAMES",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageDataset",
    "IterableDataset",
    "Subset",
    "TensorDataset",
    "default_collate",
    "load",
    "random_split",
    "transforms",
]

_FROM_FILES = {"mnist": MNIST, "fashion-mnist": FashionMNIST, "cifar10": CIFAR10}

NAMES = ("digits", *_FROM_FILES)
"""The names that `load` knows."""


def load(
    name: str, train: bool = True, root: str | Path | None = None, download: bool = True
) -> ImageDataset:
    """The data set of that name, one of `NAMES`, without transforms.

    "digits" needs no files, so root and download do not matter to it.
    Raises ArgumentError for another name, DatasetError if the files cannot be had.
    """
    if name == "digits":
        return Digits(train)
    if name not in _FROM_FILES:
        raise ArgumentError(
            f"no data set is called {name!r}; known: {', '.join(NAMES)}"
        )
    return _FROM_FILES[name](root, train, download=download)
