"""The page: one HTML file that holds a run and the code that shows it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Callable
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ...core.engine import Tensor
from ...core.running import unchanged
from ...errors import ArgumentError
from ...nn import Module
from ...nn.loss import loss_of
from ...output.files import replacing
from ...output.text import format_bytes
from .run import Run

MODULES: tuple[str, ...] = (
    "data",
    "formula",
    "elements",
    "state",
    "matrix",
    "quiz",
    "number",
)
MODULES += "operation", "strip", "player", "search", "main"
"""The page's code, each after those it imports."""

LIMIT = 8 * 2**20
"""So many bytes a page may have: a phone opens it still."""

TARGET = 5 * 2**20
"""Above this many, as far as can be known before, numbers are rounded."""

DIGITS = {4: 7, 3: 5, 2: 2}
"""How many decimal digits of a number so many of its bytes hold."""


class Page:
    """A run of a model, to be stepped through in a browser: one file that needs no other.

    In a notebook it shows itself. html: the file's text.
    """

    def __init__(self, run: Run, title: str) -> None:
        self.title = title
        count = sum([array.size for array in run.arrays])
        width = next((k for k in DIGITS if count * k * 5 / 4 <= TARGET), 2)
        header = {"title": title, "digits": DIGITS[width], "nodes": run.nodes}
        self.html = _document(title, _pack(header, run.arrays, width))
        if len(self.html) > LIMIT:
            size = format_bytes(len(self.html))
            raise ArgumentError(
                f"the page would have {size}, more than {format_bytes(LIMIT)}: give a "
                "smaller model, or a smaller or a single image"
            )

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the file; return where it is."""
        with replacing(path) as file:
            file.write(self.html.encode())
        return Path(path)

    def _repr_html_(self) -> str:
        text = html.escape(self.html)
        return (
            f'<iframe srcdoc="{text}" sandbox="allow-scripts" title="{_plain(self.title)}" '
            'width="100%" height="900" style="border:1px solid #888"></iframe>'
        )

    def __repr__(self) -> str:
        size = format_bytes(len(self.html.encode()))
        return f"a page of {size}: {self.title}; .save('page.html') writes it"


def explore(
    model: Module,
    x: Tensor,
    labels: Tensor | None = None,
    *,
    loss: Callable[..., Tensor] | None = None,
    title: str = "",
) -> Page:
    """A page that steps through the forward and backward pass of loss(model(x), labels).

    x: what the model takes, images say; one is best to look at. labels: for the loss. loss:
    default: the model's own, else cross-entropy; loss(model(x)) without labels. title:
    default: the model's class.

    The page has every value and every gradient in float32, of x as well, and takes each
    number apart into the terms of its formula. Of more than a million numbers it has about
    five digits, then two, and says so. The model is run as it is, and left so.
    Raises ArgumentError if there would be no loss of one element, or a page above 8 MiB.

        explore(model, images[:1], labels[:1]).save("page.html")
    """
    asked = x.detach()
    if x.dtype.kind == "f":
        asked = asked.clone().requires_grad_()
    with unchanged(model):
        found = loss_of(model, model(asked), labels, loss)
        if not isinstance(found, Tensor) or found.numel() != 1:
            raise ArgumentError("explore() needs a loss of one element: give labels")
        run = Run(found, {"": model, "input": asked, "labels": labels})
    return Page(run, title or type(model).__name__)


def _pack(header: dict[str, Any], arrays: list[Any], width: int) -> str:
    """Lengths, JSON and float32 numbers: deflated, in base64.

    The bytes of equal place in all numbers stand together, which deflates better; only
    the first `width` of each are not 0.
    """
    shapes = [array.shape for array in arrays]
    text = json.dumps(header | {"arrays": shapes}, allow_nan=False).encode()
    flat = [np.ravel(array).astype("<f4") for array in arrays]
    numbers = np.concatenate(flat) if flat else np.zeros(0, "<f4")
    _round(numbers, width)
    planes = numbers.view(np.uint8).reshape(-1, 4).T.tobytes()
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = deflate.compress(len(text).to_bytes(4, "little") + text + planes)
    return base64.b64encode(packed + deflate.flush()).decode()


def _round(numbers: Any, width: int) -> None:
    """Round float32 numbers, in place, to their first so many bytes."""
    unit = np.uint32(1 << 8 * (4 - width))
    bits = numbers.view(np.uint32)
    finite = np.isfinite(numbers)
    bits[finite] = (bits[finite] + unit // 2) // unit * unit


def _document(title: str, data: str) -> str:
    """The HTML. Nothing in it but the title comes from the user; the rest is in `data`."""
    folder = files(__package__) / "page"
    style = (folder / "page.css").read_text("utf-8")
    script = "\n".join(
        _module((folder / f"{m}.js").read_text("utf-8")) for m in MODULES
    )
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_plain(title)}</title>
<style>{style}</style>
</head>
<body>
<main id="page"><p>This page needs JavaScript, and a browser of 2023 or later.</p></main>
<script type="application/octet-stream" id="data">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def _module(text: str) -> str:
    """A module as part of a longer one: without imports, and with nothing exported."""
    text = re.sub(r'^import .*? from "\./\w+\.js";\n', "", text, flags=re.M | re.S)
    return re.sub(r"^export ", "", text, flags=re.M)


def _plain(text: str) -> str:
    """Text for HTML, without what is no character there."""
    shown = "".join([c if c.isprintable() else "\ufffd" for c in text])
    return html.escape(shown)


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
