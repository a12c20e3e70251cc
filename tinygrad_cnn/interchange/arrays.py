"""What the formats have in common: dtypes, and the memory that tensors take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..errors import CheckpointError

Array = np.ndarray[Any, Any]

ROOM = 2**26
"""Bytes that tensors may take in any case; else eight times the bytes of the file."""


class FormatError(ValueError):
    """What a file holds that it should not."""


def widened(content: bytes) -> Array:
    """bfloat16 numbers as float32, which has all of them."""
    halves = np.frombuffer(content, "<u2").astype(np.uint32)
    return (halves << 16).view(np.float32)


def array_of(tensor: Any) -> Array:
    """The array of a Tensor or an array, row-major; CheckpointError for what is neither."""
    array = tensor._array if isinstance(tensor, Tensor) else tensor
    if not isinstance(array, np.ndarray):
        raise CheckpointError(f"a {type(tensor).__name__} is no Tensor and no array")
    return np.ascontiguousarray(array).reshape(array.shape)


def bytes_of(array: Array) -> bytes:
    """The numbers one after the other, the lowest byte first."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


class Budget:
    """How many bytes all tensors of a file may take, so that a small file stays small."""

    def __init__(self, size: int) -> None:
        self.left = max(8 * size, ROOM)

    def take(self, shape: tuple[int, ...], itemsize: int) -> None:
        """Account for a tensor; FormatError if there is no room for it."""
        self.left -= math.prod(shape) * itemsize
        if self.left < 0:
            raise FormatError(
                f"its tensors (one of shape {list(shape)}) take more memory than eight "
                "times the file"
            )
