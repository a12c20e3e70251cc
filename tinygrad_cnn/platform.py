"""Dtypes by PyTorch's names, and the one device there is."""

from __future__ import annotations

import builtins

import numpy as np

from .methods.memory import check_device

float16 = half = np.dtype(np.float16)
float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = int = np.dtype(np.int32)
int64 = long = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
bool = np.dtype(np.bool_)
Size = tuple[builtins.int, ...]


def get_default_dtype() -> np.dtype[np.float32]:
    """float32, always."""
    return np.dtype(np.float32)


class device:
    """device("cpu"); any other raises DTypeError. `type` is "cpu", `index` None."""

    type = "cpu"
    index = None

    def __init__(self, name: str = "cpu", index: object = None) -> None:
        check_device(name)

    def __str__(self) -> str:
        return "cpu"

    def __repr__(self) -> str:
        return "device(type='cpu')"

    def __eq__(self, other: object) -> builtins.bool:
        return str(other) == "cpu"

    def __hash__(self) -> builtins.int:
        return hash("cpu")


class cuda:
    """As `torch.cuda` on a machine without one."""

    @staticmethod
    def is_available() -> builtins.bool:
        """False."""
        return False

    @staticmethod
    def manual_seed_all(seed: object) -> None:
        """Nothing: there is no other device to seed."""
