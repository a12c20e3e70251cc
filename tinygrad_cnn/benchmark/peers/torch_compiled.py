"""PyTorch with `torch.compile`: the forward pass with its backward pass, and the update."""

from __future__ import annotations

import os

from ..cases import Case
from .base import Program, Unsupported, version
from .torch_style import Style
from .torch_style import build as build_in_style

LIBRARY = "torch"


def available() -> str | None:
    """The version, or None."""
    return version("torch")


def build(case: Case) -> Program:
    """The program of a case; compiled at its first step."""
    import torch

    if case.kind == "chain":
        raise Unsupported("compiling a thousand operations takes minutes")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return build_in_style(case, Style(torch, torch.compile, torch.compile))
