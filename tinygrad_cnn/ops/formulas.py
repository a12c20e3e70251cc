"""The formulas of an operation, taken from its docstring, where the derivation stands."""

from __future__ import annotations

import re

from .base import Op

GRADIENT = re.compile(r"∂L/∂(\w+)(?:\[[^\]]*\])? = ([^.;\n]*?)(?=,   |\.|;|\n|$)")


def formulas(op: type[Op]) -> tuple[str, dict[str, str]]:
    """The formula of the result, and of the gradient for each input by its name."""
    text = op.__doc__ or ""
    forward = re.split(r"\.?   |\.?\n|\. ", text, maxsplit=1)[0]
    return forward, {
        name: f"∂L/∂{name} = {rule}" for name, rule in GRADIENT.findall(text)
    }
