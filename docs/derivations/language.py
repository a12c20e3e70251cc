"""The language of the formulas in docstrings: plain Unicode, and its pieces.

An index stands in brackets behind its letter, x[n,c]; brackets that stand alone are 1 or
0, [x > 0]. Letters side by side with a space are multiplied. A slash with spaces is a
fraction, a slash without is set as it stands, but ∂L/∂x and dy/dx. Powers are raised
letters (eˣ, b²) or follow a ^, subscripts lowered letters or follow a _. Values in cases
are `v where condition, else w`, or `v for condition, w for condition`, or
`v inside, w outside`. Other words are words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

FUNCTIONS = {
    **{name: rf"\{name}" for name in ("exp", "ln", "log", "max", "min")},
    **{name: rf"\{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: rf"\{name}" for name in ("arcsin", "arccos", "arctan")},
    **{name: rf"\operatorname{{{name}}}" for name in ("sign", "softmax", "onehot")},
    **{name: rf"\operatorname{{{name}}}" for name in ("arsinh", "arcosh", "artanh")},
    **{name: rf"\operatorname{{{name}}}" for name in ("erf",)},
}
REPEATED = {"Σ": r"\sum", "Π": r"\prod"}
GREEK = {
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon"},
    **{"η": "eta", "θ": "theta", "λ": "lambda", "μ": "mu", "ρ": "rho", "σ": "sigma"},
    **{"φ": "varphi", "π": "pi", "τ": "tau", "ω": "omega"},
}
OPERATORS = {
    **{"−": "-", "-": "-", "+": "+", "=": "=", "<": "<", ">": ">", "∗": "*"},
    **{"≤": r"\le", "≥": r"\ge", "≠": r"\ne", "×": r"\times", "→": r"\to"},
    **{"≈": r"\approx", "±": r"\pm", "∈": r"\in", "+=": r"\mathrel{+}="},
    **{",": ",", ";": ";", ":": ":", ".": "."},
}
SYMBOLS = {"∞": r"\infty", "…": r"\ldots", "°": r"{}^\circ", "%": r"\%"}
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ᵃᵇᵏⁿᵗˣ", "0123456789-+abkntx", strict=True))
RAISED["ᵀ"] = r"\mathsf{T}"
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉ᵢⱼₖₙₜₓ", "0123456789ijkntx", strict=True))
HAT = "\N{COMBINING CIRCUMFLEX ACCENT}"

# A name is letters, as max or negative_slope or Conv2d or document's, or a letter, with a
# hat or a prime.
TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<derivative>d[A-Za-z]/d[A-Za-z](?![A-Za-z]))
    |(?P<name>[A-Za-z]+(?:_[A-Za-z]{{2,}})+
        |[A-Z][a-z]+\d[A-Za-z]*
        |[A-Za-z]{{2,}}(?:['’]s\b)?
        |[A-Za-zα-ω]{HAT}?['′]?)
    |(?P<raised>[{"".join(RAISED)}]+)
    |(?P<lowered>[{"".join(LOWERED)}]+)
    |(?P<sign>\+=|.)""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """A piece of a formula, and where it is in the text."""

    kind: str
    text: str
    start: int = 0
    end: int = 0

    @property
    def is_letter(self) -> bool:
        """Whether it is a single letter, whatever its hat."""
        return self.kind == "name" and len(self.text.strip(f"{HAT}'′")) == 1


END = Token("end", "")


def tokens(text: str) -> Iterator[Token]:
    """The pieces of a text whose hats are characters of their own (`decomposed`)."""
    for found in TOKEN.finditer(text):
        yield Token(str(found.lastgroup), found[0], *found.span())


def decomposed(text: str) -> str:
    """With ĝ as two characters, as x̂ is; other letters stay as they are."""
    return re.sub("[âĉêĝĥîĵôŝûŵŷẑ]", lambda m: unicodedata.normalize("NFD", m[0]), text)


def split_at(text: str, separator: str) -> tuple[str, str, str]:
    """As str.partition, but at a separator outside all brackets."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and text.startswith(separator, i):
            return text[:i], separator, text[i + len(separator) :]
    return text, "", ""


def clauses(text: str) -> Iterator[str]:
    """What stands between the commas outside all brackets."""
    while text:
        clause, _, text = split_at(text, ", ")
        yield clause
