"""Batch normalisation: training normalises by the batch, evaluation by running figures."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from ..core.creation import empty, tensor
from ..core.engine import Tensor
from ..core.recording import change
from ..errors import ShapeError
from . import functional as F
from .layer import Layer
from .parameter import Parameter


class _BatchNorm(Layer):
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
        make = partial(empty, num_features, dtype=dtype, device=device)
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, Parameter(make()) if wanted else None)
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, make() if track_running_stats else None)
        count = tensor(0) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches seen: mean 0, variance 1."""
        self._fill(running_mean=0, running_var=1, num_batches_tracked=0)

    def reset_parameters(self) -> None:
        """Start again: weight 1, bias 0, and no batches seen."""
        self.reset_running_stats()
        self._fill(weight=1, bias=0)

    def _fill(self, **values: int) -> None:
        for name, value in values.items():
            if (member := getattr(self, name)) is not None:
                member.detach().fill_(value)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.axes:
            expected = " or ".join(f"{n}D" for n in self.axes)
            raise ShapeError(f"expected {expected} input (got {input.ndim}D input)")
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

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        # Files of before PyTorch 0.4.1 have no count.
        if (count := self.num_batches_tracked) is not None:
            state_dict.setdefault(f"{prefix}num_batches_tracked", count)
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
