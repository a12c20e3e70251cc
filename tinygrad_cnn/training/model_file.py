"""Model files: the class or function that a file defines, and a model built from it.

A file may be written for this package or for PyTorch. One that does not import this package
gets it in the place of `torch` and `torchvision` (`importing.in_place_of_torch`).
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ModelFileError
from ..importing import OWN, in_place_of_torch
from ..missing import suggest
from ..nn import Module

Maker = Callable[..., Module]
"""A class of models, or a function that makes one."""


def load_class(spec: str) -> Maker:
    """The model class of "MODEL.py", or what "MODEL.py:name" names: a class or a function.

    Classes with a leading underscore are parts of others, and not offered.
    The file is run: it is the user's own code. Raises ModelFileError if it cannot be, and
    if there is no such class or more than one to choose from.
    """
    path, name = split_spec(spec)
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}")
    try:
        module = run_file(path, "model", for_torch=True)
    except SyntaxError as error:
        raise ModelFileError(f"{path}, line {error.lineno}: {error.msg}") from error
    own = {
        key: value
        for key, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and not key.startswith("_")
    }
    classes = {k: v for k, v in own.items() if _is_model_class(v)}
    functions = {k: v for k, v in own.items() if inspect.isfunction(v)}
    if name in classes or name in functions:
        return (classes | functions)[name]
    if name is None and len(classes) == 1:
        return next(iter(classes.values()))
    if not classes and not name:
        raise ModelFileError(f"{path} defines no class derived from nn.Module")
    known = list(classes) if name is None else [*classes, *functions]
    problem = f"no model class {name}" if name else "more than one model class"
    choices = ", ".join([f"{path}:{key}" for key in known]) or "none"
    meant = suggest(name, known) if name else ""
    raise ModelFileError(f"{path} defines {problem}{meant}; there are {choices}")


def _is_model_class(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Module)


def split_spec(spec: str) -> tuple[Path, str | None]:
    """The path and the name, or None, of "MODEL.py:name"."""
    path, colon, name = spec.rpartition(":")
    if colon and name.isidentifier():
        return Path(path), name
    return Path(spec), None


def run_file(path: Path, role: str, *, for_torch: bool = False) -> ModuleType:
    """Run a Python file; what it raises is not caught.

    The role, a prefix of the module's name, keeps a file called random.py from taking the
    place of a library's module. for_torch: a file that does not import this package may
    import PyTorch and get it instead. A file with relative imports is run as part of its
    package, and files beside it can be imported.
    """
    if path.suffix != ".py":
        raise ModelFileError(f"{path} is not a Python file: its name must end in .py")
    imports = list(imports_of(path))
    in_place = for_torch and OWN not in imports
    top, name = place_in_package(path)
    if "." not in imports:
        if not in_place:
            return load_file(path, f"{role}_{path.stem}")
        with in_place_of_torch(path.resolve().parent, Path.cwd()) as block:
            return load_file(path, f"{role}_{path.stem}", block)
    if not in_place:
        sys.path.append(str(top))
        return importlib.import_module(name)
    with in_place_of_torch(top):
        return importlib.import_module(name)


def place_in_package(path: Path) -> tuple[Path, str]:
    """The folder that a file's outermost package is in, and the file's name from there."""
    top, names = path.resolve().parent, [path.stem]
    while (top / "__init__.py").is_file():
        names.insert(0, top.name)
        top = top.parent
    return top, ".".join(names)


def imports_of(path: Path) -> Any:
    """The first parts of all that the file imports; "." for relative imports."""
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else (node.module or "").partition(".")[0]


def load_file(path: Path, name: str, block: Any = None) -> ModuleType:
    """Run a file as the module `name`, which a block prepares for its imports."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[name] = module
    if block is not None:
        block.prepare(module)
    module.__loader__.exec_module(module)  # type: ignore[union-attr]
    return module


def build(
    maker: Maker, given: dict[str, Any], known: dict[str, Any]
) -> tuple[Module, dict[str, Any]]:
    """A model, and the keyword arguments that it was built with.

    These are `given`, and those of `known` (what the data say: in_channels, image_size,
    num_classes) that its __init__ takes. Raises ModelFileError for one that it does not
    take, for one that is missing, and if a function makes no model.
    """
    parameters = inspect.signature(maker).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = [name for name in given if name not in parameters]
    if unknown and not takes_any:
        raise ModelFileError(
            f"{maker.__name__} takes no {', '.join(unknown)}; it takes "
            f"{', '.join(parameters) or 'no arguments'}"
        )
    arguments = {k: v for k, v in known.items() if k in parameters} | given
    missing = [
        name
        for name, p in parameters.items()
        if p.default is p.empty
        and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and name not in arguments
    ]
    if missing:
        names = " ".join([f"--set {name}=VALUE" for name in missing])
        raise ModelFileError(f"{maker.__name__} needs {names}")
    model = maker(**arguments)
    if not isinstance(model, Module):
        raise ModelFileError(
            f"{maker.__name__} makes no model: it returns {type(model).__name__}"
        )
    return model, arguments
