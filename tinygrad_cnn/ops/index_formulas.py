"""Formulas that are executed: an operation's, read for the arrays that it was given.

What is executed is what is shown. The text is the docstring's (`formulas`), or where that
is prose, or says more than one number, the class's own in `index_formulas`:

    y[n,o] = b[o] + Σ_i x[n,i] · w[o,i]
    ∂L/∂x[n,c,q,r] = Σ_{o,i,j,u,v} g[n,o,i,j] · w[o,c,u,v]
    where (q, r) = (s i + d u − p, s j + d v − p)

with + − · / ², products of neighbours, Σ and max over index letters, exp, ln, tanh, σ and
max of values, and [condition], which is 1 where it holds and else 0. An entry outside of
its array is no term. A letter that is a pair (a stride) is its first number in the last but
one of several indices, its second in the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .base import Elementwise, Op, Value, shape_of
from .formula_grammar import ZERO, Expression, read
from .formulas import LETTERS, formulas
from .reduction import Reduction

MOVED = {"y": "y[k] = x[source[k]]", "x": "∂L/∂x[k] = Σ_i g[i] · [source[i] = k]"}
"""Of an operation that puts each value of x in some places, all counted row by row."""

POSITIONS = {1: "k", 2: "nk", 3: "nti", 4: "ncij"}
"""The index letters of element-wise operations, by the number of axes."""


def formula_for(
    op: Op, name: str, inputs: Sequence[Value], y: Value, kept: Mapping[str, Value]
) -> dict[str, Any] | None:
    """The formula of y, or of ∂L/∂(the input of that name), for these arrays.

    As plain data: `text`, `left` (an entry), `right`, `where`, `ranges` (how many values
    each index letter takes), `arrays` (those on the right). None if the operation has no
    such formula, or it cannot be read.
    """
    known = formulas(type(op))
    own = MOVED if "source" in kept else op.index_formulas
    text = own.get(name) or known.gradients.get(name, "")
    text = text or (known.forward if name == "y" else "")
    letters = [LETTERS.get(n, n) for n in op.inputs]
    values = {**dict(zip(letters, inputs, strict=False)), **kept, "y": y, "g": y}
    try:
        if op.variadic or not text:
            return None
        return _Application(op, values).fill(text, LETTERS.get(name, name))
    except ArgumentError:
        return None


def source_of(op: Op, inputs: Sequence[Value]) -> Value | None:
    """Which value of x each value of y is, for an operation that only moves them.

    None for others, and for those that say more themselves.
    """
    if not op.moves or op.variadic or len(inputs) != 1 or op.index_formulas:
        return None
    (x,) = inputs
    found = np.asarray(op.forward(np.arange(np.size(x)).reshape(shape_of(x))))
    return found if found.dtype.kind == "i" else None


class _Application:
    """Puts the shapes and the numbers of one application into a formula."""

    def __init__(self, op: Op, values: Mapping[str, Value]) -> None:
        self.op = op
        row_major = op.row_major or "source" in values
        self.shapes = {
            name: (int(np.size(x)),) if row_major else shape_of(x)
            for name, x in values.items()
            if isinstance(x, np.ndarray | np.generic)
        }
        self.missing = {name for name, x in values.items() if x is None}
        numbers = [n for n in values if n not in {*self.shapes, *self.missing}]
        self.letters = {n: values[n] for n in numbers} | op.letters()
        self.ranges: dict[str, int] = {}

    def fill(self, text: str, name: str) -> dict[str, Any]:
        formula = read(text)
        if formula.left.text != name or name not in self.shapes:
            raise ArgumentError(f"{text!r} is no formula of an array {name}")
        left, right = self._everywhere(formula.left, self._present(formula.right))
        left, right = self._fill(left), self._fill(right)
        count = len(formula.where)
        where = [
            (letter, self._fill(e, k - count))
            for k, (letter, e) in enumerate(formula.where)
        ]
        self._find_ranges([left, right, *[e for _, e in where]])
        arrays = [e.text for e in right.walk() if e.kind == "at"]
        return {
            "text": text,
            "left": left,
            "right": right,
            "where": where,
            "ranges": self.ranges,
            "arrays": list(dict.fromkeys(arrays)),
        }

    def _present(self, e: Expression) -> Expression:
        """Without the bias, where there is none."""
        if e.kind == "+" and e.parts[0].text in self.missing:
            return e.parts[1]
        if any(part.text in self.missing for part in e.walk() if not part.parts):
            raise ArgumentError("an input is missing")
        return e

    def _everywhere(
        self, left: Expression, right: Expression
    ) -> tuple[Expression, Expression]:
        """With the indices that an element-wise formula, or one along an axis, leaves out.

        What broadcasting repeats has the index 0, and its gradient a sum.
        """
        left, right = left.change(self._lead), right.change(self._lead)
        axes, axis = len(self.shapes["y"]), getattr(self.op, "axis", None)
        if isinstance(self.op, Elementwise) and left.kind == "letter":
            names = POSITIONS.get(axes, "abcdef"[:axes])
            if any(part.text in [*names] for part in right.walk()):
                raise ArgumentError("a letter of the formula is that of a position")
            left, right = (e.change(self._at(names)) for e in (left, right))
            used = {index.text for index in left.parts}
            if repeated := ",".join([i for i in names if i not in used]):
                self.ranges |= dict(zip(names, self.shapes["y"], strict=True))
                right = Expression("Σ", repeated, (right,))
        elif isinstance(self.op, Reduction):
            reduced = self._reduced(self.op)
            left, right = left.change(reduced), right.change(reduced)
        elif isinstance(axis, int) and axes > 1:
            others = [Expression("letter", letter) for letter in "nabdef"[: axes - 1]]
            k = axis % axes

            def complete(e: Expression) -> Expression:
                if e.kind != "at" or len(e.parts) != 1:
                    return e
                return e._replace(parts=(*others[:k], *e.parts, *others[k:]))

            left, right = left.change(complete), right.change(complete)
        return left, right

    def _lead(self, e: Expression) -> Expression:
        """With a letter for each axis that a leading … stands for."""
        dots = [part.text for part in e.parts].count("…") if e.kind == "at" else 0
        if not dots:
            return e
        if dots > 1 or e.parts[0].text != "…":
            raise ArgumentError("an axis that is not named")
        lead, y = self.shapes[e.text][: 1 - len(e.parts)], self.shapes["y"]
        if lead != y[: len(lead)] or len(y) != len(lead) + len(e.parts) - 1:
            raise ArgumentError("leading axes that broadcast")
        letters = [Expression("letter", letter) for letter in "nmh"[: len(lead)]]
        return e._replace(parts=(*letters, *e.parts[1:]))

    def _reduced(self, op: Reduction) -> Callable[[Expression], Expression]:
        """What gives x all its axes, a result those that stay, and k those that go."""
        shape = self.shapes["x"]
        letters = "abcdef"[: len(shape)]
        axes = range(len(shape)) if op.axis is None else op.axis
        gone = [letters[axis] for axis in axes]
        sizes = dict(zip(letters, shape, strict=True))
        self.letters["n"] = math.prod([sizes[letter] for letter in gone])
        stay = [ZERO if i in gone else Expression("letter", i) for i in letters]
        rest = stay if op.keepdims else [part for part in stay if part != ZERO]

        def complete(e: Expression) -> Expression:
            if e.kind == "at" and e.text == "x":
                every = [Expression("letter", letter) for letter in letters]
                return e._replace(parts=tuple(every))
            if e.kind == "letter" and e.text in ("y", "g"):
                return Expression("at", e.text, tuple(rest))
            return e._replace(text=",".join(gone)) if e.kind in ("Σ", "max") else e

        return complete

    def _at(self, names: str) -> Callable[[Expression], Expression]:
        """What gives arrays without indices those of their position in the result."""

        def complete(e: Expression) -> Expression:
            if e.kind != "letter" or e.text not in self.shapes:
                return e
            shape, y = self.shapes[e.text], self.shapes["y"]
            axes = zip(names[::-1], shape[::-1], y[::-1], strict=False)
            parts = [
                ZERO if n != all else Expression("letter", i) for i, n, all in axes
            ]
            return Expression("at", e.text, tuple(parts[::-1]))

        return complete

    def _fill(self, e: Expression, place: int = -1) -> Expression:
        """With numbers in the place of the operation's letters.

        place: which component of a pair is meant, counted from the end.
        """
        if e.kind == "letter" and e.text in self.shapes:
            e = e._replace(kind="at")
        if e.kind == "at":
            if len(self.shapes.get(e.text, e.parts)) != len(e.parts):
                raise ArgumentError(f"{e.text} has not {len(e.parts)} axes")
            if e.text not in self.shapes:
                raise ArgumentError(f"there is no array {e.text}")
            places: Iterable[int] = range(-len(e.parts), 0)
        else:
            places = [place] * len(e.parts)
        if e.kind == "letter" and e.text in self.letters:
            number = self.letters[e.text]
            if number is None:
                raise ArgumentError(f"{e.text} is not what the formula says")
            number = number[place] if isinstance(number, tuple) else number
            if not isinstance(number, range):
                return Expression("number", e.text, value=float(number))
        parts = zip(e.parts, places, strict=True)
        return e._replace(parts=tuple([self._fill(part, k) for part, k in parts]))

    def _find_ranges(self, expressions: Sequence[Expression]) -> None:
        """How many values each index letter takes: as many as the shortest axis has."""
        every = [part for e in expressions for part in e.walk()]
        for e in every:
            if e.kind == "at":
                for size, index in zip(self.shapes[e.text], e.parts, strict=True):
                    if index.kind == "letter":
                        known = self.ranges.get(index.text, size)
                        self.ranges[index.text] = min(known, size)
        for e in every:
            bound = e.kind in ("Σ", "max")
            for letter in e.text.split(",") if bound or e.kind == "letter" else []:
                given = self.letters.get(letter)
                if isinstance(given, range):
                    self.ranges[letter] = len(given)
                if letter not in self.ranges:
                    raise ArgumentError(f"it is not known what {letter} runs over")
        self._require_bound(*expressions)

    def _require_bound(self, left: Expression, *rest: Expression) -> None:
        """Refuse an index letter that neither the left side nor a Σ gives values."""
        every = [part for e in rest for part in e.walk()]
        bound = {part.text for part in left.parts}
        for e in every:
            bound |= set(e.text.split(",")) if e.kind in ("Σ", "max") else set()
        for e in every:
            if e.kind == "letter" and e.text not in bound:
                raise ArgumentError(f"it is not said what {e.text} is")
