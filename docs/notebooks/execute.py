"""Run notebooks from top to bottom and store what their cells show; no Jupyter needed.

    python docs/notebooks/execute.py docs/notebooks/*.ipynb

Graphviz must be there for the pictures of graphs, matplotlib for other figures.
"""

import ast
import base64
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

RESULT = "__result__"
"""What the last expression of a cell is called while it runs."""


class Shown(NamedTuple):
    """What a cell shows: what it printed, its last value, and its figures as PNG."""

    printed: str
    value: Any
    figures: list[bytes]


def run(source: str, name: str, scope: dict[str, Any]) -> Shown:
    """Run a cell as a notebook does; `name` is what tracebacks and graphs call it."""
    module = ast.parse(source)
    last = module.body[-1]
    if isinstance(last, ast.Expr):
        result = ast.copy_location(ast.Name(RESULT, ast.Store()), last)
        module.body[-1] = ast.copy_location(ast.Assign([result], last.value), last)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(module, name, "exec"), scope)
    return Shown(printed.getvalue(), scope.pop(RESULT, None), _figures())


def _figures() -> list[bytes]:
    """The open figures of matplotlib, which are closed then."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    plt, files = sys.modules["matplotlib.pyplot"], []
    for number in plt.get_fignums():
        files.append(io.BytesIO())
        plt.figure(number).savefig(files[-1], dpi=72, metadata={"Software": None})
    plt.close("all")
    return [file.getvalue() for file in files]


def outputs(shown: Shown, count: int) -> list[dict[str, Any]]:
    """As a notebook stores it, for the count-th cell of code."""
    found: list[dict[str, Any]] = []
    if shown.printed:
        text = shown.printed.splitlines(keepends=True)
        found.append({"name": "stdout", "output_type": "stream", "text": text})
    if shown.value is not None:
        found.append(
            {
                "data": _data(shown.value),
                "execution_count": count,
                "metadata": {},
                "output_type": "execute_result",
            }
        )
    for figure in shown.figures:
        data = {"image/png": base64.b64encode(figure).decode()}
        found.append({"data": data, "metadata": {}, "output_type": "display_data"})
    return found


def _data(value: Any) -> dict[str, list[str]]:
    """The texts of a value by their mime types: a picture if it has one."""
    if hasattr(value, "svg"):
        return {"image/svg+xml": value.svg().splitlines(keepends=True)}
    return {"text/plain": repr(value).splitlines(keepends=True)}


def code_cells(notebook: dict[str, Any]) -> list[tuple[int, dict[str, Any], str]]:
    """Each cell of code: its number from 1, the cell, and its text."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [(i, cell, "".join(cell["source"])) for i, cell in enumerate(cells, 1)]


def store(path: Path) -> None:
    """Run a notebook, and write it again with what its cells show."""
    notebook = json.loads(path.read_text("utf-8"))
    scope: dict[str, Any] = {"__name__": "__main__"}
    for i, cell, source in code_cells(notebook):
        cell["outputs"] = outputs(run(source, f"cell {i}", scope), i)
        cell["execution_count"] = i
    text = json.dumps(notebook, indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        store(Path(argument))
