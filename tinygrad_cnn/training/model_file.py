"""Model files: the class that a file defines, and a model built from it."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ModelFileError
from ..nn import Module


def load_class(spec: str) -> type[Module]:
    """The model class of "MODEL.py", or the named one of "MODEL.py:Class".

    Classes with a leading underscore are parts of others, and not offered.
    The file is run: it is the user's own code. Raises ModelFileError if it cannot be, and
    if there is no such class or more than one to choose from.
    """
    path, name = split_spec(spec)
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}")
    try:
        module = run_file(path, "model")
    except SyntaxError as error:
        raise ModelFileError(f"{path}, line {error.lineno}: {error.msg}") from error
    classes = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, Module)
        and value.__module__ == module.__name__
        and not key.startswith("_")
    }
    if name in classes:
        return classes[name]
    if name is None and len(classes) == 1:
        return next(iter(classes.values()))
    if not classes:
        raise ModelFileError(
            f"{path} defines no class derived from tinygrad_cnn.nn.Module; a file written "
            "for PyTorch needs `import tinygrad_cnn.nn as nn` in place of torch's"
        )
    problem = f"no model class {name}" if name else "more than one model class"
    choices = ", ".join([f"{path}:{key}" for key in classes])
    raise ModelFileError(f"{path} defines {problem}; give one of {choices}")


def split_spec(spec: str) -> tuple[Path, str | None]:
    """The path and the class name, or None, of "MODEL.py:Class"."""
    path, colon, name = spec.rpartition(":")
    if colon and name.isidentifier():
        return Path(path), name
    return Path(spec), None


def run_file(path: Path, role: str) -> ModuleType:
    """Run a Python file; what it raises is not caught.

    The role, a prefix of the module's name, keeps a file called random.py from taking the
    place of a library's module.
    """
    spec = importlib.util.spec_from_file_location(f"{role}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelFileError(f"{path} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def build(
    model_class: type[Module], given: dict[str, Any], known: dict[str, Any]
) -> tuple[Module, dict[str, Any]]:
    """A model, and the keyword arguments that it was built with.

    These are `given`, and those of `known` (what the data say: in_channels, image_size,
    num_classes) that its __init__ takes. Raises ModelFileError for one that it does not
    take, and for one that is missing.
    """
    parameters = inspect.signature(model_class).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = [name for name in given if name not in parameters]
    if unknown and not takes_any:
        raise ModelFileError(
            f"{model_class.__name__} takes no {', '.join(unknown)}; it takes "
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
        raise ModelFileError(f"{model_class.__name__} needs {names}")
    return model_class(**arguments), arguments
