"""PyTorch's names for what is not here: GPUs, compilers, other machines and processes.

A file that mentions them runs all the same: what changes no number does nothing, what asks
("is there a GPU?") is told no, and what cannot be done is refused in a sentence.
`importing.HOMES` says which module of PyTorch's each of these is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ..errors import UnavailableError

ON_CPU = (
    "this package computes with NumPy on the CPU; PyTorch runs the same file on a GPU"
)


def refuse(name: str, why: str = ON_CPU) -> NoReturn:
    """Raise UnavailableError: there is no `name` here, and why."""
    raise UnavailableError(f"{name} is not available: {why}")


def refusing(name: str, why: str = ON_CPU) -> Callable[..., Any]:
    """A function, or a class to its caller, that cannot be called."""

    def refused(*args: Any, **kwargs: Any) -> NoReturn:
        refuse(name, why)

    return refused


def answering(value: Any) -> Callable[..., Any]:
    """A function that gives `value` whatever it is called with."""
    return lambda *args, **kwargs: value


def as_decorator(function: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The function itself, for `@name` and `@name(…)` alike."""
    return function if callable(function) else as_decorator
