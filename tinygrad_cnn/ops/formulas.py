"""The formulas of an operation, read out of its docstring, where the derivation stands.

The docstring begins with the formula of the result, `y = …` or `y[n,c] = …`, and has for
each input x with a gradient rule one passage `∂L/∂x = …` or `∂L/∂x[n,c] = …`. A formula
ends with its sentence, at a semicolon, a colon, three spaces or the end of the paragraph;
brackets with backticks, which cite, are no part of it. Citations name a document:
`numpy-cnn` eq. 9, 21; `lenet` §2.2.2; `lenet` proof 2.
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

from .base import Op

LETTERS = {"gamma": "γ", "beta": "β"}
"""What formulas call an input, where that is not its name in `forward`."""

FORMULA = r"(?:\[[^\]]*\])* = .*?(?=[.;:](?: |$)|,? {3}|$)"
ASIDE = re.compile(r"\s*\([^()]*`[^()]*\)")
CITATION = re.compile(
    r"`(day2|day3|numpy-cnn|patches|lenet)`((?:,? (?:eq\. |§|proof )?[\d.]*\d| listing)*)"
)


class Formulas(NamedTuple):
    """What the docstring of an operation says; empty strings where it does not."""

    forward: str
    """As y[n,o] = b[o] + Σ_i x[n,i] · w[o,i]."""
    gradients: dict[str, str]
    """By the name of the input, for each gradient rule: as ∂L/∂b[o] = Σ_n g[n,o]."""
    sources: list[str]
    """As numpy-cnn eq. 9."""
    text: str
    """All of it, without indentation."""


def formulas(op: type[Op]) -> Formulas:
    """The formulas of an operation, of yours too if its docstring is written like these."""
    text = inspect.cleandoc(op.__doc__ or "")
    paragraphs = re.split(r"\n\s*\n", ASIDE.sub("", text))
    line = "   ".join(re.sub(r"\s*\n\s*", " ", p) for p in paragraphs)
    letters = {x: re.escape(LETTERS.get(x, x)) for x in op.inputs if x in op.rules}
    gradients = {x: _first(f"∂L/∂{letter}", line) for x, letter in letters.items()}
    sources = [
        name + place for name, place in CITATION.findall(re.sub(r"\s+", " ", text))
    ]
    return Formulas(_first("^y", line), gradients, list(dict.fromkeys(sources)), text)


def _first(left: str, line: str) -> str:
    found = re.search(left + FORMULA, line)
    return found[0] if found else ""
