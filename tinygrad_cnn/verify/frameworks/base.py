"""What a function of another framework is to a check: a subject with parts of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ..handwritten.foreign import parameters_of
from ..subject import Subject
from ..targets import named_inputs


class FrameworkSubject(Subject):
    """A function of another framework, on float64 copies that NumPy sees as arrays.

    Its branches cannot be seen: a kink is known by a slope that jumps.
    """

    knows_branches = False

    def __init__(self, name: str, arrays: Any) -> None:
        super().__init__(name, arrays)
        self.notes: list[str] = []
        """What was done that the user should know."""

    def parts(self) -> Iterator[Part]:
        """What it is made of, each alone with its real inputs, in the order of forward."""
        raise NotImplementedError


class Part(NamedTuple):
    """One operation or module of a whole, as `report.Culprit` calls it, and its check."""

    operation: str
    module: str
    where: str
    subject: Subject


def mapped(function: Callable[[str, Any], Any], value: Any, name: str = "") -> Any:
    """function(name, x) for all x in nested tuples, lists and dicts, in the same nest.

    What is inside is named by its path: batch.images, batch.0.
    """

    def inner(key: Any, x: Any) -> Any:
        return mapped(function, x, f"{name}.{key}")

    if isinstance(value, dict):
        items = {key: inner(key, x) for key, x in value.items()}
        return items if type(value) is dict else type(value)(items)
    if type(value) in (list, tuple):
        return type(value)([inner(i, x) for i, x in enumerate(value)])
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = zip(value._fields, value, strict=True)
        return type(value)(*[inner(key, x) for key, x in parts])
    return function(name, value)


def arguments_of(function: Any, inputs: Any) -> tuple[dict[str, Any], bool]:
    """The arguments by name, and whether they are to be passed by name."""
    if isinstance(inputs, Mapping):
        known = parameters_of(function) or []
        names = {p.name for p in known}
        if inputs.keys() <= names or any(p.kind is p.VAR_KEYWORD for p in known):
            return dict(inputs), True
        inputs = (inputs,)  # one argument, which is a dict
    return named_inputs(function, inputs), False
