"""A formula as docstrings write it (see `language`), as LaTeX.

∂L/∂w[o,i] = Σ_n g[n,o] · x[n,i]
\\frac{\\partial L}{\\partial w_{o,i}} = \\sum_{n} g_{n,o} \\cdot x_{n,i}
"""

from __future__ import annotations

import re
from collections.abc import Collection

from .language import (
    END,
    FUNCTIONS,
    GREEK,
    HAT,
    LOWERED,
    OPERATORS,
    RAISED,
    REPEATED,
    SYMBOLS,
    Token,
    clauses,
    decomposed,
    split_at,
    tokens,
)

CLOSING = {"(": ")", "[": "]", "{": "}"}
COMMA = re.compile(r"(?<!\\), ")
ARTICLES = ("the", "a", "one", "another", "given")
"""Words after which comes a word, were it also the name of an input."""


def latex(formula: str, names: Collection[str] = ()) -> str:
    """A formula as LaTeX; `names` are the names in it that are longer than a letter."""

    def plain(text: str) -> str:
        return Setter(decomposed(text), names).sequence()

    left, equals, right = split_at(formula, " = ")
    values, rest = in_cases(right) if equals else ([], "")
    if not values:
        return plain(formula)
    rows = r" \\ ".join(f"{plain(value)} & {plain(where)}" for value, where in values)
    after = rf",\quad {plain(rest)}" if rest else ""
    return rf"{plain(left)} = \begin{{cases}} {rows} \end{{cases}}{after}"


def in_cases(right: str) -> tuple[list[tuple[str, str]], str]:
    """Values with their conditions, and what comes after; no values if not in cases."""
    parts = list(clauses(right))
    values: list[tuple[str, str]] = []
    for i, part in enumerate(parts):
        if values and part.startswith("else "):
            values.append((part.removeprefix("else "), "else"))
            return values, ", ".join(parts[i + 1 :])
        found = re.fullmatch(r"(.+?) ((?:where|for) .+|inside|outside)", part)
        if not found:
            return [], ""
        values.append((found[1], found[2]))
    return (values, "") if len(values) > 1 else ([], "")


