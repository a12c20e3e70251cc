"""What README and docs show is true: their examples run, and print what they say."""

import doctest
import os
import re
import shlex
from pathlib import Path

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
        data = [] if arguments[0] == "predict" else ["--data", "digits"]
        assert main([*arguments, *data, *little]) == 0, line
