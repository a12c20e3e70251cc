"""Dtypes by PyTorch's names, and the one device there is."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .methods.base import Size as Size
from .methods.base import result_type as result_type
from .methods.memory import bfloat16 as bfloat16
from .methods.memory import device as device
from .methods.memory import dtype_of

float16 = half = np.dtype(np.float16)
float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
int8 = np.dtype(np.int8)
int16 = short = np.dtype(np.int16)
int32 = int = np.dtype(np.int32)
int64 = long = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
bool = np.dtype(np.bool_)
finfo, iinfo = np.finfo, np.iinfo
inf, nan, pi = math.inf, math.nan, math.pi


def get_default_dtype() -> np.dtype[np.float32]:
    """float32, always."""
    return np.dtype(np.float32)


def set_default_dtype(d: np.dtype[Any]) -> None:
    """Only float32 is accepted, the default as it is; ArgumentError for others."""
    if dtype_of(d) != np.float32:
        raise ArgumentError(
            f"floats are float32 here unless dtype= says otherwise, not {d}; for float64 "
            "give dtype=float64 to what makes Tensors, and call model.double()"
        )


def set_printoptions(
    precision: Any = None,
    threshold: Any = None,
    edgeitems: Any = None,
    linewidth: Any = None,
    profile: Any = None,
    sci_mode: Any = None,
) -> None:
    """Accepted; Tensors are shown with four digits."""


def promote_types(type1: Any, type2: Any) -> np.dtype[Any]:
    """The dtype of a sum of Tensors of these: the higher kind, bool < integer < float."""
    a, b = dtype_of(type1), dtype_of(type2)
    if kind_of(a) == kind_of(b):
        return np.promote_types(a, b)
    return a if kind_of(a) > kind_of(b) else b


def can_cast(from_: Any, to: Any) -> builtins.bool:
    """Whether the kind of the one dtype is not lower: no float becomes an integer."""
    return kind_of(dtype_of(from_)) <= kind_of(dtype_of(to))


def kind_of(dtype: np.dtype[Any]) -> builtins.int:
    """bool 0, integer 1, float 2."""
    return {"b": 0, "f": 2}.get(dtype.kind, 1)


class _MemoryFormat:
    """How PyTorch lays images in memory; accepted, and left to the library here."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"memory_format({self.name!r})"


channels_last = _MemoryFormat("channels_last")
contiguous_format = _MemoryFormat("contiguous_format")
preserve_format = _MemoryFormat("preserve_format")
