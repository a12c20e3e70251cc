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
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ...errors import ArgumentError, ModelFileError, TinygradError
from ...training.model_file import imports_of, run_file, split_spec
from .callables import Code, Functions, code_of, flag_of, layer_code
from .conventions import methods_of, named, normal
from .description import Description
from .foreign import ForeignError, by_position, called, described
from .notebook import run_notebook
from .pair import CodeSubject, subject_of

PROBLEMS = " problems"
"""Where a namespace lists what of a notebook failed."""


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
        meant = _are_meant(own, pairs)
        names = [name] if name else _names(meant, source)
        _require_inputs({k: pairs[k] for k in names if k in pairs}, source)
    except (ForeignError, ArgumentError) as error:
        yield Found(path.name, None, error)
        return
    for name in names or ["conv"]:
        title = f"{path.name}:{name}" if names else path.name
        np.random.seed(seed)
        try:
            said = source.description(name)
            code = _described(name, said, own) or pairs.get(name)
            if code is None:
                raise ArgumentError(_missing(name, own))
            if inspect.isclass(code.holder):
                code = replace(code, holder=source.built(name, code.holder))
            params = source.params(name)
            for point in range(1, said.points + 1):
                if said.points > 1:
                    title = f"{path.name}:{name}, point {point}"
                x = source.inputs(name, code.holder)
                yield Found(title, subject_of(title, code, None, x, params, said))
        except (ArgumentError, ForeignError) as error:
            yield Found(title, None, error)


def wanted_names(inputs_path: Path) -> dict[str, Description]:
    """The pairs that a teacher's file names, with its description of each.

    That of "" is for all others. Raises ModelFileError as `subjects_of`.
    """
    source = Source(_inputs_of(inputs_path), inputs_path, alone=False)
    try:
        return {name: source.description(name) for name in ("", *source.names)}
    except ArgumentError as error:
        raise ModelFileError(f"{inputs_path}: {error}") from error


def _inputs_of(path: Path) -> dict[str, Any]:
    try:
        given = _namespace(path, "inputs")
    except ForeignError as error:
        raise ModelFileError(f"{path}: {error}") from error
    if not any(name.startswith("inputs") for name in given):
        raise ModelFileError(f"{path} has no inputs; expected `inputs` or inputs_NAME")
    return given


def _names(pairs: list[str], source: Source) -> list[str]:
    """Which pairs to check: all, or those that a file with inputs names."""
    found = pairs if source.alone or "inputs" in source.values else []
    return list(dict.fromkeys([*found, *source.names]))


def _require_inputs(pairs: Mapping[str, Code], source: Source) -> None:
    lacking = [k for k, pair in pairs.items() if source.inputs(k, pair.holder) is None]
    if lacking:
        raise ArgumentError(
            f"no inputs for {', '.join(lacking)}; expected `inputs_{lacking[0]} = "
            "np.random.randn(2, 3, 8, 8)`, say, or `inputs` for all (several in a tuple, "
            "or in a dict by name; or a function that returns them), in "
            f"{source.path.name}"
        )


def _described(name: str, said: Description, own: Mapping[str, Any]) -> Code | None:
    """The code that a description names: methods of a layer, or functions of the file."""
    if said.forward is None:
        return None
    if name in own and hasattr(own[name], said.forward):
        return Code(own[name], said.forward, said.backward or "")
    names = [f for f in (said.forward, said.backward) if f]
    functions: list[Any] = [own.get(f) for f in names]
    if not all(map(callable, functions)):
        raise ArgumentError(
            f"there is no {' or no '.join(names)}, which the description of {name} names; "
            f"{_missing(name, own)}"
        )
    return code_of(*functions)


def _missing(name: str, own: Mapping[str, Any]) -> str:
    failed = "".join([f"; {text}" for text in own.get(PROBLEMS, [])[:3]])
    there = [(k, v) for k, v in own.items() if callable(v)]
    names = [k for k, v in there if getattr(v, "__module__", None) == own["__name__"]]
    return (
        f"nothing to check; expected functions forward_{name} and backward_{name}, or a "
        f"class {name} with methods forward and backward; found "
        f"{', '.join(names) or 'no function and no class'}{failed}"
    )


def _namespace(path: Path, role: str) -> dict[str, Any]:
    """Run a file; what it defines. What it raises becomes a ForeignError."""
    if not path.is_file():
        raise ModelFileError(f"there is no file {path}")
    if path.suffix == ".ipynb" or _imports_beside(path):
        sys.path.append(str(path.parent.resolve()))
    try:
        if path.suffix != ".ipynb":
            return vars(run_file(path, role))
        module, problems = run_notebook(path, role)
        return vars(module) | {PROBLEMS: problems}
    except ModelFileError:
        raise
    except (Exception, SystemExit) as error:
        raise ForeignError(described(error)) from error


