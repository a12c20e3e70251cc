"""Model files under PyTorch itself, whichever of the two libraries they name.

`importing.in_place_of_torch` the other way round: a file that imports this package gets
PyTorch's part for each name that PyTorch has as well. What PyTorch has not stays ours,
above all `tinygrad_cnn.data`: images are read and changed by this package under both.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ModelFileError
from ..importing import OWN, STANDS_FOR, TheirCode, find_file, home_of, is_users
from .model_file import imports_of, load_file, place_in_package


def build_under_torch(path: Path, name: str, settings: dict[str, Any]) -> Any:
    """The torch.nn.Module that `name` in the model file makes of these arguments.

    Raises ModelFileError where the file or the class does not run under PyTorch.
    """
    import torch

    try:
        model = getattr(_run_file(path), name)(**settings)
    except Exception as error:  # whatever the user's code raises
        raise ModelFileError(
            f"{path} does not run under PyTorch itself: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, torch.nn.Module):
        raise ModelFileError(
            f"{path}: under PyTorch {name} makes no torch.nn.Module, but "
            f"{type(model).__module__}.{type(model).__name__}"
        )
    return model


def _run_file(path: Path) -> ModuleType:
    top, name = place_in_package(path)
    if "." not in imports_of(path):
        with _UnderTorch(path.resolve().parent, Path.cwd()) as block:
            return load_file(path, f"torch_{path.stem}", block)
    with _UnderTorch(top):
        return importlib.import_module(name)


class _UnderTorch:
    """In the block the user's code finds PyTorch; it is loaded anew, forgotten after."""

    def __init__(self, *beside: Path) -> None:
        self.beside = [str(folder) for folder in beside]
        self.theirs: dict[str, ModuleType] = {}
        self.hidden: dict[str, ModuleType] = {}
        self.builtins = vars(builtins) | {"__import__": self._import}

    def __enter__(self) -> _UnderTorch:
        self.hidden = _take_users()
        sys.modules.update(self.theirs)
        sys.meta_path.insert(0, self)
        sys.path.extend(self.beside)
        return self

    def __exit__(self, *error: Any) -> None:
        sys.meta_path.remove(self)
        for folder in self.beside:
            sys.path.remove(folder)
        self.theirs = _take_users()
        sys.modules.update(self.hidden)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        """The user's code, so that it imports as in the block; all else as usual."""
        spec = find_file(name, path, self)
        return spec if spec and isinstance(spec.loader, TheirCode) else None

    def prepare(self, module: ModuleType) -> None:
        """Let a module, before it is run, import as in the block at any later time."""
        module.__dict__["__builtins__"] = self.builtins

    def _import(
        self,
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        top = name.partition(".")[0]
        if level == 0 and top in ("torchvision", OWN):
            module = _stand_in(name)
            return module if fromlist else _stand_in(top)
        known = level == 0 and name in sys.modules
        if self in sys.meta_path or (known and not _is_users(name)):
            return builtins.__import__(name, globals, locals, fromlist, level)
        with self:
            return builtins.__import__(name, globals, locals, fromlist, level)


def _stand_in(name: str) -> ModuleType:
    """What a module of this package, or of torchvision, is under PyTorch."""
    if name == OWN:
        return _FACE
    if name.partition(".")[0] == OWN:
        theirs = f"torch{name.removeprefix(OWN)}"
        try:
            return importlib.import_module(theirs)
        except ModuleNotFoundError as error:
            if error.name is None or not theirs.startswith(error.name):
                raise
    ours = name.replace("torchvision", STANDS_FOR["torchvision"], 1)
    return importlib.import_module(home_of(ours))


def _find_on_face(name: str) -> Any:
    torch = importlib.import_module("torch")
    return getattr(
        torch if hasattr(torch, name) else importlib.import_module(OWN), name
    )


_FACE = ModuleType(OWN, "PyTorch, and what only tinygrad_cnn has.")
_FACE.__dict__["__getattr__"] = _find_on_face


def _is_users(name: str) -> bool:
    """Whether an imported module is the user's own code, and no script that is running."""
    file = getattr(sys.modules[name], "__file__", None)
    return name != "__main__" and is_users(file)


def _take_users() -> dict[str, ModuleType]:
    """Take the modules of the user's own code out of those imported."""
    return {n: sys.modules.pop(n) for n in list(sys.modules) if _is_users(n)}
