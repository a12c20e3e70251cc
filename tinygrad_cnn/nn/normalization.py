"""Batch normalisation and dropout: layers that training and evaluation see differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..creation import empty, ones, tensor, zeros
from ..engine import Tensor
from ..errors import ArgumentError, ShapeError
from ..recording import change
from . import functional as F
from . import init
from .layer import Layer
from .module import Module
from .parameter import Parameter


class _BatchNorm(Module):
    axes: ClassVar[tuple[int, ...]]
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

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
        made: dict[str, Any] = {"dtype": dtype, "device": device}
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            value = Parameter(empty(num_features, **made)) if wanted else None
            self.register_parameter(name, value)
        kept = track_running_stats
        self.register_buffer(
            "running_mean", zeros(num_features, **made) if kept else None
        )
        self.register_buffer(
            "running_var", ones(num_features, **made) if kept else None
        )
        self.register_buffer("num_batches_tracked", tensor(0) if kept else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches seen: mean 0, variance 1."""
        for name, start in (("running_mean", 0), ("running_var", 1)):
            if (buffer := self._buffers[name]) is not None:
                buffer.fill_(start)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Start again: weight 1, bias 0, and no batches seen."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.axes:
            expected = " or ".join(f"{n}D" for n in self.axes)
            raise ShapeError(f"expected {expected} input (got {input.ndim}D input)")
        update = 0.0 if self.momentum is None else self.momentum
        tracked = self.training and self.track_running_stats
        if tracked and self.num_batches_tracked is not None:
            change(_count_one, (self.num_batches_tracked,))
            if self.momentum is None:
                update = 1 / self.num_batches_tracked.item()
        unknown = self.running_mean is None and self.running_var is None
        running = (
            (self.running_mean, self.running_var)
            if tracked or not self.training
            else (None, None)
        )
        return F.batch_norm(
            *(input, *running, self.weight, self.bias),
            *(self.training or unknown, update, self.eps),
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        # Files of before PyTorch 0.4.1 have no count.
        if self.num_batches_tracked is not None:
            state_dict.setdefault(
                f"{prefix}num_batches_tracked", self.num_batches_tracked
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

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


@dataclass(eq=False, repr=False)
class _Dropout(Layer):
    p: float = 0.5
    inplace: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.p <= 1:
            raise ArgumentError(
                f"dropout probability has to be between 0 and 1, but got {self.p}"
            )


class Dropout(_Dropout):
    """In training each value is 0 with probability p, else divided by 1 − p.

    The identity in evaluation. See `ops.normalization.Dropout`.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Dropout of whole channels of (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)
