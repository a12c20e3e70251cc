"""Mixed precision: with a GPU's it is off, as in PyTorch where there is no GPU."""

from __future__ import annotations

import warnings
from contextlib import ContextDecorator
from typing import Any

from ..core.engine import Tensor
from . import as_decorator, refuse

custom_fwd = custom_bwd = as_decorator


class autocast(ContextDecorator):  # PyTorch's name
    """Computes as without it; refused on the CPU, where it would round to bfloat16."""

    def __init__(
        self,
        device_type: str = "cuda",
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if enabled and device_type == "cpu":
            refuse("autocast on the CPU", "values are not rounded to bfloat16 here")
        if enabled:
            warnings.warn(
                f"autocast on {device_type!r} is off: there is no such device"
            )

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        pass


class GradScaler:
    """Scales by 1, and takes the optimizer's step as it is."""

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self.device = device

    def scale(self, outputs: Any) -> Any:
        """The outputs themselves."""
        return outputs

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step."""
        return optimizer.step(*args, **kwargs)

    def unscale_(self, optimizer: Any) -> None:
        """Nothing: gradients are not scaled."""

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Nothing: the scale stays 1."""

    def get_scale(self) -> float:
        """1.0."""
        return 1.0

    def is_enabled(self) -> bool:
        """False, as where there is no GPU."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Empty, as of one that is not enabled."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: there is no state."""
