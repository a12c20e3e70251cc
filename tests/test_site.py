"""The site: it builds without a warning, and everything on it is there."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tinygrad_cnn.ops import registry

ROOT = Path(__file__).parent.parent
NEEDS = ("sphinx", "furo", "myst-nb", "sphinx-mathjax-offline")
VOID = {
    "area",
    "br",
    "col",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "path",
    "source",
    "wbr",
}


class Page(HTMLParser):
    """The ids and links of a page, what it loads, and its words."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.words: list[str] = []
        self.within: list[tuple[str, str]] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self.within.append((tag, named.get("class", "")))
        self.ids.add(named.get("id", ""))
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        if tag in ("script", "img") and "src" in named:
            self.loaded.append(named["src"])
        if tag == "link" and named.get("rel") in ("stylesheet", "preload"):
            self.loaded.append(named["href"])

    def handle_endtag(self, tag: str) -> None:
        while tag not in VOID and self.within and self.within.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        unread = ("math", "highlight", "toc-tree")
        classes = " ".join(c for _, c in self.within)
        tags = {tag for tag, _ in self.within}
        if not tags & {"script", "style", "code", "title", "svg"} and "article" in tags:
            self.words += [] if any(c in classes for c in unread) else [data]


@pytest.mark.slow
def test_the_site(tmp_path: Path) -> None:
    """In one test, for building takes some seconds."""
    for name in NEEDS:
        try:
            distribution(name)
        except PackageNotFoundError:
            pytest.skip(f"{name} is not installed; it is part of the extra docs")
    if not (ROOT / "docs/reproduced").exists():
        pytest.skip(
            "docs/reproduced, which `tinygrad-cnn reproduce` writes, is missing"
        )
    site = tmp_path / "html"
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *build_arguments(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (built.returncode, built.stderr) == (0, "")
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 40
    assert list(dead_links(pages)) == []
    from_elsewhere = [u for p in pages.values() for u in p.loaded if urlsplit(u).netloc]
    assert from_elsewhere == []
    derivations = [
        p for path, p in pages.items() if path.parent == site / "derivations"
    ]
    ids = {name for page in derivations for name in page.ids}
    assert {name.lower() for name in registry} <= ids
    raw = [w for page in derivations for w in page.words if re.search(r"∂|Σ|\$", w)]
    assert raw == []
    notices = [w for p in pages.values() for w in p.words if "System Message" in w]
    assert notices == []


def build_arguments(site: Path) -> list[str]:
    """Those of the command that a person types, with another place for the result."""
    page = (ROOT / "docs/contributing.md").read_text("utf-8")
    command = re.search(r"^sphinx-build (.*) docs/_build/html$", page, re.MULTILINE)
    assert command
    checked = (ROOT / ".ci/check").read_text("utf-8").replace(" -q", "")
    assert f"sphinx-build {command[1]} docs/_build/html" in checked
    given = shlex.split(command[1])
    return [*given, "-q", "-d", str(site.parent / "doctrees"), str(site)]


def dead_links(pages: dict[Path, Page]) -> Iterator[tuple[str, str]]:
    """Links and files to load that are not there, with the page that has them."""
    for path, page in pages.items():
        for address in [*page.links, *page.loaded]:
            url = urlsplit(address)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not target.is_file():
                yield path.name, address
            elif url.fragment and target in pages:
                there = unquote(url.fragment) in pages[target].ids
                yield from [] if there else [(path.name, address)]
