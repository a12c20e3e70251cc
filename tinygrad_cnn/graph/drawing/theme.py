"""Colours and shapes of a picture.

The hues are those of `plotting`: blue is forward, orange backward, vermillion what is
pointed out. Nothing is said by colour alone: each kind has a shape or a border of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import ArgumentError
from ...output.plotting import BLUE, ORANGE, SKY_BLUE
from ..data import Node


@dataclass(frozen=True)
class Style:
    """How nodes of one kind look; `shape` and `style` are Graphviz's."""

    fill: str
    border: str
    shape: str = "box"
    style: str = "filled"


@dataclass(frozen=True)
class Theme:
    """How a picture looks. Colours are `#rrggbb`; `styles` has one Style for each kind.

    The kinds: operation, module (folded), parameter, input, constant, backward, gradient
    (where the backward pass begins) and output (an operation with one of the results).
    """

    background: str
    text: str
    muted: str
    """Text beside the names: shapes, statistics."""
    edge: str
    backward_edge: str
    cluster: str
    """The background of a module."""
    cluster_border: str
    highlight: str
    """The border of what is pointed out, and the text that says why."""
    styles: Mapping[str, Style]
    font: str = "Helvetica,Arial,sans-serif"
    formula_font: str = "Cambria,DejaVu Serif,serif"


Colours = tuple[str, str]
"""Of the inside and of the border."""


def _make_styles(
    forward: Colours, backward: Colours, value: Colours, parameter: Colours
) -> dict[str, Style]:
    """The shapes of all themes, in the colours of one."""
    rounded, dashed = "filled,rounded", "filled,dashed"
    return {
        "operation": Style(*forward, style=rounded),
        "module": Style(*forward, shape="folder"),
        "output": Style(*forward, style=rounded),
        "backward": Style(*backward, style=rounded),
        "gradient": Style(*backward, shape="ellipse"),
        "input": Style(*value, shape="ellipse"),
        "constant": Style(*value, shape="ellipse", style=dashed),
        "parameter": Style(*parameter),
    }


LIGHT = Theme(
    background="#ffffff",
    text="#1a1a1a",
    muted="#4d4d4d",
    edge="#4d4d4d",
    backward_edge="#b34700",
    cluster="#f7f7f7",
    cluster_border="#b3b3b3",
    highlight="#9c2400",
    styles=_make_styles(
        forward=("#dceefa", BLUE),
        backward=("#f5c48f", "#b34700"),
        value=("#ffffff", "#1a1a1a"),
        parameter=("#ffffff", "#7f7f7f"),
    ),
)
DARK = Theme(
    background="#1b1b1b",
    text="#f5f5f5",
    muted="#d0d0d0",
    edge="#b3b3b3",
    backward_edge=ORANGE,
    cluster="#262626",
    cluster_border="#666666",
    highlight="#ffae85",
    styles=_make_styles(
        forward=("#0b3550", SKY_BLUE),
        backward=("#6b4200", ORANGE),
        value=("#1b1b1b", "#f5f5f5"),
        parameter=("#1b1b1b", "#999999"),
    ),
)


def style_of(node: Node) -> str:
    """Which of a theme's styles is that of a node."""
    return "backward" if node.is_made and node.is_backward else node.kind


THEMES = {"light": LIGHT, "dark": DARK}


def theme_of(theme: str | Theme) -> Theme:
    """The theme of this name. Raises ArgumentError if there is none."""
    if isinstance(theme, Theme):
        return theme
    if theme not in THEMES:
        raise ArgumentError(
            f"there is no theme {theme!r}; give {' or '.join(THEMES)}, or a Theme"
        )
    return THEMES[theme]
