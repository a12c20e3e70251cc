"""Convolutions and their adjoints: of sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..core.engine import Tensor
from ..errors import ArgumentError
from ..kernels.geometry import several
from . import functional as F
from .functional.convolution import resolve_padding
from .layer import Ints
from .linear import _Linear

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(_Linear):
    padding: Any
    output_padding: tuple[int, ...] = (0,)

    _axes: ClassVar[int]
    _function: ClassVar[Callable[..., Tensor]]

    def __init_subclass__(
        cls, axes: int = 0, function: Callable[..., Tensor] | None = None
    ) -> None:
        if function is not None:  # else a class of the user's
            cls._axes, cls._function = axes, staticmethod(function)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = self._several(kernel_size, "kernel_size")
        self.stride = self._several(stride, "stride")
        self.dilation = self._several(dilation, "dilation")
        named = isinstance(padding, str)
        self.padding = padding if named else self._several(padding, "padding")
        self.groups, self.padding_mode = groups, padding_mode
        self._check_arguments()
        first, second = self._channels_of_weight()
        shape = (first, second // groups, *self.kernel_size)
        self._make_parameters(shape, out_channels, bias, dtype, device)

    def _several(self, value: Any, name: str) -> tuple[int, ...]:
        return several(value, self._axes, name)

    def _channels_of_weight(self) -> tuple[int, int]:
        return self.out_channels, self.in_channels

    def _check_arguments(self) -> None:
        if self.groups <= 0:
            raise ArgumentError("groups must be a positive integer")
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ArgumentError(f"{name} must be divisible by groups")
        self._padding_widths()
        if self.padding_mode not in _PADDING_MODES:
            raise ArgumentError(
                f"padding_mode must be one of {_PADDING_MODES}, but got "
                f"padding_mode='{self.padding_mode}'"
            )

    def _padding_widths(self) -> tuple[int, ...]:
        """How much padding: left, right, top, bottom, …"""
        if isinstance(self.padding, str):
            return resolve_padding(
                self.padding, self.kernel_size, self.stride, self.dilation
            )
        return tuple([p for p in self.padding[::-1] for _ in ("before", "after")])

    def extra_repr(self) -> str:
        usual = {
            "padding": (0,) * self._axes,
            "dilation": (1,) * self._axes,
            "output_padding": (0,) * len(self.output_padding),
            "groups": 1,
            "bias": True,
            "padding_mode": "zeros",
        }
        given = {name: getattr(self, name) for name in usual}
        given["bias"] = self.bias is not None
        unusual = [f", {k}={v}" for k, v in given.items() if v != usual[k]]
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}{''.join(unusual)}"
        )


class _Forward(_Convolution):
    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._padding_widths(), self.padding_mode)
            padding = 0
        weight, bias = self._parameter("weight"), self._parameter("bias")
        rest = self.stride, padding, self.dilation, self.groups
        return self._function(input, weight, bias, *rest)


class Conv1d(_Forward, axes=1, function=F.conv1d):
    """Conv2d of sequences (N, C, L); weight (out_channels, in_channels / groups, k)."""


class Conv2d(_Forward, axes=2, function=F.conv2d):
    """Cross-correlation with out_channels kernels. See `ops.convolution.Conv2d`.

    weight (out_channels, in_channels / groups, k_y, k_x) and bias (out_channels) start
    uniform in ±1/√fan_in, fan_in = in_channels / groups · k_y k_x. padding: an int, a pair,
    "valid" (none) or "same" (stride 1 only), filled as padding_mode says: zeros, reflect,
    replicate or circular. Output: ⌊(H + 2 p − d (k_y − 1) − 1) / s⌋ + 1 rows.
    """


class Conv3d(_Forward, axes=3, function=F.conv3d):
    """Conv2d of volumes (N, C, D, H, W); kernels (k_z, k_y, k_x). See `F.conv3d`."""


class _Transposed(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ArgumentError(
                f'Only "zeros" padding mode is supported for {type(self).__name__}'
            )
        around = self._several(padding, "padding")
        window = in_channels, out_channels, kernel_size, stride, around, dilation
        super().__init__(*window, groups, bias, padding_mode, device, dtype)
        self.output_padding = self._several(output_padding, "output_padding")

    def _channels_of_weight(self) -> tuple[int, int]:
        return self.in_channels, self.out_channels

    def forward(
        self, input: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            extra = self._padding_for(input.shape[-self._axes :], output_size)
        options = self.stride, self.padding, extra, self.groups, self.dilation
        return self._function(input, self.weight, self.bias, *options)

    def _padding_for(
        self, size: tuple[int, ...], output_size: Sequence[int]
    ) -> tuple[int, ...]:
        """The output_padding that makes `output_size` of inputs of `size`."""
        wanted = tuple(output_size[-self._axes :])
        window = self.stride, self.padding, self.dilation, self.kernel_size
        axes = list(zip(size, *window, strict=True))
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in axes]
        extra = tuple([n - start for n, start in zip(wanted, least, strict=True)])
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
            raise ArgumentError(
                f"requested an output size of {wanted}, but valid sizes range from "
                f"{least} to {most} (for an input of {tuple(size)})"
            )
        return extra


class ConvTranspose1d(_Transposed, axes=1, function=F.conv_transpose1d):
    """ConvTranspose2d of sequences (N, C, L); kernels (k)."""


class ConvTranspose2d(_Transposed, axes=2, function=F.conv_transpose2d):
    """The adjoint of a convolution, from in_channels back to out_channels.

    weight (in_channels, out_channels / groups, k_y, k_x) and bias (out_channels) start as
    those of Conv2d, fan_in being out_channels / groups · k_y k_x.
    Output: (h − 1) s − 2 p + d (k_y − 1) + output_padding + 1 rows; the forward's
    output_size chooses output_padding instead. See `ops.convolution.ConvTranspose2d`.
    """
