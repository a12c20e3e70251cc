"""What README and docs show is true: their examples run, and print what they say."""

import doctest
import html
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import oracles
import pytest
from cases import CASES

from tinygrad_cnn.cli.main import main
from tinygrad_cnn.ops import registry

ROOT = Path(__file__).parent.parent
WRITTEN = ("_build", "jupyter_execute", "reproduced")
"""Folders of docs/ that commands write: `sphinx-build` and `tinygrad-cnn reproduce`."""

DOCS = sorted((ROOT / "docs").rglob("*.md"))
REPRODUCED = ROOT / "docs/reproduced"
PAGES = [
    ROOT / "README.md",
    *(p for p in DOCS if not set(WRITTEN) & set(p.relative_to(ROOT / "docs").parts)),
]
BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?:pip .* && )?(?:python -m tinygrad_cnn|tinygrad-cnn) (.*)$")
NOT_RUN = {
    "gallery.md": "each command is run, and its picture compared, below",
    "bench all": "measures all cases beside all libraries, half an hour",
    "reproduce": "trains for half an hour and more; test_experiments runs `--quick`",
}
"""Pages, and beginnings of commands, with the reason."""

FIRST = ("README.md",)
"""What a newcomer reads; the examples of other pages are run with the slow tests."""

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda p: str(p.relative_to(ROOT))
)


@every_page
def test_python_examples_print_what_the_page_says(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "MNIST(" in page.read_text("utf-8") and not has_data():
        pytest.skip("MNIST is not in TINYGRAD_CNN_DATA_DIR")
    monkeypatch.chdir(ROOT)
    results = doctest.testfile(
        str(page), module_relative=False, encoding="utf-8", optionflags=doctest.ELLIPSIS
    )
    assert results.failed == 0


def has_data() -> bool:
    return "TINYGRAD_CNN_DATA_DIR" in os.environ


@pytest.fixture
def shown(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[[Path], dict[str, Any]]]:
    """Runs all that a page shows, in a folder of its own; gives the names defined.

    Python in the order of the page, in one scope; a block whose first line is a file name
    in a comment is written to that file. Commands on little of the drawn digits. A `text`
    block is what the block before it prints.
    """
    operations, cases = dict(registry), list(CASES)
    for folder in ("models", "tests"):
        os.symlink(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)

    def run(page: Path) -> dict[str, Any]:
        scope: dict[str, Any] = {}
        printed = ""
        end = -1
        for block in BLOCK.finditer(page.read_text("utf-8")):
            kind, text = block.groups()
            if kind == "text" and block.start() == end + len("\n\n"):
                assert_same_text(printed.strip(), text.strip())
            elif kind == "sh":
                for line in filter(None, map(COMMAND.match, text.splitlines())):
                    run_command(line[1], wrong="(wrong)" in page.read_text("utf-8"))
            elif kind == "python" and not text.startswith(">>>"):
                for library in re.findall(r"^import (torch|jax)$", text, re.MULTILINE):
                    pytest.importorskip(library)
                if name := re.match(r"# (\w+\.py)\n", text):
                    (tmp_path / name[1]).write_text(text, "utf-8")
                exec(compile(text, "page", "exec"), scope)
            printed, end = capsys.readouterr().out, block.end()
        return scope

    yield run
    registry.clear()
    registry.update(operations)
    CASES[:] = cases


def run_command(line: str, wrong: bool) -> None:
    if line.startswith(tuple(NOT_RUN)) and not line.endswith("--list"):
        return
    arguments = shlex.split(re.sub(r"--data \w+|--epochs \d+", "", line))
    colour = "cifar_resnet" in line  # It takes images of 32 × 32 only.
    if colour and not has_data():
        pytest.skip("CIFAR-10 is not in TINYGRAD_CNN_DATA_DIR")
    if arguments[0] == "check" and "--pair" not in line:  # a sample says that it runs
        arguments += ["--batch-size", "1", "--full", "64"]
    if arguments[0] == "train":
        arguments += ["--limit", "64", "--epochs", "1"]
    if arguments[0] == "bench":  # The other libraries take long to be imported.
        arguments += ["--peers", "tinygrad_cnn", *["--quick"] * ("--quick" not in line)]
    elif arguments[0] not in ("predict", "reproduce") and "--pair" not in line:
        drawn = "colour-digits" if "nets.py" in line else "digits"
        arguments += ["--data", "cifar10" if colour else drawn]
    assert main(arguments) in ({0, 1} if wrong and "--pair" in line else {0}), line


@every_page
def test_links_to_files_lead_somewhere(page: Path) -> None:
    """Where the repository is read; those of the site are followed in test_site."""
    for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        there = (page.parent / target).exists()
        assert there or ("reproduced/" in target and not REPRODUCED.exists()), target


@pytest.mark.parametrize(
    "page",
    [p if p.name in FIRST else pytest.param(p, marks=pytest.mark.slow) for p in PAGES],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_what_a_page_shows_runs(
    page: Path, shown: Callable[[Path], dict[str, Any]]
) -> None:
    if page.name in NOT_RUN:
        pytest.skip(NOT_RUN[page.name])
    if "--engine torch" in page.read_text("utf-8"):
        pytest.importorskip("torch")
    shown(page)


def test_commands_are_found_on_the_pages() -> None:
    """So that a change of layout does not leave them untested."""
    count = {}
    for page in PAGES:
        blocks = BLOCK.findall(page.read_text("utf-8"))
        lines = [
            line for kind, text in blocks if kind == "sh" for line in text.split("\n")
        ]
        count[page] = len(list(filter(COMMAND.match, lines)))
        assert page.read_text("utf-8").count("\ntinygrad-cnn ") <= count[page], page
    assert count[ROOT / "README.md"] >= 10
    assert count[ROOT / "docs/tutorial.md"] >= 5


def test_the_operation_of_the_example_passes_what_every_operation_passes(
    shown: Callable[[Path], dict[str, Any]], for_drawn: Any
) -> None:
    operation = shown(ROOT / "docs/add_operation.md")["Swish"]
    case = CASES[-1]
    assert case.op is operation is registry["Swish"]

    @for_drawn(6)
    def _(d: Any) -> None:
        example = case.draw(d)
        g, inputs = example.cotangent(), example.differentiated()
        np.testing.assert_allclose(example.result(), example.expected(), atol=1e-12)
        slopes = oracles.partial_derivatives(
            lambda *xs: [example.with_differentiated(xs).result()], inputs, [g], d.rng
        )
        for found, (at, slope) in zip(example.gradients(g), slopes, strict=True):
            np.testing.assert_allclose(found.flat[at], slope, rtol=1e-6, atol=1e-9)


NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]\d+)?(?![\w.])")


