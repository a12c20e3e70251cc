"""Linear layers, with a weight and a bias: dense, convolution and its adjoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core.creation import empty
from ..core.engine import Tensor
from ..errors import ArgumentError
from ..kernels import Pair, Window, pair
from . import functional as F
from . import init
from .layer import Ints, Layer
from .parameter import Parameter

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Linear(Layer):
    """A layer whose parameters are `weight` and `bias`, which may be None."""

    def _make_parameters(
        self, shape: Sequence[int], outputs: int, bias: bool, dtype: Any, device: Any
    ) -> None:
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        biases = Parameter(empty(outputs, dtype=dtype)) if bias else None
        self.register_parameter("bias", biases)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, PyTorch's default: uniform in ±1/√fan_in."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)


class Linear(_Linear):
    """y = x Wᵀ + b: (…, in_features) to (…, out_features). See `ops.linear.Linear`.

    weight (out_features, in_features) and bias (out_features; None with bias=False) start
    uniform in ±1/√in_features.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        shape = (out_features, in_features)
        self._make_parameters(shape, out_features, bias, dtype, device)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class _Convolution(_Linear):
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
        first, second = self._channels_of_weight()
        shape = (first, second // groups, *self.kernel_size)
        self._make_parameters(shape, out_channels, bias, dtype, device)

    def _channels_of_weight(self) -> Pair:
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
        """How much padding: left, right, top, bottom."""
        if isinstance(self.padding, str):
            return F.resolve_padding(
                self.padding, self.kernel_size, self.stride, self.dilation
            )
        y, x = self.padding
        return x, x, y, y

    def extra_repr(self) -> str:
        usual = {
            "padding": (0, 0),
            "dilation": (1, 1),
            "output_padding": (0, 0),
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
            input = F.pad(input, self._padding_widths(), self.padding_mode)
            padding = 0
        weight, bias = self.weight, self.bias
        rest = self.stride, padding, self.dilation, self.groups
        return F.conv2d(input, weight, bias, *rest)


class ConvTranspose2d(_Convolution):
    """The adjoint of a convolution, from in_channels back to out_channels.

    weight (in_channels, out_channels / groups, k_y, k_x) and bias (out_channels) start as
    those of Conv2d, fan_in being out_channels / groups · k_y k_x.
    Output: (h − 1) s − 2 p + d (k_y − 1) + output_padding + 1 rows; the forward's
    output_size chooses output_padding instead. See `ops.convolution.ConvTranspose2d`.
    """

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
        window = in_channels, out_channels, kernel_size, stride, around, dilation
        super().__init__(*window, groups, bias, padding_mode, device, dtype)
        self.output_padding = pair(output_padding, "output_padding")

    def _channels_of_weight(self) -> Pair:
        return self.in_channels, self.out_channels

    def forward(
        self, input: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            extra = self._padding_for((input.shape[-2], input.shape[-1]), output_size)
        options = self.stride, self.padding, extra, self.groups, self.dilation
        return F.conv_transpose2d(input, self.weight, self.bias, *options)

    def _padding_for(self, size: Pair, output_size: Sequence[int]) -> Pair:
        """The output_padding that makes images of `size` give some of `output_size`."""
        window = Window(self.kernel_size, self.stride, self.padding, self.dilation)
        least, wanted = F.get_smallest_output(window, size), output_size[-2:]
        y, x = (n - start for n, start in zip(wanted, least, strict=True))
        if not (0 <= y < self.stride[0] and 0 <= x < self.stride[1]):
            most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
            raise ArgumentError(
                f"requested an output size of {tuple(wanted)}, but valid sizes range from "
                f"{list(least)} to {most} (for an input of {size})"
            )
        return y, x
