"""What PyTorch's `autograd.graph` says of records and of what they save.

What is saved are arrays in the computer's own memory, which no hook can pack otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from ..core.engine import Record as Node
from ..errors import UnavailableError
from ..missing import teach

__all__ = [
    "Node",
    "disable_saved_tensors_hooks",
    "save_on_cpu",
    "saved_tensors_hooks",
]


@contextmanager
def save_on_cpu(pin_memory: bool = False, device_type: str = "cuda") -> Iterator[None]:
    """Changes nothing: what is saved lies there."""
    yield


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Changes nothing: there are no such hooks."""
    yield


def saved_tensors_hooks(
    pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]
) -> NoReturn:
    """Refused: what is saved is not packed."""
    raise UnavailableError(
        "saved_tensors_hooks is not available: records keep arrays as they are; what is "
        "kept is listed by graph.memory(model, x)"
    )


teach(__name__)
