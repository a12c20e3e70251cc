"""This package, one operation after the other."""

from __future__ import annotations

from ..cases import Case
from .base import Program
from .torch_style import Style
from .torch_style import build as build_in_style

LIBRARY = "tinygrad_cnn.optim"


def available() -> str:
    """The version."""
    from ... import __version__

    return __version__


def build(case: Case) -> Program:
    """The program of a case."""
    import tinygrad_cnn
    import tinygrad_cnn.optim

    return build_in_style(case, Style(tinygrad_cnn))
