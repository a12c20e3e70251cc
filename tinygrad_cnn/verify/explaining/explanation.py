"""A number of a gradient as the sum of its terms, and how that is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from ...core.engine import Record
from ...core.replaying import as_dtype
from ...ops.base import Op, Position, Value, shape_of
from ...ops.formulas import formulas
from ...ops.words import named, number, position
from ...output.text import format_columns
from .local_derivative import Array, column_of


class Entry(NamedTuple):
    """The entry of another input that ∂y/∂x is."""

    name: str
    position: Position


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
        use = self.use
        if use.partners is None:
            return None
        k, j = int(use.partners[self.position]) - 1, 1 - use.i
        return Entry(use.op.input_name(j), position(k, shape_of(use.inputs[j])))

    @property
    def factor(self) -> str:
        """∂y/∂x in the letters of the formula, as x[0, 0, 5, 6]; "" without a name."""
        use, operand = self.use, self.operand
        if operand is not None:
            return named(*operand)
        return use.op.factor(use.inputs, use.i, use.index, self.position)

    @property
    def note(self) -> str:
        """Which piece of a switching operation was taken, and why."""
        use = self.use
        if use.partners is not None:
            return ""
        return use.op.note(use.inputs, use.i, use.index, self.position)

    def explain(self) -> Explanation:
        """Where g comes from."""
        return self.use.explain(self.use.record, self.position)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        names = ("position", "g", "factor", "local", "product", "note")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class Use:
    """One operation that used the value, and the terms that come back from it.

    record: its application. op, inputs: what it was; the value is entry `index` of the
    i-th of these arrays. g: ∂L/∂y of its result. explain: what explains any entry of the
    result of a record.
    """

    record: Record
    op: Op
    inputs: Sequence[Value]
    i: int
    index: Position
    g: Array
    explain: Callable[[Record, Position], Explanation]

    @property
    def letter(self) -> str:
        """What the operation calls the input."""
        name = self.op.input_name(self.i)
        return f"{name}[{self.i}]" if self.op.variadic else name

    @property
    def formula(self) -> str:
        """The gradient rule, or what the operation computes where it does not say."""
        found = formulas(type(self.op))
        return found.gradients.get(self.op.input_name(self.i)) or found.forward

    @property
    def remark(self) -> str:
        """What the operation and the loss behind it come to together."""
        return self.op.remark(self.inputs, self.i, self.index, self.g)

    @cached_property
    def column(self) -> Array:
        """∂y[i]/∂x[index] for every i, in the shape of y."""
        return column_of(self.op, self.inputs, self.i, self.index)

    @cached_property
    def partners(self) -> Array | None:
        """For each value of y, 1 + the flat index of the entry that ∂y/∂x[index] is.

        Found by giving the other input its own indices for values.
        """
        if not (self.op.bilinear and self.i < 2):
            return None
        inputs = [as_dtype(np.float64)(x) for x in self.inputs]
        other = inputs[1 - self.i]
        inputs[1 - self.i] = np.arange(1.0, np.size(other) + 1).reshape(shape_of(other))
        return column_of(self.op, inputs, self.i, self.index).astype(np.int64)

    @cached_property
    def products(self) -> Array:
        """g · ∂y/∂x for each value of the result, in float64."""
        with np.errstate(all="ignore"):
            # Where nothing passes, an infinite g does not either.
            product = np.multiply(self.g, self.column, dtype=np.float64)
        return np.where((product == 0) | (self.column == 0), 0.0, product)

    @cached_property
    def reached(self) -> Array:
        """Which values of y had to do with x[index], though ∂y/∂x may be 0 there."""
        if self.partners is not None:
            return self.partners > 0
        found = self.op.reached(self.inputs, self.i, self.index)
        return self.column != 0 if found is None else found

    @cached_property
    def terms(self) -> list[Term]:
        """One for each value of y that x[index] took part in, largest product first."""
        sizes = -np.abs(self.g[self.reached]), -np.abs(self.products[self.reached])
        places = np.argwhere(self.reached)[np.lexsort(sizes)].tolist()
        found = [(tuple(at), self.g[*at], self.column[*at]) for at in places]
        return [Term(self, at, float(g), float(local)) for at, g, local in found]

    @property
    def total(self) -> float:
        """The sum of the products."""
        return float(self.products[self.reached].sum())

    def to_dict(self, terms: int | None = None) -> dict[str, Any]:
        """As JSON has it, with so many terms (default: all)."""
        rest = [] if terms is None else self.terms[terms:]
        return {
            "operation": str(self.op),
            "input": self.letter,
            "module": self.record.module,
            "where": str(self.record.where),
            "formula": self.formula,
            "remark": self.remark,
            "terms": [term.to_dict() for term in self.terms[:terms]],
            "further": {"count": len(rest), "sum": _sum(rest)},
            "total": self.total,
        }

    def lines(self, terms: int, start: int, dtype: str) -> Iterator[str]:
        """To be read: so many of the terms, numbered from `start`."""
        yield f"as {self.letter} of {described(self.record)}"
        yield f"   {self.op}"
        if self.formula:
            yield f"   {self.formula}"
        if not self.terms:
            yield "no value of the result depends on it: 0"
            return
        yield ""
        local = f"∂y/∂{self.letter}"
        heads = ["", "result", "g", local, f"g · {local}", ""]
        # The last ones are 0 because g is; without a note that is worth no line.
        shown = [term for term in self.terms[:terms] if term.g or term.note]
        rows = [_row(i, term) for i, term in enumerate(shown, start)]
        yield from format_columns([heads, *rows] if rows else [])
        if self.terms[len(shown) :]:
            yield _further(self.terms[len(shown) :])
        yield f"sum of {_terms(self.terms)}: {_digits(self.total, dtype)}"
        if self.remark:
            yield self.remark


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
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        uses = [use.to_dict(terms) for use in self.uses]
        return plain | {"total": self.total, "uses": uses}

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
            yield ""
            total = _digits(self.total, self.dtype)
            yield f"sum of all {_terms(self.terms)}: {total}"
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
