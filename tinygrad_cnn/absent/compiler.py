"""`torch.compile` and `torch.compiler`: what is decorated runs as it is."""

from typing import Any

from ..errors import ArgumentError
from . import answering, as_decorator

compile = disable = allow_in_graph = as_decorator
is_compiling = is_dynamo_compiling = answering(False)
reset = answering(None)


def _assert(condition: Any, message: str) -> None:
    """What `assert` does, in code that PyTorch traces; raises ArgumentError."""
    if not condition:
        raise ArgumentError(message)
