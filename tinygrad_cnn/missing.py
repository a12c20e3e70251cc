"""What to say of a name that is not here: it is misspelt, or PyTorch alone has it."""

from __future__ import annotations

import difflib
import functools
import importlib
import opcode
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from .errors import MissingImportError, MissingNameError

OWN = "tinygrad_cnn"

Names = Iterable[str]


def closest(name: str, names: Names) -> str:
    """The one of `names` that was probably meant, or "": Conv2d for Conv2D or conv_2d."""
    plain = {_plain(known): known for known in sorted(names, reverse=True)}
    found = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.78)
    return plain[found[0]] if found else ""


def suggest(name: str, names: Names) -> str:
    """ "; did you mean Conv2d?", or "" where nothing is close."""
    meant = closest(name, names)
    return f"; did you mean {meant}?" if meant else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def explain(name: str, names: Names = ()) -> str:
    """The sentence for `nn.CTCLoss` or the like, where these are the names there are.

    A name of PyTorch's is said to be one, with what is nearest to it here.
    """
    place, _, last = name.removeprefix("torch.").rpartition(".")
    names = [known for known in names if not known.startswith("_")]
    if last in pytorch_names().get(place, ()):
        nearest = closest(last, names)
        more = f"; nearest is {nearest}" if nearest else ""
        return f"PyTorch has {name}, {OWN} has not{more}"
    return f"{OWN} has no {name}{suggest(last, names)}"


@functools.cache
def pytorch_names() -> dict[str, frozenset[str]]:
    """The public names of PyTorch by the place where they stand: "" is torch itself."""
    text = Path(__file__).with_name("pytorch_names.txt").read_text("ascii")
    lines = [line.partition(":") for line in text.splitlines()]
    return {place: frozenset(names.split()) for place, _, names in lines}


def teach(module_name: str) -> None:
    """Let a module of this package say of a name that it lacks what could be meant.

    A part of it that is not imported yet is imported, as all of PyTorch's are.
    """
    module = sys.modules[module_name]

    def __getattr__(name: str) -> Any:
        if name.islower() and not name.startswith("_"):
            with suppress(ModuleNotFoundError):
                return importlib.import_module(f"{module_name}.{name}")
        names = vars(module).get("__all__") or dir(module)
        raise missing_name(module_name, name, names, sys._getframe(1))

    module.__dict__["__getattr__"] = __getattr__


def missing_name(
    module_name: str, name: str, names: Names, frame: FrameType
) -> MissingNameError | MissingImportError:
    """What to raise where a module has no `name` but these, and `frame` asks for it."""
    place = module_name.removeprefix(OWN).removeprefix(".") or "torch"
    text = explain(f"{place}.{name}", names)
    while frame.f_back and frame.f_globals["__name__"] == f"{OWN}.importing":
        frame = frame.f_back  # a module under another name asks for it
    step = frame.f_code.co_code[frame.f_lasti]
    if step == opcode.opmap["IMPORT_FROM"] and not name.startswith("__"):
        # `from nn import X` would put a sentence of its own in place of this one.
        return MissingImportError(text, name=module_name)
    return MissingNameError(text)
