"""Somebody's code as one object: a layer, or functions and the arrays that they share."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from ...errors import ArgumentError
from ..subject import Array
from . import foreign
from .conventions import (
    DERIVATIVES,
    GRADIENTS,
    RATES_KEPT,
    ROLES,
    Methods,
    leaves_in,
    match_names,
    normal,
    require_layer,
)
from .source import Source


@dataclass(frozen=True)
class Code:
    """What is called, and what it is called on.

    holder: a layer, or Functions. forward, backward: the names of its attributes; an empty
    backward: forward returns (output, gradients). flag: the argument that makes forward
    give its derivative. role: backward, gradient or derivative, by the name of backward.
    """

    holder: Any
    forward: str
    backward: str = ""
    flag: str = ""
    role: str = "backward"

    def call(self, twin: Any, name: str, given: Mapping[str, Any], **more: Any) -> Any:
        """Call one of the two on a copy of the holder."""
        function = getattr(twin, name)
        if isinstance(twin, Functions):
            with twin.in_place_of_globals():
                return foreign.called(function, given, more)
        return foreign.called(function, given, more)

    @property
    def functions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Forward and backward; the same twice where one gives both."""
        forward = getattr(self.holder, self.forward)
        return forward, getattr(self.holder, self.backward or self.forward)

    @property
    def names(self) -> tuple[str, str]:
        """What the two are called in the source."""
        forward, backward = [getattr(f, "__name__", "") for f in self.functions]
        usual = self.forward, self.backward or self.forward
        return [forward, usual[0]][not forward.isidentifier()], [backward, usual[1]][
            not backward.isidentifier()
        ]


def code_of(forward: Any, backward: Any = None, role: str = "backward") -> Code:
    """The code of two functions, of a function that gives both, or of a layer.

    Raises ArgumentError for what is none of these.
    """
    if backward is not None:
        return Code(Functions(forward, backward), "forward", "backward", role=role)
    if isinstance(forward, type):
        raise ArgumentError(
            f"verify_pair needs a layer: {forward.__name__}(…), not its class"
        )
    if inspect.isfunction(forward):
        flag = flag_of(forward)
        if flag:
            return Code(
                Functions(forward, forward), "forward", "backward", flag, "derivative"
            )
        return Code(Functions(forward, forward), "forward")
    return layer_code(forward, require_layer(forward))


def layer_code(layer: Any, methods: Methods) -> Code:
    """The code of a layer, or of a class of layers that is yet to be made."""
    role = ROLES.get(normal(methods.backward), "backward")
    return Code(layer, *methods, role=role)


def flag_of(function: Callable[..., Any]) -> str:
    """The argument that makes a function give its derivative: derivative=True."""
    words = (*DERIVATIVES[:5], *GRADIENTS)
    for p in foreign.parameters_of(function) or ():
        if normal(p.name) in words and p.default in (False, None):
            return p.name
    return ""


class Functions:
    """Two functions, with the arrays of their file whose gradients are returned.

    Such an array is a name of the file (Wxh) for which backward returns a gradient by a
    usual name (dWxh). While one of them runs, this object's arrays stand in its place.
    """

    def __init__(self, forward: Any, backward: Any) -> None:
        self.forward, self.backward = forward, backward
        namespace = getattr(inspect.unwrap(backward), "__globals__", {})
        used = {name for name in _names_used(namespace) if name in namespace}
        shared = [name for name in used if foreign.is_float(namespace[name])]
        returned = list(Source(backward).names_returned().values())
        for name in match_names(sorted(shared), [*returned]):
            if name not in returned:
                setattr(self, name, namespace[name])

    @contextmanager
    def in_place_of_globals(self) -> Iterator[None]:
        """In the block this object's arrays stand in the functions' file."""
        names = vars(self).keys() - {"forward", "backward"}
        namespace = getattr(inspect.unwrap(self.backward), "__globals__", {})
        before = {name: namespace[name] for name in names}
        namespace.update({name: getattr(self, name) for name in names})
        try:
            yield
        finally:
            vars(self).update({name: namespace[name] for name in names})
            namespace.update(before)


def _names_used(namespace: Mapping[str, Any]) -> set[str]:
    """The names that functions of this file use."""
    codes: list[CodeType] = [
        f.__code__
        for f in list(namespace.values())
        if isinstance(f, FunctionType) and f.__globals__ is namespace
    ]
    return {name for code in codes for name in code.co_names}


# ------------------------------------------------------------------------------- copies


def copy_layer(layer: Any) -> Any:
    """A copy of the layer with every array in float64, and a learning rate of 1.

    What shared memory, as views of one vector, shares memory in the copy.
    """
    twin = twin_of(layer)
    for key, value in getattr(twin, "__dict__", {}).items():
        if normal(key) in RATES_KEPT and isinstance(value, float):
            setattr(twin, key, 1.0)
    return twin


def twin_of(layer: Any) -> Any:
    """A copy of the layer with every array in float64; views stay views."""
    # the memo of deepcopy: each reference to an array becomes one to its new copy
    memo: dict[int, Any] = {}
    arrays = [a for _, a in leaves_in(layer) if foreign.is_float(a)]
    for a in arrays:
        owner = _owner(a)
        if owner is None:
            memo.setdefault(id(a), foreign.float64_copy(a))
            continue
        new = memo.setdefault(id(owner), foreign.float64_copy(owner))
        start = a.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
        strides = [s * 8 // a.itemsize for s in a.strides]
        memo[id(a)] = np.ndarray(
            a.shape, np.float64, new, start * 8 // a.itemsize, strides
        )
    try:
        return copy.deepcopy(layer, memo)
    except TypeError as error:
        raise ArgumentError(f"the layer cannot be copied: {error}") from error


def _owner(a: Array) -> Array | None:
    """The array that this one is a part of; None for one that is whole, or an odd one."""
    owner: Any = a.base
    while isinstance(getattr(owner, "base", None), np.ndarray):
        owner = owner.base
    if not isinstance(owner, np.ndarray) or owner.dtype != a.dtype:
        return None
    return owner if owner.flags.c_contiguous and owner.size <= 64 * a.size else None
