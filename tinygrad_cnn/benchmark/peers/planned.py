"""This package, with a training step that is planned once and then replayed.

`tinygrad_cnn.planned(function)` does not exist yet. THE ONE PLACE TO CHANGE once it does:
this file takes part by itself as soon as the package has that name; if it is called
otherwise, or takes other arguments, change the two lines that say `planned` below.
"""

from __future__ import annotations

from ..cases import Case
from . import ours
from .base import Program, Unsupported
from .torch_style import Style
from .torch_style import build as build_in_style

LIBRARY = "tinygrad_cnn.optim"


def available() -> str | None:
    """The version, if it can plan."""
    import tinygrad_cnn

    exists = callable(getattr(tinygrad_cnn, "planned", None))
    return ours.available() if exists else None


def build(case: Case) -> Program:
    """The program of a case."""
    import tinygrad_cnn
    import tinygrad_cnn.optim

    if case.kind != "training":
        raise Unsupported("only training steps are planned")
    return build_in_style(case, Style(tinygrad_cnn, whole=tinygrad_cnn.planned))
