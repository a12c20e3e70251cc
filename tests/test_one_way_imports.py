"""Arrows go one way: no module imports one of a higher room, and no two import each other.

The rooms stand in `docs/design.md` in the same order.
"""

import ast
import html
import importlib
import re
import sys
from pathlib import Path

import pytest
import rooms

PACKAGE = Path(__file__).parent.parent / "tinygrad_cnn"
ROOMS = [
    "errors output",
    "missing",
    "importing",
    "kernels",
    "ops",
    "core",
    "nn.functional linalg",
    "nn",
    "optim data utils metrics interchange checkpoint distributions absent",
    "planning",
    "training",
    "verify",
    "graph autograd",
    "func",
    "benchmark",
    "reproduce",
    "cli __main__",
]
RANK = {name: rank for rank, names in enumerate(ROOMS) for name in names.split()}
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def room_of(module):
    room, _, rest = module.partition(".")
    return "nn.functional" if f"{room}.{rest}".startswith("nn.functional") else room


def statements(node):
    """Every statement below a node, but for what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if not (
            isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        ):
            yield child
            yield from statements(child)


def imported(path):
    """The modules of the package that a file imports, when it is loaded or used.

    What is imported only to name a type makes nothing depend on it.
    """
    package = path.relative_to(PACKAGE).parts[:-1]
    for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            start = package[: len(package) - node.level + 1]
            base = ".".join([*start, node.module] if node.module else start)
            for alias in node.names:
                module = f"{base}.{alias.name}".lstrip(".")
                yield module if module in MODULES else base


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_import_goes_upwards(path):
    own = room_of(name_of(path))
    for module in imported(path):
        if module:
            assert RANK[room_of(module)] <= RANK[own], f"{own} imports {module}"


def test_no_modules_import_each_other_in_a_circle():
    arrows = {
        name: set(imported(path)) & MODULES.keys() for name, path in MODULES.items()
    }
    while done := {name for name, found in arrows.items() if not found}:
        arrows = {name: found - done for name, found in arrows.items() if found}
    assert arrows == {}


def test_no_module_has_a_name_of_the_standard_library():
    for name in MODULES:
        module = name.rpartition(".")[2]
        assert room_of(name) == "cli" or module not in sys.stdlib_module_names, name


def test_no_public_function_has_the_name_of_a_module():
    for room in ("graph", "planning", "training", "verify"):
        face = importlib.import_module(f"tinygrad_cnn.{room}")
        modules = [n.rpartition(".")[2] for n in MODULES if n.startswith(f"{room}.")]
        assert not {*face.__all__} & {*modules}


def test_the_picture_of_the_rooms_is_that_of_the_imports():
    svg = (PACKAGE.parent / "docs" / "rooms.svg").read_text("utf-8")
    titles = [html.unescape(t) for t in re.findall(r"<title>(.*?)</title>", svg)]
    arrows = {tuple(title.split("->")) for title in titles if "->" in title}
    assert arrows == rooms.reduced(rooms.imports())
    listed = " ".join(ROOMS).replace("nn.functional ", "").replace(" __main__", "")
    assert {*listed.split()} == {*rooms.WHAT}
