"""Somebody's notebook as a module: what its code cells define.

Definitions, imports and assignments are run, one by one, so that what a failing one would
have given is all that is lost. Loops and bare calls (training, plots) are not run, nor
lines that begin with % or !.
"""

from __future__ import annotations

import ast
import importlib.abc
import json
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

from ...errors import ModelFileError
from .foreign import described

KEPT = (
    ast.FunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.If,
    ast.Try,
)
"""The statements that are run."""


def run_notebook(path: Path, role: str) -> tuple[ModuleType, list[str]]:
    """The module, and a line on each statement that failed.

    Raises ModelFileError if the file is no notebook.
    """
    module = ModuleType(f"{role}_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    problems = []
    for number, text in enumerate(_code_cells(path), 1):
        name = f"{path.name}, cell {number}"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        try:
            tree = ast.parse(text, name)
        except SyntaxError as error:
            problems.append(f"cell {number}: {described(error)}")
            continue
        for statement in tree.body:
            if isinstance(statement, KEPT):
                code = compile(ast.Module([statement], []), name, "exec")
                try:
                    Statement(code).exec_module(module)
                except (Exception, SystemExit) as error:
                    problems.append(f"cell {number}: {described(error)}")
    return module, problems


class Statement(importlib.abc.InspectLoader):
    """Runs a piece of code in a module, as the import system runs a file."""

    def __init__(self, code: CodeType) -> None:
        self.code = code

    def get_code(self, fullname: str) -> CodeType:
        """The piece."""
        return self.code

    def get_source(self, fullname: str) -> str | None:
        """Of a piece there is none."""
        return None


def _code_cells(path: Path) -> Iterator[str]:
    """The source of each code cell, with magics and shell lines made comments."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = [c["source"] for c in cells if c["cell_type"] == "code"]
        lines = [text if isinstance(text, str) else "".join(text) for text in texts]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"{path} is no notebook that can be read: expected JSON of format 4, with "
            "cells and their source"
        ) from error
    for text in lines:
        magics = text.lstrip().startswith("%%")
        first = text.lstrip().split(maxsplit=1)[0] if magics else ""
        if magics and first not in ("%%time", "%%timeit", "%%capture"):
            continue  # in another language, or written to a file
        yield "\n".join(
            "#" + line if line.lstrip()[:1] in ("%", "!", "?") else line
            for line in text.split("\n")
        )
