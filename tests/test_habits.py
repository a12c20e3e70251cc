"""What is written once and used in several places: the version, and the checks."""

import re
from pathlib import Path

import pytest

import tinygrad_cnn

ROOT = Path(__file__).parent.parent
CALLERS = [
    ".ci/run",
    ".pre-commit-config.yaml",
    ".github/workflows/ci.yml",
    "docs/contributing.md",
]


def text_of(name):
    return (ROOT / name).read_text("utf-8")


def test_the_changelog_begins_with_this_version():
    versions = re.findall(
        r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", text_of("docs/changelog.md"), re.M
    )
    assert versions[0] == tinygrad_cnn.__version__
    assert len(versions) == text_of("docs/changelog.md").count("\n## ")


def test_the_version_is_written_once():
    assert f'"{tinygrad_cnn.__version__}"' not in text_of("pyproject.toml")
    assert 'path = "tinygrad_cnn/__init__.py"' in text_of("pyproject.toml")


@pytest.mark.parametrize("name", CALLERS)
def test_checks_are_called_by_names_that_there_are(name):
    known = re.findall(r"^    (\w+)\)", text_of(".ci/check"), re.M)
    called = re.findall(r"\.ci/check((?: [a-z]+)*)[`\n]", text_of(name))
    assert called
    assert {word for words in called for word in words.split()} <= set(known)


def test_the_workflow_begins_with_the_oldest_python_that_is_promised():
    promised = re.findall(
        r"requires-python = \">=3\.(\d+)\"", text_of("pyproject.toml")
    )
    tried = re.findall(r'"3\.(\d+)"', text_of(".github/workflows/ci.yml"))
    assert min(map(int, tried)) == int(promised[0])
