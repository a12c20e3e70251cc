"""Draws the rooms of the package, and who imports whom: docs/rooms.svg.

    python docs/rooms.py

An arrow points from a room to one that it imports; arrows that follow from others (a room
imports what the rooms below it import) are left out.
"""

import ast
from pathlib import Path

import graphviz

from tinygrad_cnn.graph.drawing.render import render_dot

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "tinygrad_cnn"
WHAT = {
    "errors": "every error",
    "output": "text, plots, files",
    "missing": "what was meant",
    "importing": "PyTorch's module names",
    "kernels": "arrays in, arrays out",
    "ops": "operations and their rules",
    "core": "Tensor, records, the walk back",
    "nn": "layers, losses, modules",
    "linalg": "norms",
    "optim": "optimizers, schedules",
    "data": "images and batches",
    "distributions": "random draws",
    "utils": "PyTorch's names",
    "absent": "no GPU, no compiler",
    "metrics": "scores",
    "interchange": "files of other programs",
    "checkpoint": "saved states",
    "planning": "a step replayed",
    "training": "fit, recipe, model files",
    "verify": "is it right? what is wrong?",
    "graph": "seen, measured, compared",
    "autograd": "PyTorch's names",
    "func": "functions of functions",
    "benchmark": "beside PyTorch and JAX",
    "reproduce": "the documents' figures",
    "cli": "the commands",
}


def room_of(path):
    """The folder, or the file, of the package that a path lies in."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports():
    """For each room, the rooms that its files import."""
    found = {room: set() for room in WHAT}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path)
        if room not in found:
            continue  # the package's face
        package = path.relative_to(PACKAGE).parts[:-1]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                start = package[: len(package) - node.level + 1]
                first = [*start, *(node.module or "").split(".")][0]
                names = [first] if first else [alias.name for alias in node.names]
                found[room] |= {n for n in names if n in found and n != room}
    return found


def reduced(arrows):
    """The arrows that do not follow from others."""

    def reach(room):
        return set().union(*[{r} | reach(r) for r in arrows[room]])

    return {
        (room, other)
        for room, others in arrows.items()
        for other in others
        if not any(other in reach(between) for between in others - {other})
    }


def draw():
    """The picture as SVG."""
    dot = graphviz.Digraph("rooms", format="svg")
    dot.attr(rankdir="TB", nodesep="0.25", ranksep="0.45", fontname="Helvetica")
    dot.attr("node", shape="box", style="rounded", fontname="Helvetica", fontsize="11")
    dot.attr("edge", color="#777777", arrowsize="0.7")
    for room, what in WHAT.items():
        label = f'<<b>{room}</b><br/><font point-size="9">{what}</font>>'
        dot.node(room, label)
    for room, other in sorted(reduced(imports())):
        dot.edge(room, other)
    return render_dot(dot.source, "svg").decode()


if __name__ == "__main__":
    (DOCS / "rooms.svg").write_text(draw(), encoding="utf-8")