class Setter:
    """Reads a formula from left to right, and sets it."""

    def __init__(self, formula: str, names: Collection[str]) -> None:
        self.tokens, self.at, self.names = list(tokens(formula)), 0, names

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

    # ------------------------------------------------------------- lines, words, terms

    def sequence(self, closing: str = "") -> str:
        """Terms with the operators between them, to the closing bracket or the end."""
        pieces: list[str] = []
        while self.next() is not END and self.next().text != closing:
            if self.skip_space():
                continue
            if self.is_word():
                pieces.append(self.words())
            elif self.next().text in OPERATORS:
                pieces.append(OPERATORS[self.take().text])
            elif self.next().text == "/":
                pieces.append(self.take().text)
            else:
                pieces.append(self.term(closing))
        self.at += 1
        line = re.sub(r" ?/ ?", "/", " ".join(pieces))
        line = re.sub(r" ([,;:.])", r"\1", line)
        # Between brackets and in an index there is less space behind a comma.
        return line if closing else COMMA.sub(r",\\; ", line)

    def is_word(self, before: str = "") -> bool:
        """Whether an English word is next; `before` is the word before it, if any."""
        token = self.next()
        if token.kind != "name" or self.next(1).text in ("[", "("):
            return False
        if token.text == "a":  # A letter, but for "is a copy".
            after = self.next(2)
            return bool(before) and after.kind == "name" and not after.is_letter
        if token.is_letter:
            return False
        known = token.text in self.names or token.text in FUNCTIONS
        return not known or before in ARTICLES or before in self.names

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
        tight = True  # No space before the next factor: at the beginning, behind ln.
        while self.next() is not END and self.next().text not in (closing, *")]}"):
            mark = self.at
            spaced = self.skip_space()
            token = self.next()
            if token.text == "·":
                self.at += 1
                factors.append(r"\cdot")
                above, tight = above if summing else len(factors), True
            elif token.text == "/" and spaced and factors:
                self.at += 1
                self.skip_space()
                top = bare(" ".join(factors[above:]))
                factors[above:] = [rf"\frac{{{top}}}{{{self.below(closing)}}}"]
                tight = False
            elif token is END or token.text in (*OPERATORS, "/") or self.is_word():
                self.at = mark
                break
            else:
                factors += [] if tight else [r"\,"]
                if token.text in REPEATED and not summing:
                    above, summing = len(factors), True
                factors.append(self.factor())
                tight = token.text in (*FUNCTIONS, *REPEATED)
        return " ".join(factors)

    def below(self, closing: str) -> str:
        """What is below the line of a fraction."""
        return bare(
            self.term(closing) if self.next().text in REPEATED else self.factor()
        )

    # ------------------------------------------------------------------ a single factor

    def factor(self) -> str:
        token = self.take()
        if token.kind == "derivative":
            top, below = (rf"\mathrm{{d}}{part[1]}" for part in token.text.split("/"))
            return rf"\frac{{{top}}}{{{below}}}"
        if token.text in CLOSING:
            return self.scripted(self.bracketed(token.text), called=False)
        if token.text == "|":
            return self.scripted(rf"\lvert {self.sequence('|')} \rvert", called=False)
        if token.text == "∂":
            return self.derivative()
        if token.text == "√":
            return rf"\sqrt{{{bare(self.factor())}}}"
        if token.text in REPEATED:
            return self.scripted(REPEATED[token.text], called=False)
        if token.text in FUNCTIONS:
            return self.scripted(FUNCTIONS[token.text])
        if token.text == "E" and self.next().text == "[":
            return rf"\operatorname{{E}}{self.bracketed(self.take().text)}"
        return self.scripted(symbol(token))

    def bracketed(self, opening: str) -> str:
        inside = COMMA.sub(",", self.sequence(CLOSING[opening]))
        tall = any(large in inside for large in (r"\frac", *REPEATED.values()))
        left, right = (r"\left", r"\right") if tall else ("", "")
        return f"{left}{opening}{inside}{right}{CLOSING[opening]}"

    def derivative(self) -> str:
        top = self.factor()
        if self.next().text != "/" or self.next(1).text != "∂":
            return rf"\partial {top}"
        self.at += 2
        return rf"\frac{{\partial {top}}}{{\partial {self.factor()}}}"

    def scripted(self, base: str, called: bool = True) -> str:
        """With the indices and powers that follow without a space.

        And with the arguments, if it may be called: σ(x), but not (a + b)(c + d). A second
        index stays in its brackets.
        """
        low, high, behind = "", "", ""
        while not behind:
            token = self.next()
            if token.text == "[":
                self.at += 1
                index = self.index()
                low, behind = (low, f"[{index}]") if low else (index, "")
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
            elif token.text == "(" and called:
                behind = self.bracketed(self.take().text)
            else:
                break
        low, high = (f"_{{{low}}}" if low else ""), (f"^{{{high}}}" if high else "")
        return f"{base}{low}{high}{behind}"

    def index(self) -> str:
        """What stands between square brackets; with more space where it is long."""
        inside = self.sequence("]")
        return COMMA.sub(r",\\," if " + " in inside else ",", inside)

    def script(self) -> str:
        """What _ or ^ lowers or raises: a group, or one letter with its argument."""
        if self.next().text == "{":
            self.at += 1
            return COMMA.sub(",", self.sequence("}"))
        if self.next().text == "−":
            self.at += 1
            return "-" + self.factor()
        return self.factor()


def symbol(token: Token) -> str:
    """A number, a sign, or a name: of one letter in italics, else upright."""
    text = token.text
    if token.kind != "name":
        return SYMBOLS.get(text, text)
    name = text.strip(f"{HAT}'′")
    if not token.is_letter:
        return rf"\mathrm{{{name}}}".replace("_", r"\_")
    letter = rf"\{GREEK[name]}" if name in GREEK else name
    letter = rf"\hat{{{letter}}}" if HAT in text else letter
    return letter + "'" * (text.count("'") + text.count("′"))


def bare(text: str) -> str:
    """Without brackets around all of it."""
    for left, right in (("(", ")"), (r"\left(", r"\right)")):
        if not (text.startswith(left) and text.endswith(right)):
            continue
        inside = text[len(left) : -len(right)]
        depth = [
            inside[:i].count("(") - inside[:i].count(")") for i in range(len(inside))
        ]
        if min(depth, default=0) >= 0:
            return inside
    return text
