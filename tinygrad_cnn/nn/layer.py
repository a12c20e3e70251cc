"""Layers without parameters: what they are called with is all they hold."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .module import Module


@dataclass(eq=False, repr=False)
class Layer(Module):
    """A Module whose fields are the arguments of its constructor and make up its repr.

    A field with repr=False is left out; `inplace` then appears where it is True.
    """

    def __post_init__(self) -> None:
        Module.__init__(self)

    def extra_repr(self) -> str:
        shown = [f.name for f in fields(self) if f.repr]
        if "inplace" not in shown and getattr(self, "inplace", False):
            shown.append("inplace")
        return ", ".join(f"{name}={getattr(self, name)}" for name in shown)
