"""Memory of a plan: a result has a place, which another takes over after its last use."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Buffers:
    """Places for the results of a list of steps."""

    def __init__(self) -> None:
        self.free: list[Array] = []
        self.nbytes = 0

    def like(self, array: Array) -> tuple[Array, Array]:
        """An array of this shape, dtype and order of axes, and the memory it lies in."""
        need = array.nbytes
        fitting = [m for m in self.free if need <= m.size <= 2 * need + 4096]
        if fitting:
            memory = min(fitting, key=lambda m: m.size)
            self.free = [m for m in self.free if m is not memory]
        else:
            memory = np.empty(need, np.uint8)
            self.nbytes += need
        return place_like(array, memory), memory

    def release(self, memory: Array) -> None:
        """Let another result have this memory."""
        self.free.append(memory)


def place_like(array: Array, memory: Array) -> Array:
    """An array of this shape, dtype and order of axes, at the beginning of the memory."""
    axes = sorted(range(array.ndim), key=lambda a: (-array.strides[a], a))
    shape = [array.shape[a] for a in axes]
    flat = memory[: math.prod(shape) * array.itemsize].view(array.dtype)
    return flat.reshape(shape).transpose(np.argsort(axes))
