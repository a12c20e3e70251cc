"""Calls of code that somebody else wrote, and what comes back from it."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import TinygradError
from ..report import Report, TensorReport
from ..subject import Array
from .conventions import Place


class ForeignError(TinygradError):
    """The code under test raised: what, and on which of its lines."""

    outcome = "crashed"
    """What the report on it comes to."""


def failed(title: str, error: TinygradError | None) -> Report:
    """The report on code of which nothing could be checked, and why."""
    text = str(error or "nothing was found").removeprefix(f"{title}: ")
    if isinstance(error, ForeignError):
        tensors = [TensorReport("every tensor", (), failure=text)]
        return Report(title, tensors, stopped=error.outcome)
    return Report(title, [TensorReport("every tensor", (), unread=text)])


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Its parameters; None if it cannot be asked, as some built-in functions."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def parameter_names(function: Callable[..., Any]) -> list[str]:
    """The parameters that it has a name for; none if it cannot be asked."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in parameters_of(function) or () if p.kind in by_name]


def required_names(function: Callable[..., Any]) -> list[str]:
    """The parameters that need a value; ["*"] if it takes any, or cannot be asked."""
    parameters = parameters_of(function)
    if parameters is None or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return ["*"]
    return [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD
    ]


def called(
    function: Callable[..., Any], given: Mapping[str, Any], more: Mapping[str, Any] = {}
) -> Any:
    """Call it with these arguments, by position unless it has them all by name.

    Whatever it raises becomes a ForeignError.
    """
    try:
        with np.errstate(all="ignore"):
            if given.keys() <= set(parameter_names(function)):
                return function(**given, **more)
            return function(*given.values(), **more)
    except (Exception, SystemExit) as error:
        name = getattr(function, "__name__", "it")
        raise ForeignError(f"{name} raised {described(error)}") from error


def by_position(values: Sequence[Any]) -> dict[str, Any]:
    """Arguments for `called` that are given by position."""
    return {f" {i}": value for i, value in enumerate(values)}


def described(error: BaseException) -> str:
    """An error in one line, with the last line of the user's own code on its way."""
    if isinstance(error, SyntaxError):
        text = (error.text or "").strip()
        return f"SyntaxError: {error.msg} (line {error.lineno}: {text})"
    printable = "".join([c if c.isprintable() else " " for c in str(error)])
    text = ": ".join([type(error).__name__, *[printable.strip()] * bool(printable)])
    libraries = os.path.dirname(os.path.dirname(__file__)), os.path.dirname(np.__file__)
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith((*libraries, "<frozen"))]
    for frame in theirs[-1:]:
        name = os.path.basename(frame.filename)
        text += f" ({name}, line {frame.lineno}: {frame.line})"
    return text


def is_float(x: Any) -> bool:
    """Whether x is a floating array."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def float64_copy(x: Array) -> Array:
    """A row-major float64 copy."""
    return np.array(x, np.float64, order="C")


def arrays_in(x: Any) -> list[tuple[Place, Any]]:
    """An input, or the parts of one that is a list, a tuple or a dict, by place."""
    if isinstance(x, list | tuple | dict):
        items = x.items() if isinstance(x, dict) else enumerate(x)
        parts = [(i, arrays_in(part)) for i, part in items]
        return [((i, *place), a) for i, found in parts for place, a in found]
    return [((), x)]


def float64_copies(x: Any) -> Any:
    """The same with float64 copies of its arrays."""
    if isinstance(x, dict):
        return {key: float64_copies(part) for key, part in x.items()}
    if isinstance(x, list | tuple):
        copies = [float64_copies(part) for part in x]
        return tuple(copies) if isinstance(x, tuple) else copies
    return float64_copy(x) if is_float(x) else x


def numbers_in(found: Any) -> list[tuple[Place, Any]]:
    """The arrays in what was returned, by place; lists of plain numbers are one."""
    if isinstance(found, dict) or (
        isinstance(found, list | tuple) and not _is_numbers(found)
    ):
        parts = found.items() if isinstance(found, dict) else enumerate(found)
        return [((key, *at), a) for key, part in parts for at, a in numbers_in(part)]
    return [((), found)]


def _is_numbers(found: Any) -> bool:
    """Whether it is a list of numbers, or of such lists."""
    if isinstance(found, list):
        return bool(found) and all(_is_numbers(p) or _is_number(p) for p in found)
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def rebuilt(found: Any, values: Iterator[Any]) -> Any:
    """The same lists, tuples and dicts, with other arrays in them."""
    if isinstance(found, dict):
        return {key: rebuilt(part, values) for key, part in found.items()}
    if [place for place, _ in numbers_in(found)] == [()]:
        return next(values)
    return type(found)([rebuilt(part, values) for part in found])


def outputs_of(y: Any, name: str) -> list[Array]:
    """What a forward returned, as arrays of its own."""
    outputs = [as_claim(part, f"what {name} returned") for _, part in numbers_in(y)]
    filled = [a for a in outputs if a is not None and a.size]
    if not filled or len(filled) < len(outputs):
        raise ForeignError(f"{name} returned {y!r:.40}, where an array is expected")
    return filled


def as_claim(g: Any, name: str) -> Array | None:
    """A gradient as an array of its own; None stays None."""
    try:
        return None if g is None else np.array(g, float)
    except (TypeError, ValueError):
        raise ForeignError(f"{name} is no array of numbers: {g!r:.40}") from None