def assert_same_text(found: str, expected: str) -> None:
    """Equal but for the last digits; what is mere rounding need only be small in both."""
    assert NUMBER.sub("#", found) == NUMBER.sub("#", expected)
    pairs = zip(NUMBER.findall(found), NUMBER.findall(expected), strict=True)
    for a, b in ((float(a), float(b)) for a, b in pairs):
        assert a == pytest.approx(b, rel=1e-4) or max(abs(a), abs(b)) < 1e-6, (a, b)


# --- the gallery ----------------------------------------------------------------------

GALLERY = (ROOT / "docs/gallery.md").read_text("utf-8")
COMMANDS = re.findall(
    r"^tinygrad-cnn (.*docs/pictures/(\w+)\.svg)$", GALLERY, re.MULTILINE
)
LARGEST = 150_000
SVG = "{http://www.w3.org/2000/svg}"


def test_the_gallery_has_every_picture_beside_its_command() -> None:
    assert len(COMMANDS) >= 6
    shown = re.findall(r"\]\(pictures/(\w+)\.svg\)\]\(pictures/(\w+)\.svg\)", GALLERY)
    assert shown == [(name, name) for _, name in COMMANDS]
    stored = {path.stem for path in (ROOT / "docs/pictures").glob("*.svg")}
    assert stored - {"benchmark"} == {name for _, name in COMMANDS}


@pytest.mark.parametrize(
    "name", [*(name for _, name in COMMANDS), "tutorial/first_net"]
)
def test_a_stored_picture_is_small_and_knows_nothing_of_a_machine(name: str) -> None:
    text = (ROOT / f"docs/pictures/{name}.svg").read_text("utf-8")
    assert len(text.encode()) <= LARGEST
    absolute = r"(?:^|[\s\"'(;])(?:/(?:home|root|tmp|usr|work|Users)/|[A-Z]:\\)"
    assert not re.search(absolute, text)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        pytest.param(
            *pair, id=pair[1], marks=[pytest.mark.slow] * (pair[1] != "lenet5")
        )
        for pair in COMMANDS
    ],
)
def test_a_stored_picture_says_what_its_command_says_now(
    line: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    stored = ROOT / f"docs/pictures/{name}.svg"
    drawn = tmp_path / f"{name}.{'svg' if '--memory' in line else 'dot'}"
    if "--memory" in line:
        pytest.importorskip("matplotlib")
    assert main(shlex.split(line.replace(f"docs/pictures/{name}.svg", str(drawn)))) in (
        {1} if line.startswith("diff") else {0}
    )
    read = texts_of_svg if "--memory" in line else texts_of_dot
    assert read(drawn.read_text("utf-8")) == texts_of_svg(stored.read_text("utf-8"))


def test_the_picture_of_the_tutorial_is_what_its_command_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/tutorial.md").read_text("utf-8")
    model = re.search(r"```python\n(# first_net\.py\n.*?)```", page, re.DOTALL)
    command = re.search(r"^tinygrad-cnn (draw .*)\.svg$", page, re.MULTILINE)
    assert model and command
    Path("first_net.py").write_text(model[1], "utf-8")
    assert main(shlex.split(f"{command[1]}.dot --data digits")) == 0
    stored = (ROOT / "docs/pictures/tutorial/first_net.svg").read_text("utf-8")
    assert texts_of_dot(Path("first_net.dot").read_text("utf-8")) == texts_of_svg(
        stored
    )


def texts_of_svg(text: str) -> Counter[str]:
    """The words of a picture, piece by piece."""
    root = ElementTree.fromstring(text)
    pieces = [" ".join("".join(t.itertext()).split()) for t in root.iter(f"{SVG}text")]
    return Counter(map(rounded, filter(None, pieces)))


def texts_of_dot(text: str) -> Counter[str]:
    """The words that Graphviz would draw: of labels, but not of tooltips."""
    text = re.sub(r'tooltip="(?:[^"\\]|\\.)*"', "", text)
    markup = re.findall(r"label=<(<.*?>)>", text)
    pieces = [piece for label in markup for piece in re.split(r"<[^>]*>", label)]
    for quoted, word in re.findall(r'label=(?:"((?:[^"\\]|\\.)*)"|(\w+))', text):
        pieces += re.split(r"\\[nlr]", quoted or word)
    plain = [" ".join(html.unescape(piece).split()) for piece in pieces]
    return Counter(map(rounded, filter(None, plain)))


def rounded(text: str) -> str:
    """Without figures that are computed in floating point."""
    return re.sub(r"\d\.\d+e[-−]?\d+", "#", text)
