"""A formula as docstrings write it, in plain Unicode, as LaTeX.

    ∂L/∂w[o,i] = Σ_n g[n,o] · x[n,i]
    \\frac{\\partial L}{\\partial w_{o,i}} = \\sum_{n} g_{n,o} \\cdot x_{n,i}

The language: an index stands in brackets behind its letter, x[n,c]; brackets that stand
alone are 1 or 0, [x > 0]. Letters side by side with a space are multiplied. A slash with
spaces is a fraction, a slash without is set as it stands, but ∂L/∂x and dy/dx. Powers are
raised letters (eˣ, b²) or follow a ^, subscripts lowered letters or follow a _. Values in
cases are `v where condition, else w`, or `v for condition, w for condition`, or
`v inside, w outside`. Other words are words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import NamedTuple

FUNCTIONS = {
    **{name: rf"\{name}" for name in ("exp", "ln", "log", "max", "min", "tanh")},
    **{"arctan": r"\arctan", "arcsin": r"\arcsin", "sin": r"\sin", "cos": r"\cos"},
    **{name: rf"\operatorname{{{name}}}" for name in ("sign", "softmax", "onehot")},
}
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
CLOSING = {"(": ")", "[": "]", "{": "}"}
ARTICLES = ("the", "a", "one", "another", "given")
"""Words after which comes a word, were it also the name of an input."""

COMMA, SPACED = re.compile(r"(?<!\\), "), r",\; "
HAT = "\N{COMBINING CIRCUMFLEX ACCENT}"

TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<derivative>d[A-Za-z]/d[A-Za-z](?![A-Za-z]))
    |(?P<name>[A-Za-z]+(?:_[A-Za-z]{2,})+|[A-Z][a-z]+\d[A-Za-z]*|[A-Za-z]{2,}(?:['’]s\b)?|[A-Za-zα-ω]HAT?['′]?)
    |(?P<raised>[RAISED]+)|(?P<lowered>[LOWERED]+)
    |(?P<sign>\+=|.)""".replace("HAT", HAT)
    .replace("RAISED", "".join(RAISED))
    .replace("LOWERED", "".join(LOWERED)),
    re.VERBOSE,
)


class Token(NamedTuple):
    """A piece of a formula."""

    kind: str
    text: str
    start: int = 0
    end: int = 0


END = Token("end", "")


def tokens(text: str) -> Iterator[Token]:
    """The pieces of a text (with its hats as characters of their own), spaces too."""
    for found in TOKEN.finditer(decomposed(text)):
        yield Token(str(found.lastgroup), found[0], *found.span())


def decomposed(text: str) -> str:
    """With ĝ as two characters, as x̂ is; other letters stay as they are."""
    return re.sub(
        "[âĉêĝĥîĵôŝûŵŷẑ]", lambda m: unicodedata.normalize("NFD", m[0]), text
    )


def latex(formula: str, names: Collection[str] = ()) -> str:
    """A formula as LaTeX; `names` are the names in it that are longer than a letter."""
    left, equals, right = split_at(formula, " = ")
    found = _cases(right) if equals else None
    if not found:
        return _set(formula, names)
    values, rest = found
    rows = [rf"{_set(v, names)} & {_set(c, names)}" for v, c in values]
    braced = r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"
    after = rf",\quad {_set(rest, names)}" if rest else ""
    return f"{_set(left, names)} = {braced}{after}"


