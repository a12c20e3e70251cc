"""Somebody's NumPy file: the pairs that it defines, and the subject of each.

What is looked for is told by `tinygrad-cnn check --help`. The file is run: it is the user's
own code. Whatever is wrong with it is a finding; a fault of the file with the inputs is an
error.
"""

from __future__ import annotations

import dis
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ...errors import ArgumentError, ModelFileError, TinygradError
from ...training.model_file import run_file, split_spec
from .conventions import is_layer, methods_of
from .foreign import ForeignError, called, described
from .pair import CodeSubject, subject_of

Pair = tuple[Any, Any]
"""forward and backward, or a layer (or its class) and None."""


class Found(NamedTuple):
    """One pair of a file: what it is called, and its subject or why there is none."""

    title: str
    subject: CodeSubject | None
    problem: TinygradError | None = None


def subjects_of(spec: str, inputs_path: Path | None, seed: int) -> Iterator[Found]:
    """Each pair of "FILE.py", or the one of "FILE.py:NAME", ready to be checked.

    inputs_path: where inputs, constructor arguments and params are, if not in FILE.py.
    Raises ModelFileError if a file is missing, and if that of the inputs cannot be run.
    """
    path, name = split_spec(spec)
    np.random.seed(seed)
    given = _inputs_of(inputs_path) if inputs_path else None
    np.random.seed(seed)
    try:
        own = _namespace(path, "pair")
        source = Source(given or own, inputs_path or path, given is None)
        pairs = _pairs_in(own)
        names = [name] if name else _names(pairs, source)
        _require_inputs({k: pairs[k] for k in names if k in pairs}, source)
    except (ForeignError, ArgumentError) as error:
        yield Found(path.name, None, error)
        return
    for name in names or ["conv"]:
        title = f"{path.name}:{name}" if names else path.name
        np.random.seed(seed)
        try:
            if name not in pairs:
                raise ArgumentError(_missing(name, own))
            forward, backward = pairs[name]
            if inspect.isclass(forward):
                forward = source.built(name, forward)
            x, params = source.inputs(name, forward), source.params(name)
            yield Found(title, subject_of(title, forward, backward, x, params))
        except (ArgumentError, ForeignError) as error:
            yield Found(title, None, error)


def wanted_names(inputs_path: Path) -> list[str]:
    """The pairs that a file of inputs names. Raises ModelFileError as `subjects_of`."""
    return Source(_inputs_of(inputs_path), inputs_path, alone=False).names


def _inputs_of(path: Path) -> dict[str, Any]:
    try:
        given = _namespace(path, "inputs")
    except ForeignError as error:
        raise ModelFileError(f"{path}: {error}") from error
    if not any(name.startswith("inputs") for name in given):
        raise ModelFileError(f"{path} has no inputs; expected `inputs` or inputs_NAME")
    return given


def _names(pairs: Mapping[str, Pair], source: Source) -> list[str]:
    """Which pairs to check: all, or those that a file with inputs names."""
    found = list(pairs) if source.alone or "inputs" in source.values else []
    return list(dict.fromkeys([*found, *source.names]))


def _require_inputs(pairs: Mapping[str, Pair], source: Source) -> None:
    lacking = [k for k, pair in pairs.items() if source.inputs(k, pair[0]) is None]
    if lacking:
        raise ArgumentError(
            f"no inputs for {', '.join(lacking)}; expected `inputs_{lacking[0]} = "
            "np.random.randn(2, 3, 8, 8)`, say, or `inputs` for all (several in a tuple, "
            "or in a dict by name; or a function that returns them), in "
            f"{source.path.name}"
        )


def _missing(name: str, own: Mapping[str, Any]) -> str:
    there = [(k, v) for k, v in own.items() if callable(v)]
    names = [k for k, v in there if getattr(v, "__module__", None) == own["__name__"]]
    return (
        f"nothing to check; expected functions forward_{name} and backward_{name}, or a "
        f"class {name} with methods forward and backward; found "
        f"{', '.join(names) or 'no function and no class'}"
    )


