"""The formulas of an operation, read out of its docstring, where the derivation stands.

The docstring begins with the formula of the result, `y = …` or `y[n,c] = …`, and has for
each input x with a gradient rule one passage `∂L/∂x = …` or `∂L/∂x[n,c] = …`. A formula
ends with its sentence, at a semicolon, a colon, three spaces or the end of the paragraph;
brackets that cite are no part of it. Citations name one of the documents in backticks:
`numpy-cnn` eq. 9, 21; `lenet` §2.2.2; `lenet` proof 2.
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

from .base import Op

LETTERS = {"gamma": "γ", "beta": "β"}
"""Inputs that formulas call otherwise than `forward` does."""

CITATION = re.compile(
    r"`(day2|day3|numpy-cnn|patches|lenet)`((?:,? (?:eq\. |§|proof )?[\d.]*\d| listing)*)"
)
CITING_BRACKETS = re.compile(r"\s*\([^()]*`[^()]*\)")
FORMULA = r"((?:\[[^\]]*\])* = .*?)(?=[.;:](?: |$)|,? {3}|$)"


class Formulas(NamedTuple):
    """What an operation's docstring says; an empty string where it does not."""

    forward: str
    """As y[n,o] = b[o] + Σ_i x[n,i] · w[o,i]."""
    gradients: dict[str, str]
    """As ∂L/∂b[o] = Σ_n g[n,o], by the name of the input, for each gradient rule."""
    sources: list[str]
    """As numpy-cnn eq. 9."""
    text: str
    """All of it, without the indentation."""


def formulas(op: type[Op]) -> Formulas:
    """The formulas in the docstring of an operation."""
    text = inspect.cleandoc(op.__doc__ or "")
    line = re.sub(r"\s*\n\s*", " ", CITING_BRACKETS.sub("", text.replace("\n\n", "   ")))
    letters = {x: LETTERS.get(x, x) for x in op.inputs if x in op.rules}
    found = {x: _formula(f"∂L/∂{letter}", line) for x, letter in letters.items()}
    sources = [name + place for name, place in CITATION.findall(" ".join(text.split()))]
    start = "y" if line.startswith("y") else "∅"
    return Formulas(_formula(start, line), found, list(dict.fromkeys(sources)), text)


def _formula(left: str, line: str) -> str:
    """The first formula with this left side."""
    found = re.search(re.escape(left) + FORMULA, line)
    return left + found[1] if found else ""
