"""Layers that move values and compute none. Operations: `ops.shape`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..engine import Tensor
from ..errors import DTypeError
from ..methods.base import axis_of
from . import functional as F
from .layer import Layer
from .module import Module


class Identity(Module):
    """Its input. Takes any arguments, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


@dataclass(eq=False, repr=False)
class Flatten(Layer):
    """(N, d1, d2, …) to (N, d1 d2 …): axes start_dim … end_dim joined into one."""

    start_dim: int = 1
    end_dim: int = -1

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)


@dataclass(eq=False, repr=False)
class Unflatten(Layer):
    """The axis `dim` split into axes of `unflattened_size` (one −1 is worked out)."""

    dim: int
    unflattened_size: Sequence[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.unflattened_size
        if not isinstance(size, tuple | list) or not all(
            isinstance(length, int) for length in size
        ):
            raise DTypeError(f"unflattened_size must be a tuple of ints, got {size!r}")

    def forward(self, input: Tensor) -> Tensor:
        axis = axis_of(self.dim, input.ndim)
        before, after = input.shape[:axis], input.shape[axis + 1 :]
        return input.reshape(*before, *self.unflattened_size, *after)


@dataclass(eq=False, repr=False)
class ZeroPad2d(Layer):
    """Zeros around images (…, H, W): an int, or (left, right, top, bottom)."""

    padding: int | tuple[int, int, int, int]

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.padding, int):
            self.padding = (self.padding,) * 4

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        return f"{self.padding}"
