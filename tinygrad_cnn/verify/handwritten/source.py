"""What the source of a backward says: the names that it returns, and the line of each."""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .conventions import match_names


class Line(NamedTuple):
    """A statement that gives a name its value."""

    name: str
    number: int
    text: str


class Source:
    """The source of a function; nothing where there is none, as of a builtin."""

    def __init__(self, function: Callable[..., Any]) -> None:
        function = inspect.unwrap(function)
        try:
            lines, first = inspect.getsourcelines(function)
            tree = ast.parse(textwrap.dedent("".join(lines)))
            self.file = os.path.basename(inspect.getsourcefile(function) or "")
        except (OSError, TypeError, SyntaxError):
            lines, first, tree, self.file = [], 1, ast.Module([], []), ""
        self.text, self.first = lines, max(first, 1)
        self.nodes = list(_own_nodes(tree))

    @property
    def returned(self) -> ast.expr | None:
        """What the last return gives, in the terms of the source."""
        returns = [n.value for n in self.nodes if isinstance(n, ast.Return) and n.value]
        return returns[-1] if returns else None

    def names_returned(self) -> dict[tuple[int | str, ...], str]:
        """The name of each part that is returned, by its place: {(0,): "dx"}."""
        found: dict[tuple[int | str, ...], str] = {}

        def walk(node: ast.expr | None, place: tuple[int | str, ...]) -> None:
            if isinstance(node, ast.Tuple | ast.List):
                for i, part in enumerate(node.elts):
                    walk(part, (*place, i))
            elif isinstance(node, ast.expr) and _last_name(node):
                found[place] = _last_name(node)

        walk(self.returned, ())
        return found

    def lines(self) -> list[Line]:
        """Each assignment to a name, an attribute or a key, from first to last."""
        found = []
        for node in self.nodes:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AugAssign | ast.AnnAssign):
                targets = [node.target]
            for target in [leaf for t in targets for leaf in _targets(t)]:
                if _last_name(target):
                    found.append(self._line(_last_name(target), target.lineno))
        return found

    def _line(self, name: str, number: int) -> Line:
        text = self.text[number - 1].strip() if number <= len(self.text) else ""
        return Line(name, self.first + number - 1, text)

    def line_of(self, tensor: str, place: tuple[Any, ...] | None) -> str | None:
        """The line that makes the gradient of this tensor: "net.py, line 12: dW = …".

        place: where it is in what is returned, if it is there.
        """
        node = self.returned
        for key in place or ():
            parts = node.elts if isinstance(node, ast.Tuple | ast.List) else []
            node = parts[key] if isinstance(key, int) and key < len(parts) else None
        name = _last_name(node) if node is not None and place is not None else ""
        lines = self.lines()
        made = [line for line in lines if name and line.name == name]
        if not made:
            by_name = match_names([tensor], [line.name for line in lines[::-1]])
            made = [lines[::-1][i] for i in by_name.values()]
        if not made and place is not None and self.returned is not None:
            made = [self._line("", (node or self.returned).lineno)]
        if not made or self.file.startswith("<"):  # typed in, and in no file
            return None
        return f"{self.file}, line {made[-1].number}: {made[-1].text}"


def _own_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes in order, but not those of functions inside."""
    for node in ast.iter_child_nodes(tree):
        yield node
        inner = isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef)
        if not (inner and isinstance(tree, ast.FunctionDef)):
            yield from _own_nodes(node)


def _targets(target: ast.expr) -> list[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        return [leaf for part in target.elts for leaf in _targets(part)]
    return [target]


def _last_name(node: ast.expr) -> str:
    """dW of dW, self.dW, grads["dW"], and of the dW in self.dW[...]."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Starred):
        return ""
    if isinstance(node, ast.Subscript):
        key = node.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return str(key.value)
        return _last_name(node.value)
    return ""