def split_at(text: str, separator: str) -> tuple[str, str, str]:
    """As str.partition, but at a separator outside all brackets."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and text.startswith(separator, i):
            return text[:i], separator, text[i + len(separator) :]
    return text, "", ""


def _clauses(text: str) -> Iterator[str]:
    while text:
        clause, _, text = split_at(text, ", ")
        yield clause


def _cases(right: str) -> tuple[list[tuple[str, str]], str] | None:
    """Values with their conditions, and what comes after them; None if it is one value."""
    clauses, values = list(_clauses(right)), []
    for i, clause in enumerate(clauses):
        found = re.fullmatch(r"(.+?) ((?:where|for) .+|inside|outside)", clause)
        last = re.fullmatch(r"else (.+)", clause)
        if last and values:
            return [*values, (last[1], "else")], ", ".join(clauses[i + 1 :])
        if not found:
            break
        values.append((found[1], found[2]))
    else:
        return (values, "") if len(values) > 1 else None
    return None


def _set(formula: str, names: Collection[str]) -> str:
    return _Setter(formula, names).sequence()


class _Setter:
    """Reads a formula from left to right, and sets it."""

    def __init__(self, formula: str, names: Collection[str]) -> None:
        self.tokens, self.at, self.names = list(tokens(formula)), 0, names

    # ------------------------------------------------------------------- moving on

    def next(self, ahead: int = 0) -> Token:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else END

    def take(self) -> Token:
        token = self.next()
        self.at += 1
        return token

    def skip_space(self) -> bool:
        found = self.next().kind == "space"
        self.at += found
        return found

    def is_word(self, before: str = "") -> bool:
        """Whether an English word is next; `before` is the word before it, if any."""
        token = self.next()
        if token.kind != "name" or self.next(1).text in ("[", "("):
            return False
        if token.text == "a":  # A letter, but for "is a copy".
            after = self.next(2)
            return bool(before) and after.kind == "name" and len(after.text) > 1
        if len(token.text.strip(HAT + "'′")) == 1:
            return False
        known = token.text in self.names or token.text in FUNCTIONS
        return not known or before in ARTICLES or before in self.names

    # ------------------------------------------------------- what stands side by side

    def sequence(self, closing: str = "") -> str:
        """Terms with the operators between them, to the closing bracket or the end."""
        pieces: list[str] = []
        while self.next() is not END and self.next().text != closing:
            token = self.next()
            if self.skip_space():
                continue
            if self.is_word():
                pieces.append(self.words())
            elif token.text in OPERATORS:
                pieces.append(OPERATORS[self.take().text])
            elif token.text == "/":
                self.at += 1
                pieces.append("/")
            else:
                pieces.append(self.term(closing))
        self.at += 1
        line = " ".join(pieces)
        line = re.sub(r" ([,;:.])", r"\1", re.sub(r" ?/ ?", "/", line))
        # Between brackets and in an index there is less space behind a comma.
        return line if closing else COMMA.sub(lambda _: SPACED, line)

    def words(self) -> str:
        found = [""]
        while self.is_word(found[-1]):
            found.append(self.take().text)
            if self.next().text == "-" and self.next(1).kind == "name":
                self.at += 1
                found[-1] += "-" + self.take().text
            self.skip_space()
        end = "" if self.next() is END or self.next().text in ",;.:" else " "
        return rf"\text{{{' '.join(found)}{end}}}"

    def term(self, closing: str) -> str:
        """Factors, multiplied or divided.

        What is above the line of a fraction: the factors side by side before it, or all
        from a sum on, for a sum goes to the end of its term.
        """
        factors: list[str] = []
        above, summing = 0, False
        while self.next() is not END and self.next().text != closing:
            mark = self.at
            spaced = self.skip_space()
            text = self.next().text
            if text == "·":
                self.at += 1
                factors.append(r"\cdot")
                above = above if summing else len(factors)
            elif text == "/" and spaced and factors:
                self.at += 1
                self.skip_space()
                top = _bare(" ".join(factors[above:]))
                factors[above:] = [rf"\frac{{{top}}}{{{self.below(closing)}}}"]
            elif text in OPERATORS or text in ("/", ")", "]", "}") or self.is_word():
                self.at = mark
                break
            elif text == "|" and closing == "|":
                break
            else:
                if factors and not factors[-1].startswith((r"\cdot", r"\sum")):
                    joined = factors[-1].endswith(r"\ ")
                    factors.append("" if joined else r"\,")
                if text == "Σ" and not summing:
                    above, summing = len(factors), True
                factors.append(self.factor())
        return " ".join(filter(None, factors)).replace(r"\ ", "")

    def below(self, closing: str) -> str:
        """What is below the line of a fraction."""
        return _bare(self.term(closing) if self.next().text == "Σ" else self.factor())

    # ------------------------------------------------------------------ a single factor

    def factor(self) -> str:
        token = self.take()
        if token.kind == "derivative":
            top, below = (rf"\mathrm{{d}}{part[1]}" for part in token.text.split("/"))
            return rf"\frac{{{top}}}{{{below}}}"
        if token.text in CLOSING:
            return self.behind(self.bracketed(token.text))
        if token.text == "|":
            return rf"\lvert {self.sequence('|')} \rvert"
        if token.text == "∂":
            return self.derivative()
        if token.text == "√":
            return rf"\sqrt{{{_bare(self.factor())}}}"
        if token.text == "Σ":
            return self.behind(r"\sum")
        if token.text in FUNCTIONS:
            # The mark at the end: no space before the argument.
            return self.behind(FUNCTIONS[token.text]) + r"\ "
        if token.text == "E" and self.next().text == "[":
            return rf"\operatorname{{E}}{self.bracketed(self.take().text)}"
        return self.behind(self.symbol(token))

    def symbol(self, token: Token) -> str:
        text = token.text
        if token.kind == "name":
            letter = text.strip(HAT + "'′")
            primes = "'" * (text.count("'") + text.count("′"))
            if len(letter) > 1:
                return rf"\mathrm{{{letter}}}".replace("_", r"\_")
            letter = rf"\{GREEK[letter]}" if letter in GREEK else letter
            return (rf"\hat{{{letter}}}" if HAT in text else letter) + primes
        return SYMBOLS.get(text, text)

    def bracketed(self, opening: str) -> str:
        inside = COMMA.sub(",", self.sequence(CLOSING[opening]))
        tall = r"\frac" in inside or r"\sum" in inside
        left, right = (r"\left", r"\right") if tall else ("", "")
        return f"{left}{opening}{inside}{right}{CLOSING[opening]}"

    def derivative(self) -> str:
        top = self.factor()
        if self.next().text != "/" or self.next(1).text != "∂":
            return rf"\partial {top}"
        self.at += 2
        return rf"\frac{{\partial {top}}}{{\partial {self.factor()}}}"

    def behind(self, base: str) -> str:
        """With the indices and powers that follow without a space."""
        low, high, rest = "", "", ""
        while True:
            token = self.next()
            if token.text == "[" and not base.endswith((")", "]")) and not rest:
                self.at += 1
                index = self.sequence("]")
                comma = r",\," if " + " in index else ","
                index = COMMA.sub(comma.replace('\\', r'\\'), index)
                if low:
                    rest = f"[{index}]"
                else:
                    low = index
            elif token.kind == "raised":
                high += "".join(RAISED[c] for c in self.take().text)
            elif token.kind == "lowered":
                low += "".join(LOWERED[c] for c in self.take().text)
            elif token.text == "_":
                self.at += 1
                low += self.script()
            elif token.text == "^":
                self.at += 1
                high += self.script().replace("T", r"\mathsf{T}")
            elif token.text == "(" and base.strip("'") and token is self.next():
                # A function of what stands in the brackets, without a space between.
                if base.endswith((")", "]", "}")) and not base.startswith("\\"):
                    break
                self.at += 1
                rest += self.bracketed("(")
            else:
                break
        low, high = (f"_{{{low}}}" if low else ""), (f"^{{{high}}}" if high else "")
        return f"{base}{low}{high}{rest}"

    def script(self) -> str:
        """What _ or ^ lowers or raises: a group, or one letter with its argument."""
        if self.next().text == "{":
            self.at += 1
            return COMMA.sub(",", self.sequence("}"))
        if self.next().text in "−-":
            self.at += 1
            return "-" + self.factor()
        return self.factor()


def _bare(text: str) -> str:
    """Without brackets around all of it."""
    for left, right in (("(", ")"), (r"\left(", r"\right)")):
        if text.startswith(left) and text.endswith(right):
            inside = text[len(left) : -len(right)]
            depths, depth = [], 0
            for character in inside:
                depth += (character == "(") - (character == ")")
                depths.append(depth)
            if min(depths, default=0) >= 0:
                return inside
    return text
