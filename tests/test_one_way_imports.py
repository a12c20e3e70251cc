"""Data flows one way: no module imports one above it (docs/design.md)."""

import ast
from pathlib import Path

from each import for_each

PACKAGE = Path(__file__).parent.parent / "tinygrad_cnn"
LAYERS = [
    "errors interrupt random text",
    "kernels",
    "ops",
    "recording",
    "methods",
    "engine",
    "gradients function replay",
    "creation platform running",
    "nn.functional",
    "functions",
    "nn",
    "optim data utils metrics checkpoint environment modelfile plotting",
    "planning",
    "training recipe verify",
    "graph autograd",
    "benchmark",
    "reproduce",
    "cli __main__",
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def layer_of(parts):
    if parts[:2] == ("nn", "functional"):
        return "nn.functional"
    return parts[0]


def is_for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported(path):
    """The modules of the package that a file imports when it is loaded or used.

    What only a type checker imports, to name a type, makes nothing depend on it.
    """
    here = path.relative_to(PACKAGE).with_suffix("").parts
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {
        id(n)
        for block in ast.walk(tree)
        if is_for_types(block)
        for n in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in named:
            module = tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield (*here[: len(here) - node.level], *module, alias.name)


@for_each("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_import_goes_upwards(path):
    own = layer_of(path.relative_to(PACKAGE).with_suffix("").parts)
    for name in imported(path):
        if layer_of(name) in RANK:
            assert RANK[layer_of(name)] <= RANK[own], f"{own} imports {'.'.join(name)}"