def _namespace(path: Path, role: str) -> dict[str, Any]:
    """Run a file; what it defines. What it raises becomes a ForeignError."""
    if not path.is_file():
        raise ModelFileError(f"there is no file {path}")
    sys.path.append(str(path.parent.resolve()))  # for the files that it imports
    try:
        return vars(run_file(path, role))
    except ModelFileError:
        raise
    except (Exception, SystemExit) as error:
        raise ForeignError(described(error)) from error


def _pairs_in(own: Mapping[str, Any]) -> dict[str, Pair]:
    """What the file defines, by name: functions, layers, and classes of layers.

    A class is left out where an instance of it is there, and a base that does nothing.
    """
    made = {type(value) for value in own.values()}
    bases = {b for v in own.values() if inspect.isclass(v) for b in v.__mro__[1:]}
    found: dict[str, Pair] = {}
    for name, value in own.items():
        its_own = getattr(value, "__module__", None) == own["__name__"]
        if inspect.isfunction(value) and its_own and "backward" in name.lower():
            rest = re.sub("_?backward", "", name, flags=re.IGNORECASE).strip("_")
            usual = name.replace("backward", "forward").replace("Backward", "Forward")
            forward = own.get(usual, own.get(rest))
            if inspect.isfunction(forward):
                found[rest or "forward"] = forward, value
        elif not isinstance(value, ModuleType) and is_layer(value):
            skipped = inspect.isclass(value) and (
                not its_own or value in made or (value in bases and _is_stub(value))
            )
            if not skipped:
                found[name] = value, None
    return found


def _is_stub(layer_class: type) -> bool:
    """Whether its forward only passes, or raises NotImplementedError: takes no argument."""
    code = getattr(getattr(layer_class, methods_of(layer_class)[0]), "__code__", None)
    if code is None or not set(code.co_names) <= {"NotImplementedError"}:
        return False
    return not any(i.opname.startswith("LOAD_FAST") for i in dis.get_instructions(code))


class Source:
    """The file that says what the pairs are to be called with: their own, or another."""

    def __init__(self, values: Mapping[str, Any], path: Path, alone: bool) -> None:
        self.values, self.path, self.alone = values, path, alone

    @property
    def names(self) -> list[str]:
        """The pairs that another file has inputs or arguments for, by name."""
        kinds = ("inputs_", "arguments_")
        named = [k.partition("_")[2] for k in self.values if k.startswith(kinds)]
        return [] if self.alone else named

    def inputs(self, name: str, pair: Any) -> Any:
        """The inputs of this pair, or None; what a function returns, if they are one."""
        inputs = self._named("inputs", name)
        if inputs is None and self.alone and not inspect.isfunction(pair):
            inputs = getattr(pair, "inputs", None)
        if inputs is None:
            inputs = self.values.get("inputs")
        if callable(inputs):
            try:
                inputs = called(inputs, {})
            except ForeignError as error:
                if self.alone:
                    raise
                raise ModelFileError(f"{self.path}: {error}") from error
        return np.array(inputs) if isinstance(inputs, list) else inputs

    def built(self, name: str, layer_class: Callable[..., Any]) -> Any:
        """An instance of the class, made with the arguments given for it."""
        given = self._named("arguments", name, self.values.get("arguments"))
        by_name = given if isinstance(given, dict) else {}
        single = () if given is None or isinstance(given, dict) else (given,)
        in_order = given if isinstance(given, tuple) else single
        signature = inspect.signature(layer_class)
        try:
            bound = signature.bind(*in_order, **by_name)
        except TypeError as error:
            raise ArgumentError(
                f"{name}{signature} cannot be made: {error}; expected `arguments_{name} = "
                f"(…, …)`, or a dict, in {self.path.name}"
            ) from error
        return called(layer_class, bound.arguments)

    def params(self, name: str) -> dict[str, str] | None:
        """Which attribute is the gradient of which, if that is said."""
        said = self._named("params", name, self.values.get("params"))
        is_said = isinstance(said, dict) and all(
            isinstance(v, str) for v in said.values()
        )
        return said if is_said else None

    def _named(self, kind: str, name: str, otherwise: Any = None) -> Any:
        found = self.values.get(f"{kind}_{name}", self.values.get(f"{name}_{kind}"))
        return otherwise if found is None else found
