"""The notebooks: run from top to bottom, they show what is stored in them."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from test_documentation import assert_same_text, texts_of_dot, texts_of_svg

from tinygrad_cnn.graph import Drawing

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"
spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
execute = importlib.util.module_from_spec(spec)
spec.loader.exec_module(execute)

LARGEST = 300_000
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def stored(cell: dict[str, Any], kind: str) -> list[str]:
    """What is stored of what a cell printed ("text"), or of a mime type."""
    found = [output.get("data", {}).get(kind, "") for output in cell["outputs"]]
    if kind == "text":
        found = [output.get("text", "") for output in cell["outputs"]]
    return ["".join(lines) for lines in found if lines]


@pytest.mark.slow
@each_notebook
def test_a_notebook_shows_what_its_cells_give_now(path: Path) -> None:
    cells = execute.code_cells(read(path))
    if any("matplotlib" in source for _, _, source in cells):
        pytest.importorskip("matplotlib").use("agg")
    scope: dict[str, Any] = {"__name__": "__main__"}
    for i, cell, source in cells:
        shown = execute.run(source, f"cell {i}", scope)
        assert_same_text(shown.printed, "".join(stored(cell, "text")))
        assert len(shown.figures) == len(stored(cell, "image/png"))
        text = [] if shown.value is None else [repr(shown.value)]
        if isinstance(shown.value, Drawing):  # without Graphviz, its words can be read
            (picture,) = stored(cell, "image/svg+xml")
            assert texts_of_dot(shown.value.dot) == texts_of_svg(picture)
            text = []
        assert len(stored(cell, "text/plain")) == len(text)
        assert_same_text("".join(text), "".join(stored(cell, "text/plain")))


@each_notebook
def test_a_notebook_is_whole(path: Path) -> None:
    """As after "restart and run all": every cell has run, in order, without an error."""
    notebook = read(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for i, cell, _ in execute.code_cells(notebook):
        assert cell["execution_count"] == i
        for output in cell["outputs"]:
            assert output["output_type"] in ("stream", "execute_result", "display_data")
            assert output.get("name", "stdout") == "stdout"
            assert output.get("execution_count", i) == i


@each_notebook
def test_a_notebook_is_a_page(path: Path) -> None:
    """One title with sections below it, links that lead somewhere, no HTML."""
    cells = [cell for cell in read(path)["cells"] if cell["cell_type"] == "markdown"]
    text = "\n\n".join(["".join(cell["source"]) for cell in cells])
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    title, *sections = re.findall(r"^(#+) ", prose, re.MULTILINE)
    assert title == "#"
    assert len(sections) > 5
    assert set(sections) <= {"##", "###"}
    assert not re.search(r"</?[a-zA-Z]", prose)
    for link in re.findall(r"\]\(([^)#]+)\)", prose):
        assert (FOLDER / link).exists(), link


@each_notebook
def test_a_notebook_is_small_and_knows_nothing_of_a_machine(path: Path) -> None:
    assert path.stat().st_size < LARGEST
    absolute = r"(?:/(?:home|root|tmp|usr|opt|work|mnt|Users)/|\b[A-Z]:\\)"
    for cell in read(path)["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
        assert not re.search(absolute, json.dumps(cell))


def test_a_cell_runs_as_in_a_notebook() -> None:
    scope: dict[str, Any] = {}
    shown = execute.run("a = 2\nprint(a)\na + 1", "cell 1", scope)
    assert shown == ("2\n", 3, [])
    printed, value = execute.outputs(shown, 1)
    assert printed["text"] == ["2\n"]
    assert value["data"] == {"text/plain": ["3"]}
    assert execute.outputs(execute.run("a = a + 1", "cell 2", scope), 2) == []
    assert scope["a"] == 3
    with pytest.raises(ZeroDivisionError):
        execute.run("1 / 0", "cell 3", scope)
