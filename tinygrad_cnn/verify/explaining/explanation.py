"""A number of a gradient as the sum of its terms, and how that is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from ...core.engine import Record
from ...ops.base import Position
from ...ops.words import named, number
from ...output.text import format_columns
from .local_derivative import Array, Entry, LocalDerivative


@dataclass(frozen=True)
class Term:
    """One product of the sum: g · ∂y/∂x for one value y[position] of a result.

    g: ∂L/∂y[position], as the engine computed it. local: ∂y[position]/∂x[index].
    """

    use: Use
    position: Position
    g: float
    local: float

    @property
    def product(self) -> float:
        """g · ∂y/∂x."""
        return float(self.use.products[self.position])

    @property
    def operand(self) -> Entry | None:
        """The entry (name, position) of another input that ∂y/∂x is, if it is one."""
        return self.use.derivative.operand(self.position)

    @property
    def factor(self) -> str:
        """∂y/∂x in the letters of the formula, as x[0, 0, 5, 6]; "" without a name."""
        return self.use.derivative.factor(self.position)

    @property
    def note(self) -> str:
        """Which piece of a switching operation was taken, and why."""
        return self.use.derivative.note(self.position)

    def explain(self) -> Explanation:
        """Where g comes from."""
        return self.use.explain(self.use.record, self.position)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "position": list(self.position),
            "g": self.g,
            "factor": self.factor,
            "local": self.local,
            "product": self.product,
            "note": self.note,
        }


@dataclass(frozen=True, eq=False)
class Use:
    """One operation that used the value, and the terms that come back from it.

    record: its application. g: ∂L/∂y of its result. explain: what explains any entry of
    the result of a record.
    """

    record: Record
    derivative: LocalDerivative
    g: Array
    explain: Callable[[Record, Position], Explanation]

    @cached_property
    def products(self) -> Array:
        """g · ∂y/∂x for each value of the result, in float64."""
        column = self.derivative.column
        with np.errstate(all="ignore"):
            # Where nothing passes, an infinite g does not either.
            product = np.multiply(self.g, column, dtype=np.float64)
        return np.where((product == 0) | (column == 0), 0.0, product)

    @cached_property
    def terms(self) -> list[Term]:
        """One for each value of y that x[index] took part in, largest product first."""
        reached, column = self.derivative.reached, self.derivative.column
        sizes = -np.abs(self.g[reached]), -np.abs(self.products[reached])
        places = np.argwhere(reached)[np.lexsort(sizes)].tolist()
        found = [(tuple(at), self.g[*at], column[*at]) for at in places]
        return [Term(self, at, float(g), float(local)) for at, g, local in found]

    @property
    def total(self) -> float:
        """The sum of the products."""
        return float(self.products[self.derivative.reached].sum())

    def to_dict(self, terms: int | None = None) -> dict[str, Any]:
        """As JSON has it, with so many terms (default: all)."""
        rest = [] if terms is None else self.terms[terms:]
        return {
            "operation": str(self.derivative.op),
            "input": self.derivative.letter,
            "module": self.record.module,
            "where": str(self.record.where),
            "formula": self.derivative.formula,
            "remark": self.derivative.remark(self.g),
            "terms": [term.to_dict() for term in self.terms[:terms]],
            "further": {"count": len(rest), "sum": _sum(rest)},
            "total": self.total,
        }

    def lines(self, terms: int, start: int, dtype: str) -> Iterator[str]:
        """To be read: so many of the terms, numbered from `start`."""
        yield f"as {self.derivative.letter} of {described(self.record)}"
        yield f"   {self.derivative.op}"
        if self.derivative.formula:
            yield f"   {self.derivative.formula}"
        if not self.terms:
            yield "no value of the result depends on it: 0"
            return
        yield ""
        local = f"∂y/∂{self.derivative.letter}"
        heads = ["", "result", "g", local, f"g · {local}", ""]
        # The last ones are 0 because g is; without a note that is worth no line.
        shown = [term for term in self.terms[:terms] if term.g or term.note]
        rows = [_row(i, term) for i, term in enumerate(shown, start)]
        yield from format_columns([heads, *rows] if rows else [])
        if self.terms[len(shown) :]:
            yield _further(self.terms[len(shown) :])
        yield f"sum of {_terms(self.terms)}: {_digits(self.total, dtype)}"
        if self.derivative.remark(self.g):
            yield self.derivative.remark(self.g)


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """∂L/∂tensor[index]: what the engine computed, and the terms that it is the sum of.

    name: the parameter's in the model, or else what the operation using it calls it; "L"
    for the loss. origin: the operation that it is a result of, "" for a leaf. value: the
    engine's. uses: the operations that it went into; none for the loss.
    """

    name: str
    index: Position
    shape: tuple[int, ...]
    dtype: str
    origin: str
    value: float
    uses: list[Use]

    @cached_property
    def terms(self) -> list[Term]:
        """The terms of every use, one use after the other, each largest first."""
        return [term for use in self.uses for term in use.terms]

    @property
    def total(self) -> float:
        """The sum of all products in float64, which is `value` but for rounding."""
        return sum([use.total for use in self.uses]) if self.uses else self.value

    def explain(self, i: int = 0) -> Explanation:
        """Where the g of the i-th term comes from."""
        return self.terms[i].explain()

    def chain(self, depth: int) -> Iterator[Explanation]:
        """This, and `depth` times where the g of the first term comes from."""
        yield (last := self)
        for _ in range(depth):
            if last.terms:
                yield (last := last.explain())

    def to_dict(self, terms: int | None = None) -> dict[str, Any]:
        """As JSON has it, with so many terms of each use (default: all)."""
        return {
            "name": self.name,
            "index": list(self.index),
            "shape": list(self.shape),
            "dtype": self.dtype,
            "origin": self.origin,
            "value": self.value,
            "total": self.total,
            "uses": [use.to_dict(terms) for use in self.uses],
        }

    def text(self, terms: int = 10) -> str:
        """To be read, with so many terms of each use."""
        return "\n".join(self._lines(terms))

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _lines(self, terms: int) -> Iterator[str]:
        value, several = _digits(self.value, self.dtype), len(self.uses) > 1
        yield f"∂L/∂{named(self.name, self.index)} = {value}"
        if self.origin:
            yield f"{self.name} is the result of {self.origin}"
        if not self.uses:
            yield "the walk back begins here, with the g that was given, or 1"
            return
        if several:
            yield f"used {len(self.uses)} times, so that as many sums add up"
        starts = accumulate([len(use.terms) for use in self.uses], initial=0)
        for use, start in zip(self.uses, starts, strict=False):
            yield from ["", *use.lines(terms, start, self.dtype)]
        if several:
            total = _digits(self.total, self.dtype)
            yield from [
                "",
                f"sum of all {_terms(self.terms)}: {total}",
            ]
        gap = abs(self.total - self.value)
        yield f"the engine computed {value}, which differs by {gap:.1g}"


def described(record: Record) -> str:
    """An operation by its name, the module that applied it, and the user's line."""
    inside = f" in {record.module}" if record.module else ""
    return f"{record.name()}{inside} at {record.where}"


def _digits(value: float, dtype: str) -> str:
    """A number with all digits that the dtype has."""
    return str(np.dtype(dtype).type(value))


def _terms(terms: list[Term]) -> str:
    return "1 term" if len(terms) == 1 else f"{len(terms)} terms"


def _sum(terms: list[Term]) -> float:
    return sum([term.product for term in terms])


def _row(i: int, term: Term) -> list[str]:
    factor = f"{term.factor} = " if term.factor else ""
    return [
        f"{i}:",
        named("y", term.position),
        f"{term.g: .6g}",
        f"{factor}{number(term.local)}",
        f"{term.product: .6g}",
        term.note,
    ]


def _further(rest: list[Term]) -> str:
    zero = [term for term in rest if term.product == 0]
    by_g = sum([term.g == 0 for term in zero])
    some = "" if by_g == len(zero) else f", {by_g}"
    which = f" ({len(zero)} of them 0{some} because g is 0)" if zero else ""
    return f"{_terms(rest)} more{which}, summing to {number(_sum(rest))}"
