"""How single values of arrays are written."""

from __future__ import annotations

from typing import Any

import numpy as np


def named(name: str, index: tuple[int, ...]) -> str:
    """An entry: x[0, 3], or x where there is but one."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def number(value: Any) -> str:
    """A value in six digits."""
    return f"{float(value):.6g}"


def position(k: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index of the k-th value in row-major order."""
    return tuple(int(i) for i in np.unravel_index(k, shape))
