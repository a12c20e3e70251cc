"""The grammar of formulas that are executed: text to expressions (see `index_formulas`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..errors import ArgumentError

TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d+)?)|(Σ|max)_(\{[\w,]+\}|\w)|([^\W\d²][^\W²]*|…)|(\S))"
)
REMARK = re.compile(r", (along one axis|the mean of n values)$")
FUNCTIONS = "exp", "ln", "max", "tanh", "σ"
RELATIONS = "=", "≠", "<", ">", "≤", "≥"


class Expression(NamedTuple):
    """Part of a formula, and as JSON a list.

    kind: "at" (an entry; text is the array, parts are the indices), "letter", "number"
    (text: its letter, if it has one), "Σ" and "max" (text: letters, with commas), "call"
    (text: the function), "[]" (text: the relation), "()", "+", "−", "·", "/", "²" or
    "negative".
    """

    kind: str
    text: str = ""
    parts: tuple[Expression, ...] = ()
    value: float = 0.0

    def walk(self) -> Iterator[Expression]:
        """This and all within it."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def change(self, f: Callable[[Expression], Expression]) -> Expression:
        """With f of each part in its place, inner ones first."""
        return f(self._replace(parts=tuple([part.change(f) for part in self.parts])))


class Formula(NamedTuple):
    """left = right where letter = …, for each of `where`."""

    left: Expression
    right: Expression
    where: tuple[tuple[str, Expression], ...] = ()


ZERO = Expression("number")


def read(text: str) -> Formula:
    """The formula of a text. Raises ArgumentError for what is not written as above."""
    equation, _, condition = REMARK.sub("", text).partition("where ")
    reader = _Reader(equation.strip().removeprefix("∂L/∂"))
    left = reader.value()
    reader.take("=")
    right = reader.sum()
    if reader.next not in ("", "="):  # a second equality says the same once more
        raise ArgumentError(f"cannot read {reader.next!r} in {text!r}")
    if not condition:
        return Formula(left, right)
    reader = _Reader(condition)
    letters = reader.listed("(", ")")
    reader.take("=")
    values = reader.listed("(", ")")
    if reader.next or len(letters) != len(values):
        raise ArgumentError(f"cannot read the condition of {text!r}")
    names = [letter.text for letter in letters]
    return Formula(left, right, tuple(zip(names, values, strict=True)))


class _Reader:
    """Reads expressions from their tokens, by descent."""

    def __init__(self, text: str) -> None:
        self.tokens = [match.groups("") for match in TOKEN.finditer(text.strip())]
        self.at = 0

    @property
    def next(self) -> str:
        """The token that comes, without the letters of a sum; "" at the end."""
        return next(filter(None, self.tokens[self.at]), "") if self.more else ""

    @property
    def more(self) -> bool:
        return self.at < len(self.tokens)

    def take(self, mark: str) -> None:
        if self.next != mark:
            raise ArgumentError(f"expected {mark!r} in a formula, not {self.next!r}")
        self.at += 1

    def listed(self, opening: str, closing: str) -> tuple[Expression, ...]:
        self.take(opening)
        found = [self.sum()]
        while self.next == ",":
            self.take(",")
            found.append(self.sum())
        self.take(closing)
        return tuple(found)

    def sum(self) -> Expression:
        left = self.product()
        while (sign := self.next) in ("+", "−"):
            self.take(sign)
            left = Expression(sign, parts=(left, self.product()))
        return left

    def product(self) -> Expression:
        if self.next == "−":
            self.take("−")
            return Expression("negative", parts=(self.product(),))
        left = self.squared()
        while self.more and self.next not in ("+", "−", ",", ")", "]", *RELATIONS):
            sign = self.next if self.next in ("·", "/") else ""
            if sign:
                self.take(sign)
            left = Expression(sign or "·", parts=(left, self.squared()))
        return left

    def squared(self) -> Expression:
        base = self.value()
        if self.next != "²":
            return base
        self.take("²")
        return Expression("²", parts=(base,))

    def value(self) -> Expression:
        if not self.more:
            raise ArgumentError("a formula ends too early")
        number, over, letters, name, mark = self.tokens[self.at]
        if mark == "(":
            return Expression("()", parts=self.listed("(", ")"))
        if mark == "[":
            return self._condition()
        self.at += 1
        if number:
            return Expression("number", value=float(number))
        if over:
            return Expression(over, letters.strip("{}"), (self.product(),))
        if not name:
            raise ArgumentError(f"cannot read {mark!r} in a formula")
        if name in FUNCTIONS:
            return Expression("call", name, self.listed("(", ")"))
        if self.next == "[" and not self._is_condition():
            return Expression("at", name, self.listed("[", "]"))
        return Expression("letter", name)

    def _condition(self) -> Expression:
        self.take("[")
        left, relation = self.sum(), self.next
        if relation not in RELATIONS:
            raise ArgumentError(f"{relation!r} compares nothing")
        self.take(relation)
        found = Expression("[]", relation, (left, self.sum()))
        self.take("]")
        return found

    def _is_condition(self) -> bool:
        """Whether the bracket that comes holds a relation, not indices."""
        marks = [token[-1] for token in self.tokens[self.at :]]
        end = marks.index("]") if "]" in marks else 0
        return any(mark in RELATIONS for mark in marks[:end])
