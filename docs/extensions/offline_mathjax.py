"""Serves MathJax from the site itself, so that formulas are set without a network.

The package sphinx-mathjax-offline brings MathJax 3. Of its 24 MB a page needs one script,
the fonts, and the extensions that rarer commands load; these alone are copied.
"""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path

from sphinx.application import Sphinx

FOLDER = "mathjax"
SCRIPT = "tex-chtml.js"
FOLDERS = ("output/chtml/fonts/woff-v2", "input/tex/extensions")


def mathjax() -> Path:
    """Where the package keeps its files. Its name is no identifier: it is not imported."""
    package = distribution("sphinx-mathjax-offline")
    return Path(str(package.locate_file("sphinx-mathjax-offline/static/mathjax")))


def copied(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    to = Path(app.outdir) / "_static" / FOLDER
    to.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(mathjax() / SCRIPT, to / SCRIPT)
    for folder in FOLDERS:
        shutil.copytree(mathjax() / folder, to / folder, dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.mathjax")
    app.connect("build-finished", copied)
    return {"parallel_read_safe": True}
