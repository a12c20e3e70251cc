"""Links to files of the repository lead to pages of the site that show them.

A Markdown link like `[mnist_net.py](../models/mnist_net.py)` works where the repository is
looked at. In the site the same link leads to a page with the file, coloured, with numbered
lines; a link to a folder to a list of its files; a link around a picture to the picture.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[2]
PREFIX = "source"


class FileLinks(SphinxTransform):
    """Marks what links to files, before Sphinx makes downloads of them."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        for kind in (addnodes.download_reference, addnodes.pending_xref):
            for node in list(self.document.findall(kind)):
                self.mark(node)

    def mark(self, node: nodes.Element) -> None:
        target, _, fragment = node["reftarget"].partition("#")
        relative, absolute = self.env.relfn2path(target, self.env.docname)
        path = Path(absolute).resolve()
        if node.get("refdomain") == "doc":  # A page, or Markdown that is none.
            path = Path(self.env.srcdir, f"{target}.md")
            if target in self.env.found_docs or not path.is_file():
                return
        elif isinstance(node, addnodes.pending_xref) and not path.is_dir():
            return
        reference = nodes.reference("", "", *node.children, internal=True)
        if any(isinstance(child, nodes.image) for child in node.children):
            reference["picture"] = relative
        else:
            shown = path.relative_to(ROOT).as_posix()
            reference["file"], reference["line"] = shown, fragment.removeprefix("L")
            for at in [shown, *(listed(path) if path.is_dir() else [])]:
                files_of(self.env).setdefault(self.env.docname, set()).add(at)
        node.replace_self(reference)


def listed(folder: Path) -> list[str]:
    """The files in a folder, as paths in the repository."""
    files = (p for p in folder.iterdir() if p.suffix in (".py", ".md"))
    return sorted(p.relative_to(ROOT).as_posix() for p in files)


def files_of(env: BuildEnvironment) -> dict[str, set[str]]:
    """The files that each page links to."""
    if not hasattr(env, "linked_files"):
        env.linked_files = {}
    return env.linked_files


def purged(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    files_of(env).pop(docname, None)


def addressed(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Gives the marked links their addresses."""
    here = posixpath.dirname(app.builder.get_target_uri(docname))
    for node in document.findall(nodes.reference):
        if "picture" in node:
            _, name = app.env.images[node["picture"]]
            node["refuri"] = posixpath.relpath(f"_images/{name}", here or ".")
        elif "file" in node:
            page = f"{PREFIX}/{node['file']}"
            line = f"#L-{node['line']}" if node["line"] else ""
            node["refuri"] = app.builder.get_relative_uri(docname, page) + line


def collected(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    """A page for every file that is linked to."""
    for path in sorted(set().union(*files_of(app.env).values())):
        body = folder_page(path) if (ROOT / path).is_dir() else file_page(app, path)
        title = f"<h1>{escape(path)}</h1>"
        yield f"{PREFIX}/{path}", {"title": path, "body": title + body}, "page.html"


def file_page(app: Sphinx, path: str) -> str:
    text = (ROOT / path).read_text("utf-8")
    try:
        language = get_lexer_for_filename(path).aliases[0]
    except ClassNotFound:
        language = "text"
    shown = app.builder.highlighter.highlight_block(  # type: ignore[attr-defined]
        text, language, linenos="inline", lineanchors="L"
    )
    return f'<div class="highlight-{language} notranslate">{shown}</div>'


def folder_page(path: str) -> str:
    names = [posixpath.basename(p) for p in listed(ROOT / path)]
    folder = posixpath.basename(path)
    lines = [f'<li><a href="{folder}/{n}.html">{escape(n)}</a></li>' for n in names]
    return f"<ul>{''.join(lines)}</ul>"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(FileLinks)
    app.connect("env-purge-doc", purged)
    app.connect("doctree-resolved", addressed)
    app.connect("html-collect-pages", collected)
    return {"parallel_read_safe": False}
