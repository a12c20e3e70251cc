"""Calls of code that somebody else wrote, and what comes back from it."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...errors import TinygradError
from ..report import Report, TensorReport
from ..subject import Array


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


def parts_of(found: Any) -> list[Any]:
    """Several arrays, or the one; a list of numbers is one."""
    listed = isinstance(found, list) and any(isinstance(a, np.ndarray) for a in found)
    return list(found) if listed or isinstance(found, tuple) else [found]


def outputs_of(y: Any, name: str) -> list[Array]:
    """What a forward returned, as arrays of its own."""
    outputs = [as_claim(part, f"what {name} returned") for part in parts_of(y)]
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
