"""Padding layers: values around the last axes of an input (N, C, …) or (C, …)."""

from __future__ import annotations

from typing import Any, ClassVar

from ..core.engine import Tensor
from ..kernels.geometry import several
from . import functional as F
from .layer import FunctionLayer


class _Pad(FunctionLayer):
    """Pads the last `axes` axes as `F.pad` does in this `mode`."""

    padding: Any

    axes: ClassVar[int]
    mode: ClassVar[str]

    def __init_subclass__(cls, axes: int = 0, mode: str = "") -> None:
        super().__init_subclass__()
        if axes:
            cls.axes = axes
        if mode:
            cls.mode = mode

    def __post_init__(self) -> None:
        super().__post_init__()
        self.padding = several(self.padding, 2 * self.axes, "padding")

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad, mode="constant"):
    value: float

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad, axes=1):
    """`value` around (…, L): an int, or (left, right)."""


class ConstantPad2d(_ConstantPad, axes=2):
    """`value` around (…, H, W): an int, or (left, right, top, bottom)."""


class ConstantPad3d(_ConstantPad, axes=3):
    """`value` around (…, D, H, W): an int, or (left, right, top, bottom, front, back)."""


class ZeroPad1d(_Pad, axes=1, mode="constant"):
    """Zeros around (…, L): an int, or (left, right)."""


class ZeroPad2d(_Pad, axes=2, mode="constant"):
    """Zeros around (…, H, W): an int, or (left, right, top, bottom)."""


class ZeroPad3d(_Pad, axes=3, mode="constant"):
    """Zeros around (…, D, H, W): an int, or (left, right, top, bottom, front, back)."""


class ReflectionPad1d(_Pad, axes=1, mode="reflect"):
    """Reflected at the border values of (…, L); widths less than its lengths."""


class ReflectionPad2d(_Pad, axes=2, mode="reflect"):
    """Reflected at the border values of (…, H, W); widths less than its lengths."""


class ReflectionPad3d(_Pad, axes=3, mode="reflect"):
    """Reflected at the border values of (…, D, H, W); widths less than its lengths."""


class ReplicationPad1d(_Pad, axes=1, mode="replicate"):
    """The border values of (…, L) repeated outwards."""


class ReplicationPad2d(_Pad, axes=2, mode="replicate"):
    """The border values of (…, H, W) repeated outwards."""


class ReplicationPad3d(_Pad, axes=3, mode="replicate"):
    """The border values of (…, D, H, W) repeated outwards."""


class CircularPad1d(_Pad, axes=1, mode="circular"):
    """(…, L) continued by its other end."""


class CircularPad2d(_Pad, axes=2, mode="circular"):
    """(…, H, W) continued by its other end."""


class CircularPad3d(_Pad, axes=3, mode="circular"):
    """(…, D, H, W) continued by its other end."""
