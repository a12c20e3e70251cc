"""Pictures by matplotlib: the same file each time, and whole files only."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from .files import replacing

FORMATS = ("svg", "png", "pdf")

BLACK, BLUE, SKY_BLUE, ORANGE = "#000000", "#0072b2", "#56b4e9", "#e69f00"
YELLOW, GREEN, PURPLE, VERMILLION = "#f0e442", "#009e73", "#cc79a7", "#d55e00"
"""Of Okabe and Ito ("Color Universal Design", 2008), which people with any colour blindness
can tell apart."""

COLOURS = (BLACK, BLUE, SKY_BLUE, ORANGE, YELLOW, GREEN, PURPLE, VERMILLION)
"""In an order that alternates in grey."""


def check(path: Path) -> None:
    """Raise ArgumentError for a file of another ending, and where matplotlib is missing."""
    if path.suffix[1:] not in FORMATS:
        raise ArgumentError(
            f"{path} is no picture that can be drawn; .{', .'.join(FORMATS)} are"
        )
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ArgumentError(
            "to draw the picture, `pip install matplotlib` (the extra tinygrad-cnn[plot])"
        ) from None


def save(draw: Callable[[Any], None], path: Path, **settings: Any) -> None:
    """Write what `draw` does to an empty Figure into an .svg, .png or .pdf file.

    settings: more of matplotlib's rcParams. Raises as `check`.
    """
    check(path)
    import matplotlib
    from matplotlib.figure import Figure

    # Words as text, and the same file each time.
    fixed: Any = {"svg.hashsalt": "tinygrad_cnn", "svg.fonttype": "none", **settings}
    with matplotlib.rc_context(fixed):
        figure = Figure(layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        about = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(buffer, format=path.suffix[1:], dpi=150, metadata=about)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(buffer.getvalue())
