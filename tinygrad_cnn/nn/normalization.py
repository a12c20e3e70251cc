"""Normalisation: of batches (evaluation by running figures), instances, groups, layers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

from ..core.creation import empty, tensor
from ..core.engine import Tensor
from ..core.recording import change
from ..errors import ArgumentError, ShapeError
from . import functional as F
from .layer import FunctionLayer, Layer
from .parameter import Parameter


class _Affine(Layer):
    """A layer whose last step is times `weight`, plus `bias`, where it has them."""

    def _make_parameters(self, shape: Any, options: Any, **wanted: bool) -> None:
        for name, there in wanted.items():
            self.register_parameter(
                name, Parameter(empty(shape, **options)) if there else None
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start again: weight 1, bias 0."""
        self._fill(weight=1, bias=0)

    def _fill(self, **values: int) -> None:
        for name, value in values.items():
            if (member := getattr(self, name, None)) is not None:
                member.detach().fill_(value)


class _BatchNorm(_Affine):
    axes: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        options = {"dtype": dtype, "device": device}
        for name in ("running_mean", "running_var"):
            figures = empty(num_features, **options) if track_running_stats else None
            self.register_buffer(name, figures)
        count = tensor(0) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        wanted = {"weight": affine, "bias": affine and bias}
        self._make_parameters(num_features, options, **wanted)

    def reset_running_stats(self) -> None:
        """Forget the batches seen: mean 0, variance 1."""
        self._fill(running_mean=0, running_var=1, num_batches_tracked=0)

    def reset_parameters(self) -> None:
        """Start again: weight 1, bias 0, and no batches seen."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_axes(self, input: Tensor) -> None:
        if input.ndim not in self.axes:
            expected = " or ".join(f"{n}D" for n in self.axes)
            raise ShapeError(f"expected {expected} input (got {input.ndim}D input)")

    def forward(self, input: Tensor) -> Tensor:
        self._check_axes(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        tracked = self.training and self.track_running_stats
        if tracked and self.num_batches_tracked is not None:
            change(_count_one, (self.num_batches_tracked,))
            if self.momentum is None:
                momentum = 1 / self.num_batches_tracked.item()
        mean, var = self.running_mean, self.running_var
        training = self.training or (mean is None and var is None)
        if self.training and not tracked:
            mean = var = None
        options = self.weight, self.bias, training, momentum, self.eps
        return F.batch_norm(input, mean, var, *options)

    _version = 2

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *args: Any
    ) -> None:
        # Files of before PyTorch 0.4.1, of version 1, have no count.
        count = self.num_batches_tracked
        if count is not None and (local_metadata.get("version") or 1) < 2:
            state_dict.setdefault(f"{prefix}num_batches_tracked", count)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


def _count_one(count: Any) -> None:
    count += 1


class BatchNorm1d(_BatchNorm):
    """Each of num_features channels of (N, C) or (N, C, L) to mean 0 and variance 1.

    Then times weight plus bias (C each; none with affine=False). Training normalises by
    the batch and moves the running figures towards it by `momentum` (None: they become
    the mean over all batches); evaluation normalises by the running figures, or by the
    batch where track_running_stats=False. See `ops.normalization.BatchNorm`.
    """

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """As BatchNorm1d, for images (N, C, H, W)."""

    axes = (4,)


class BatchNorm3d(_BatchNorm):
    """As BatchNorm1d, for volumes (N, C, D, H, W)."""

    axes = (5,)


class _InstanceNorm(_BatchNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        options = momentum, affine, track_running_stats, device, dtype
        super().__init__(num_features, eps, *options, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check_axes(input)
        one = input.ndim == self.axes[0]
        at = 0 if one else 1
        if input.shape[at] != self.num_features:
            message = (
                f"expected input's size at dim={at} to match num_features "
                f"({self.num_features}), but got: {input.shape[at]}."
            )
            if self.affine:
                raise ShapeError(message)
            warnings.warn(
                f"input's size at dim={at} does not match num_features. You can silence "
                "this warning by not passing in num_features, which is not used because "
                "affine=False",
                stacklevel=2,
            )
        y = F.instance_norm(
            input.unsqueeze(0) if one else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,
            self.eps,
        )
        return y.squeeze(0) if one else y


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each image of (N, C, L) or (C, L) to mean 0 and variance 1.

    Then times weight plus bias (C each, only with affine=True). track_running_stats: in
    evaluation by running figures, as BatchNorm1d.
    """

    axes = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """As InstanceNorm1d, for images (N, C, H, W) or (C, H, W)."""

    axes = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """As InstanceNorm1d, for volumes (N, C, D, H, W) or (C, D, H, W)."""

    axes = (4, 5)


class GroupNorm(_Affine):
    """Each of num_groups groups of channels of (N, C, …) to mean 0 and variance 1.

    Each image by itself. Then times weight plus bias (C each; none with affine=False).
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ArgumentError(
                f"num_channels ({num_channels}) must be divisible by num_groups "
                f"({num_groups})"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        options = {"dtype": dtype, "device": device}
        wanted = {"weight": affine, "bias": affine and bias}
        self._make_parameters(num_channels, options, **wanted)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.affine}, bias={self.bias is not None}"
        )


class _OverLastAxes(_Affine):
    normalized_shape: tuple[int, ...]

    def _make(
        self, shape: int | Sequence[int], eps: Any, options: Any, **wanted: bool
    ) -> None:
        self.normalized_shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.eps, self.elementwise_affine = eps, wanted["weight"]
        self._make_parameters(self.normalized_shape, options, **wanted)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}"
        )


class LayerNorm(_OverLastAxes):
    """All values over the last axes, normalized_shape, to mean 0 and variance 1.

    Then times weight plus bias (normalized_shape; none with elementwise_affine=False).
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = {"dtype": dtype, "device": device}
        wanted = {"weight": elementwise_affine, "bias": elementwise_affine and bias}
        self._make(normalized_shape, eps, options, **wanted)

    def forward(self, input: Tensor) -> Tensor:
        given = self.normalized_shape, self.weight, self.bias
        return F.layer_norm(input, *given, self.eps)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bias={self.bias is not None}"


class RMSNorm(_OverLastAxes):
    """All values over the last axes, normalized_shape, to mean square 1; times weight."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = {"dtype": dtype, "device": device}
        self._make(normalized_shape, eps, options, weight=elementwise_affine)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class LocalResponseNorm(FunctionLayer, function=F.local_response_norm):
    """x / (k + alpha · m)^beta, m the mean square of `size` channels of (N, C, …)."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def extra_repr(self) -> str:
        return super().extra_repr().removeprefix("size=")
