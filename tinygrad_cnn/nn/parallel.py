"""`torch.nn.parallel`: models that run on several devices, of which there is one."""

from __future__ import annotations

from typing import Any

from ..errors import UnavailableError
from .module import Module


class DataParallel(Module):
    """Its module, as PyTorch's on a machine without a GPU.

    The names of parameters begin with "module." there and here.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module, inputs: Any, *args: Any, module_kwargs: Any = None
) -> Any:
    """module(*inputs)."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*inputs, **(module_kwargs or {}))


class DistributedDataParallel(Module):
    """Refused: this package runs in one process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise UnavailableError(
            "DistributedDataParallel is not available: this package runs in one process; "
            "PyTorch distributes the same file"
        )
