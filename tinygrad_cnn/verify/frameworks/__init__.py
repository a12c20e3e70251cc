"""Gradients of PyTorch and JAX, checked where they are: neither is imported unless used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .base import FrameworkSubject

Builder = Callable[[Any, Any, Any, Any], Callable[[Any], FrameworkSubject]]


def builder_for(target: Any, inputs: Any, loss: Any, labels: Any) -> Builder | None:
    """What makes subjects of this target; None if it is none of PyTorch or JAX.

    Told by the target, then by what it is given, then by the libraries it uses.
    """
    for found in (_origins(target), _origins((inputs, labels))):
        for name in found:
            if name == "torch":
                from . import of_torch

                return of_torch.builder
            if name in ("jax", "jaxlib"):
                from . import of_jax

                return of_jax.builder
    return None


def _origins(value: Any) -> Iterator[str]:
    """The packages that define the classes of what is nested in a value."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _origins(part)
        return
    value = getattr(value, "func", value)  # of a partial
    value = getattr(value, "__self__", value)  # of a method
    for kind in (value if isinstance(value, type) else type(value)).__mro__:
        yield kind.__module__.partition(".")[0]
