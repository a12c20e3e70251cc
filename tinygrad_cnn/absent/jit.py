"""`torch.jit`: functions and modules stay Python."""

from __future__ import annotations

from typing import Any, Final

from ..nn import Module as ScriptModule
from . import answering, as_decorator, refusing

__all__ = [
    "Final",
    "ScriptModule",
    "annotate",
    "ignore",
    "is_scripting",
    "script",
    "trace",
    "unused",
]

script = ignore = unused = export = script_method = interface = as_decorator
script_if_tracing = _overload = _overload_method = as_decorator
is_scripting = is_tracing = answering(False)
optimized_execution = as_decorator
load = save = refusing("TorchScript", "models are Python here; save their state_dict()")


def trace(func: Any, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The function or module itself."""
    return func


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value."""
    return the_value


def freeze(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """The module itself."""
    return mod