def _imports_beside(path: Path) -> bool:
    """Whether it imports a file beside it, which is not found elsewhere."""
    try:
        names = {name for name in imports_of(path) if name != "."}
    except (SyntaxError, ValueError):
        return False
    beside = {p.stem for p in path.parent.iterdir() if p.suffix in ("", ".py")}
    return any(find_spec(name) is None for name in names & beside)


def _pairs_in(own: Mapping[str, Any]) -> dict[str, Code]:
    """What the file has, by name: functions, layers, and classes of layers."""
    found = _functions_in(own)
    for name, value in own.items():
        if inspect.isfunction(value) or isinstance(value, ModuleType):
            continue
        methods = methods_of(value)
        if methods and not name.startswith("__"):
            found[name] = layer_code(value, methods)
    return found


def _are_meant(own: Mapping[str, Any], pairs: Mapping[str, Code]) -> list[str]:
    """Those of the pairs that are checked where nothing says which.

    Not a class of which there is an instance, nor a base that does nothing; not what is
    imported, if the file has some of its own.
    """
    made = {type(value) for value in own.values()}
    bases = {b for v in own.values() if inspect.isclass(v) for b in v.__mro__[1:]}

    def is_own(name: str) -> bool:
        holder = pairs[name].holder
        function = holder.backward if isinstance(holder, Functions) else holder
        return getattr(function, "__module__", None) == own["__name__"]

    names = [
        name
        for name, code in pairs.items()
        if code.holder not in made
        and not (code.holder in bases and _is_stub(code.holder))
    ]
    return [name for name in names if is_own(name)]


def _functions_in(own: Mapping[str, Any]) -> dict[str, Code]:
    """Functions and their backwards, by what both are of."""
    functions = {k: v for k, v in own.items() if inspect.isfunction(v)}
    read = {k: named(k) for k in functions}
    plain = {n.stem: k for k, n in read.items() if not n.role}
    plain |= {n.stem: k for k, n in read.items() if n.role == "forward"}
    found: dict[str, Code] = {}
    paired = set()
    for name, (role, stem) in read.items():
        forward = plain.get(stem) or plain.get(("".join(stem),))
        if role not in ("", "forward") and forward:
            key = _without(name) or "forward"
            key = name if key in found else key
            found[key] = code_of(functions[forward], functions[name], role)
            paired |= {name, forward}
        elif (
            not role and name[0] == "d" and name[1:] in functions and name not in found
        ):
            found[name[1:]] = code_of(
                functions[name[1:]], functions[name], "derivative"
            )
            paired |= {name, name[1:]}
    for name in functions.keys() - paired:
        both = any(word in normal(name) for word in ("loss", "cost"))
        if both or flag_of(functions[name]):
            found[name] = code_of(functions[name])
    return {k: found[k] for k in sorted(found, key=list(found).index)}


def _without(name: str) -> str:
    """A name without the word that makes it a backward's: conv of conv_backward."""
    stem = named(name).stem
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
    kept = [w for w in words if w.lower() in stem]
    return ("_" if "_" in name else "").join(kept)


def _is_stub(layer_class: type) -> bool:
    """Whether its forward only passes, or raises NotImplementedError: takes no argument."""
    methods = methods_of(layer_class)
    code = (
        getattr(getattr(layer_class, methods.forward), "__code__", None)
        if methods
        else None
    )
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
        return named

    def inputs(self, name: str, pair: Any) -> Any:
        """The inputs of this pair, or None; what a function returns, if they are one."""
        inputs = self._named("inputs", name)
        if inputs is None and self.alone:
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
        return called(layer_class, by_position(bound.args), bound.kwargs)

    def params(self, name: str) -> dict[str, str] | None:
        """Which attribute is the gradient of which, if that is said."""
        said = self._named("params", name, self.values.get("params"))
        is_said = isinstance(said, dict) and all(
            isinstance(v, str) for v in said.values()
        )
        return said if is_said else None

    def description(self, name: str) -> Description:
        """What is said of how to call it, and where its gradients are."""
        said = self._named("description", name, self.values.get("description"))
        return Description.of(said, f"description_{name}")

    def _named(self, kind: str, name: str, otherwise: Any = None) -> Any:
        found = self.values.get(f"{kind}_{name}", self.values.get(f"{name}_{kind}"))
        return otherwise if found is None else found
