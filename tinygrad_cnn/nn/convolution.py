"""Convolution and its adjoint, on images (N, C, H, W) or (C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..creation import empty
from ..engine import Tensor
from ..errors import ArgumentError
from ..kernels.geometry import Pair, Window, pair
from . import functional as F
from .linear import draw_weights, make_weights
from .module import Module

Ints = int | Sequence[int]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    transposed = False
    padding: Any
    output_padding: Pair = (0, 0)

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
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride, self.dilation = pair(stride, "stride"), pair(dilation, "dilation")
        self.padding = padding if isinstance(padding, str) else pair(padding, "padding")
        self.groups, self.padding_mode = groups, padding_mode
        self._check_arguments()
        many, few = (out_channels, in_channels)[:: -1 if self.transposed else 1]
        shape = (many, few // groups, *self.kernel_size)
        weight = empty(shape, dtype=dtype, device=device)
        make_weights(self, weight, out_channels if bias else None)

    def _check_arguments(self) -> None:
        if self.groups <= 0:
            raise ArgumentError("groups must be a positive integer")
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ArgumentError(f"{name} must be divisible by groups")
        if isinstance(self.padding, str) and self.padding not in ("same", "valid"):
            raise ArgumentError(
                f"Invalid padding string {self.padding!r}, should be one of 'same', 'valid'"
            )
        if self.padding == "same" and self.stride != (1, 1):
            raise ArgumentError(
                "padding='same' is not supported for strided convolutions"
            )
        if self.padding_mode not in _PADDING_MODES:
            raise ArgumentError(
                f"padding_mode must be one of {_PADDING_MODES}, but got "
                f"padding_mode='{self.padding_mode}'"
            )

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        draw_weights(self)

    def extra_repr(self) -> str:
        usual = {
            **{"padding": (0, 0), "dilation": (1, 1), "output_padding": (0, 0)},
            **{"groups": 1, "bias": True, "padding_mode": "zeros"},
        }
        given = {**vars(self), "output_padding": self.output_padding}
        given["bias"] = self.bias is not None
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        ) + "".join(f", {k}={given[k]}" for k, v in usual.items() if given[k] != v)


class Conv2d(_Convolution):
    """Cross-correlation with out_channels kernels. See `ops.convolution.Conv2d`.

    weight (out_channels, in_channels / groups, k_y, k_x) and bias (out_channels) start
    uniform in ±1/√fan_in, fan_in = in_channels / groups · k_y k_x. padding: an int, a pair,
    "valid" (none) or "same" (stride 1 only), filled as padding_mode says: zeros, reflect,
    replicate or circular. Output: ⌊(H + 2 p − d (k_y − 1) − 1) / s⌋ + 1 rows.
    """

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._around(), self.padding_mode), 0
        return F.conv2d(
            *(input, self.weight, self.bias, self.stride),
            padding=padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def _around(self) -> list[int]:
        """How much padding: left, right, top, bottom."""
        if isinstance(self.padding, tuple):
            return [p for p in reversed(self.padding) for _ in (0, 1)]
        taps = zip(self.dilation, self.kernel_size, strict=True)
        totals = [d * (k - 1) if self.padding == "same" else 0 for d, k in taps]
        return [half for t in reversed(totals) for half in (t // 2, t - t // 2)]


class ConvTranspose2d(_Convolution):
    """The adjoint of a convolution, from in_channels back to out_channels.

    weight (in_channels, out_channels / groups, k_y, k_x) and bias (out_channels) start as
    those of Conv2d, fan_in being out_channels / groups · k_y k_x.
    Output: (h − 1) s − 2 p + d (k_y − 1) + output_padding + 1 rows; the forward's
    output_size chooses output_padding instead. See `ops.convolution.ConvTranspose2d`.
    """

    transposed = True

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
                'Only "zeros" padding mode is supported for ConvTranspose2d'
            )
        around = pair(padding, "padding")
        super().__init__(
            *(in_channels, out_channels, kernel_size, stride, around, dilation),
            *(groups, bias, padding_mode, device, dtype),
        )
        self.output_padding = pair(output_padding, "output_padding")

    def forward(
        self, input: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            extra = self._extra(input.shape[-2:], output_size[-2:])
        return F.conv_transpose2d(
            *(input, self.weight, self.bias, self.stride, self.padding, extra),
            *(self.groups, self.dilation),
        )

    def _extra(self, size: Sequence[int], wanted: Sequence[int]) -> Pair:
        """The output_padding that makes an input of `size` give an output of `wanted`."""
        window = Window(self.kernel_size, self.stride, self.padding, self.dilation)
        axes = zip(size, self.stride, self.padding, window.extent, strict=True)
        least = [(n - 1) * s - 2 * p + e for n, s, p, e in axes]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
        y, x = (n - start for n, start in zip(wanted, least, strict=True))
        if not (0 <= y < self.stride[0] and 0 <= x < self.stride[1]):
            raise ArgumentError(
                f"requested an output size of {tuple(wanted)}, but valid sizes range from "
                f"{least} to {most} (for an input of {tuple(size)})"
            )
        return y, x
