"""What README and docs show is true: their examples run, and print what they say."""

import doctest
import html
import os
import re
import shlex
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tinygrad_cnn.cli.main import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_examples_print_what_the_page_says(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "MNIST(" in page.read_text() and "TINYGRAD_CNN_DATA_DIR" not in os.environ:
        pytest.skip("MNIST is not in TINYGRAD_CNN_DATA_DIR")
    monkeypatch.chdir(ROOT)
    results = doctest.testfile(
        str(page), module_relative=False, encoding="utf-8", optionflags=doctest.ELLIPSIS
    )
    assert results.failed == 0


PRINTED = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]\d+)?(?![\w.])")


@pytest.mark.parametrize("page", ["verification.md"])
def test_code_on_a_page_prints_the_text_below_it(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scope: dict[str, object] = {}
    for code, text in PRINTED.findall((ROOT / "docs" / page).read_text("utf-8")):
        exec(compile(code, "page", "exec"), scope)
        assert_same_text(capsys.readouterr().out.strip(), text.strip())


def assert_same_text(found: str, expected: str) -> None:
    """Equal but for the last digits; what is mere rounding need only be small in both."""
    assert NUMBER.sub("#", found) == NUMBER.sub("#", expected)
    pairs = zip(NUMBER.findall(found), NUMBER.findall(expected), strict=True)
    for a, b in ((float(a), float(b)) for a, b in pairs):
        assert a == pytest.approx(b, rel=1e-4) or max(abs(a), abs(b)) < 1e-6, (a, b)


def test_readme_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `tinygrad-cnn` line of the README, in order, on little of the drawn digits."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:pip .* && )?tinygrad-cnn (.*)$", text, re.MULTILINE)
    assert len(lines) >= 5
    os.symlink(ROOT / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    for line in lines:
        arguments = shlex.split(re.sub(r"--data \w+|--epochs \d+", "", line))
        little = ["--limit", "64", "--epochs", "1"] if arguments[0] == "train" else []
        no_data = ("predict", "bench")
        data = [] if arguments[0] in no_data else ["--data", "digits"]
        if arguments[0] == "bench":  # the other libraries take long to be imported
            little = ["--peers", "tinygrad_cnn"]
        assert main([*arguments, *data, *little]) == 0, line


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


@pytest.mark.parametrize("name", [name for _, name in COMMANDS])
def test_a_stored_picture_is_small_and_knows_nothing_of_a_machine(name: str) -> None:
    text = (ROOT / f"docs/pictures/{name}.svg").read_text("utf-8")
    assert len(text.encode()) <= LARGEST
    absolute = r"(?:^|[\s\"'(;])(?:/(?:home|root|tmp|usr|work|Users)/|[A-Z]:\\)"
    assert not re.search(absolute, text)


@pytest.mark.parametrize(("line", "name"), COMMANDS, ids=[name for _, name in COMMANDS])
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
