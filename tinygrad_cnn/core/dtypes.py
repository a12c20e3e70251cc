"""Dtypes by PyTorch's names, and the one device there is."""

from __future__ import annotations

import builtins
import math

import numpy as np

from .methods.memory import device as device

float16 = half = np.dtype(np.float16)
float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = int = np.dtype(np.int32)
int64 = long = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
bool = np.dtype(np.bool_)
Size: type = tuple
inf, nan, pi = math.inf, math.nan, math.pi


def get_default_dtype() -> np.dtype[np.float32]:
    """float32, always."""
    return np.dtype(np.float32)


class cuda:
    """As `torch.cuda` on a machine without one."""

    @staticmethod
    def is_available() -> builtins.bool:
        """False."""
        return False

    @staticmethod
    def device_count() -> builtins.int:
        """0."""
        return 0

    @staticmethod
    def manual_seed_all(seed: object) -> None:
        """Nothing: there is no other device to seed."""
