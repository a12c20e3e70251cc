"""Colours and shapes of a picture.

The hues are those of Okabe and Ito ("Color Universal Design", 2008), which people with any
colour blindness can tell apart: blue is forward, orange backward, vermillion what is
pointed out. Nothing is said by colour alone: each kind has a shape or a border of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ArgumentError
from .data import Node


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


LIGHT = Theme(
    background="#ffffff",
    text="#1a1a1a",
    muted="#4d4d4d",
    edge="#4d4d4d",
    backward_edge="#b34700",
    cluster="#f7f7f7",
    cluster_border="#b3b3b3",
    highlight="#9c2400",
    styles={
        "operation": Style("#dceefa", "#0072b2", style="filled,rounded"),
        "module": Style("#dceefa", "#0072b2", shape="folder"),
        "output": Style("#dceefa", "#0072b2", style="filled,rounded"),
        "backward": Style("#f5c48f", "#b34700", style="filled,rounded"),
        "gradient": Style("#f5c48f", "#b34700", shape="ellipse"),
        "input": Style("#ffffff", "#1a1a1a", shape="ellipse"),
        "constant": Style("#ffffff", "#1a1a1a", shape="ellipse", style="filled,dashed"),
        "parameter": Style("#ffffff", "#7f7f7f"),
    },
)
DARK = Theme(
    background="#1b1b1b",
    text="#f5f5f5",
    muted="#d0d0d0",
    edge="#b3b3b3",
    backward_edge="#e69f00",
    cluster="#262626",
    cluster_border="#666666",
    highlight="#ffae85",
    styles={
        "operation": Style("#0b3550", "#56b4e9", style="filled,rounded"),
        "module": Style("#0b3550", "#56b4e9", shape="folder"),
        "output": Style("#0b3550", "#56b4e9", style="filled,rounded"),
        "backward": Style("#6b4200", "#e69f00", style="filled,rounded"),
        "gradient": Style("#6b4200", "#e69f00", shape="ellipse"),
        "input": Style("#1b1b1b", "#f5f5f5", shape="ellipse"),
        "constant": Style("#1b1b1b", "#f5f5f5", shape="ellipse", style="filled,dashed"),
        "parameter": Style("#1b1b1b", "#999999"),
    },
)


def style_of(node: Node) -> str:
    """Which of a theme's styles is that of a node."""
    backward = node.backward_of is not None and node.kind in ("operation", "module")
    return "backward" if backward else node.kind


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
