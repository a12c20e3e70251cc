"""What a mutant is: an operation of which one rule is replaced by a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import Any

import numpy as np

from ...ops.base import Op
from ..subject import Array


@dataclass(frozen=True, eq=False)
class Example:
    """An operation that is right, and inputs for it.

    compose: from the operation a function of the inputs, if it is not the operation alone.
    """

    op: Op
    inputs: tuple[Any, ...]
    compose: Callable[[Op], Callable[..., Any]] | None = None


@dataclass(frozen=True, eq=False)
class Mutant:
    """One mistake: `part` of the operation's class (grad_w, say) replaced by `wrong`.

    tensor: whose gradient is wrong then. kind: the keyword that a diagnosis should state;
    says: words that its sentence should have. order 2: only the gradient of the gradient
    is wrong.
    """

    name: str
    example: Example
    part: str
    wrong: Any
    tensor: str
    kind: str
    says: str
    order: int

    @property
    def family(self) -> str:
        """The family of the operation: the module that it stands in."""
        return type(self.example.op).__module__.rpartition(".")[2]

    def operation(self) -> Op:
        """The operation with the mistake, of a class of its own that is not registered."""
        right = type(self.example.op)
        parts = {self.part: self.wrong}
        wrong = type(right.__name__, (right,), parts, register=False)
        values = {f.name: getattr(self.example.op, f.name) for f in fields(right)}  # type: ignore[arg-type]
        return wrong(**values)


CATALOGUE: list[Mutant] = []


def wrong(
    example: Example, part: str, name: str, said: str, tensor: str = "", order: int = 1
) -> Callable[[Any], Any]:
    """A decorator that adds a wrong rule to the catalogue.

    part: what of the operation's class the rule replaces. said: the keyword of the
    diagnosis and, after a colon, words of its sentence. tensor: whose gradient suffers,
    where `part` does not say it.
    """
    letter = part.removeprefix("grad_") if part.startswith("grad_") else tensor
    title = f"{type(example.op).__name__} {letter}: {name}"
    if order == 2:
        title += " (second order)"
    kind, _, says = said.partition(": ")

    def add(rule: Any) -> Any:
        CATALOGUE.append(
            Mutant(title, example, part, rule, tensor or letter, kind, says, order)
        )
        return rule

    return add


def having(right: Callable[..., Any], **attributes: Any) -> Callable[..., Array]:
    """The rule of the same operation with other attributes."""

    @wraps(right)  # with the needs of the right one
    def rule(op: Any, *values: Any) -> Array:
        return right(replace(op, **attributes), *values)

    return rule


def changed(
    right: Callable[..., Any], change: Callable[[Array], Array]
) -> Callable[..., Array]:
    """The right rule, whose gradient is then changed."""

    @wraps(right)
    def rule(op: Any, *values: Any) -> Array:
        return change(right(op, *values))

    return rule


def values(*shape: int, low: float = -1.5, draw: int = 0) -> Array:
    """Uniform in low … 1.5, but 0.05 or more from zero; others for each shape and draw."""
    x = np.random.default_rng([draw, *shape]).uniform(low, 1.5, shape)
    return np.where(np.abs(x) < 0.05, 0.05, x)
