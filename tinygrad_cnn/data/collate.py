"""Many items become one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..core.methods.shape import stack
from ..errors import DTypeError, ShapeError


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack the items of a batch along a new first axis, as PyTorch does.

    Tensors, arrays and numbers become one Tensor (Python's ints int64, its floats
    float64); tuples and lists are collated place by place into a list, dictionaries key
    by key, named tuples field by field; strings and bytes stay a list.
    Raises DTypeError for other items and ShapeError for items of different sizes.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch)
    if isinstance(first, np.ndarray | np.generic | bool | int | float):
        return Tensor(_stack([np.asarray(item) for item in batch]))
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, tuple | list):
        if any(len(item) != len(first) for item in batch):
            raise ShapeError(
                "each element in list of batch should be of equal size; these have "
                f"{sorted({len(item) for item in batch})} elements"
            )
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise DTypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or "
        f"lists; found {type(first).__name__}: give the DataLoader a collate_fn"
    )


def default_convert(data: Any) -> Any:
    """An item with its arrays as Tensors; what `default_collate` is for single items."""
    if isinstance(data, np.ndarray | np.generic) and data.dtype.kind not in "OUS":
        return Tensor(np.asarray(data))
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple | list):
        parts = [default_convert(value) for value in data]
        return type(data)(*parts) if hasattr(data, "_fields") else parts
    return data


def _stack(arrays: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    if arrays[0].dtype.kind in "OUS":
        raise DTypeError(
            f"default_collate: an array of {arrays[0].dtype} is no numbers"
        )
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise ShapeError(
            f"items of different shapes cannot be one batch: {shapes[:4]}; give all "
            "images one size (Resize, RandomCrop) or the DataLoader a collate_fn"
        )
    return np.stack(arrays)


def gather(dataset: Any, indices: Sequence[int]) -> Any:
    """The items at `indices` as one collated batch.

    A class that defines `get_batch` beside its `__getitem__` builds the batch at once;
    a subclass that overrides only `__getitem__` is asked item by item.
    """
    for cls in type(dataset).__mro__:
        if "get_batch" in vars(cls):
            return dataset.get_batch(indices)
        if "__getitem__" in vars(cls):
            break
    return default_collate(items(dataset, indices))


def items(dataset: Any, indices: Sequence[int]) -> list[Any]:
    """The items at `indices`, by the data set's `__getitems__` where it has one."""
    if hasattr(dataset, "__getitems__"):
        return list(dataset.__getitems__(indices))
    return [dataset[i] for i in indices]
