"""How a backward may be called: what it is given, and what it returns.

Names decide where they say something. Where they leave several ways that are about as
likely, each is a reading; the first whose gradients are right is taken, or else the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from .conventions import CACHES, INPUTS, OUTPUTS, UPSTREAM, are_labels, normal

Taken = tuple[str, Any]
"""What an argument of backward is: ("g", which output or None), ("input", its name),
("cache", None), ("output", None), ("left", None) for what forward left in an attribute
`output`, ("value", itself)."""

G: Taken = ("g", None)
FIRST_G: Taken = ("g", 0)
CACHE: Taken = ("cache", None)
OUTPUT: Taken = ("output", None)
LEFT: Taken = ("left", None)


@dataclass(frozen=True)
class Reading:
    """One way to call backward.

    takes: what each of its arguments is. gives: gradient; or, where it is not given g:
    derivative (times g it is the gradient), or the gradient of the sum or the mean of the
    outputs.
    """

    takes: tuple[tuple[str, Taken], ...] = ()
    gives: str = "gradient"

    @property
    def cached(self) -> bool:
        """Whether forward returns a cache beside its output."""
        return CACHE in dict(self.takes).values()

    @property
    def of_first(self) -> bool:
        """Whether only the first of several outputs has a gradient that comes back."""
        given = [what for _, what in self.takes if what[0] == "g"]
        return given == [FIRST_G]

    @property
    def note(self) -> str | None:
        """What the reader should know of it."""
        if self.of_first:
            return "only the first output is differentiated"
        if self.gives == "derivative" and OUTPUT in dict(self.takes).values():
            return "it is given the output, and returns the derivative: times g here"
        if self.gives == "derivative":
            return "it returns the derivative, which is multiplied by g here"
        if self.gives in ("sum", "mean"):
            return (
                f"it is given no g: the {self.gives} of the outputs is differentiated"
            )
        return None


@dataclass(frozen=True)
class Asked:
    """What is known of a backward before it is called.

    wanted: the names of its arguments, or ["*"]. inputs: the names of forward's. role:
    backward, gradient or derivative, by its name. outputs: how many there are. has_cache:
    whether forward plainly returns a cache beside them; may_cache: whether it may.
    """

    wanted: Sequence[str]
    inputs: Sequence[str]
    role: str
    outputs: int
    is_number: bool
    is_loss: bool
    is_method: bool
    has_cache: bool
    may_cache: bool


Way = tuple[float, dict[str, Taken]]
"""What the arguments are, and how far their names speak against it."""


def possible(asked: Asked) -> Iterator[tuple[float, Reading]]:
    """All readings, from the likeliest on, and how much doubt there is of each."""
    if list(asked.wanted) == ["*"]:
        names = ["g", *asked.inputs]
        takes = tuple(zip(names, [G, *map(_input, asked.inputs)], strict=True))
        yield 0.0, Reading(takes)
        return
    by_name = {normal(k): k for k in asked.inputs}
    known = {
        p: _input(by_name[normal(p)])
        for p in asked.wanted
        if normal(p) in by_name and not (asked.has_cache and normal(p) in CACHES)
    }
    named_g = any(map(is_upstream, asked.wanted))
    ways = [*_by_name(known, asked), *_by_position(known, asked)]
    for doubt, way in sorted(ways, key=lambda scored: scored[0]):
        takes = tuple([(p, (known | way)[p]) for p in asked.wanted])
        with_g = any(what == "g" for _, (what, _) in takes)
        if with_g or asked.is_number:
            yield doubt, Reading(takes)
        elif asked.is_loss or asked.role != "backward" or not named_g:
            likely = ("sum", "mean", "derivative") if asked.is_loss else ("derivative",)
            for gives in dict.fromkeys([*likely, "sum", "mean"]):
                yield doubt, Reading(takes, gives)


def _by_name(known: Mapping[str, Taken], asked: Asked) -> Iterator[Way]:
    """Ways in which the arguments that are called as inputs are these."""
    others = [p for p in asked.wanted if p not in known]
    unused = [k for k in asked.inputs if _input(k) not in known.values()]
    for way in dict.fromkeys(_ways(unused, asked)):
        if len(way) == len(others):
            yield _doubt(others, way, asked), dict(zip(others, way, strict=True))


def _by_position(known: Mapping[str, Taken], asked: Asked) -> Iterator[Way]:
    """Ways in which one of them is not, though it is called so."""
    if len(asked.wanted) == 1 + len(asked.inputs) and 0 < len(known) < len(
        asked.inputs
    ):
        in_order = (G, *map(_input, asked.inputs))
        yield 3.0, dict(zip(asked.wanted, in_order, strict=True))
    if len(known) == len(asked.wanted) == 1 and not asked.is_number:
        (name,) = known
        # x of a layer's backward(x) is g; x of sigmoid_derivative(x) may be y
        yield (-0.1 if asked.is_method else 3.0), {name: G}
        if asked.role == "derivative":
            yield 0.4, {name: OUTPUT}


def is_upstream(name: str) -> bool:
    """Whether an argument of this name is g: dout, grad_output, delta, …"""
    return UPSTREAM.fullmatch(normal(name)) is not None


def _input(name: str) -> Taken:
    return "input", name


def _ways(unused: Sequence[str], asked: Asked) -> Iterator[tuple[Taken, ...]]:
    """What the arguments may be that have no input's name, in order."""
    inputs = tuple(map(_input, unused))
    first, labels = inputs[:1], inputs[1:]
    whole: list[tuple[Taken, ...]] = [(G,)]
    if asked.outputs > 1:
        whole.insert(0, tuple([("g", i) for i in range(asked.outputs)]))
        whole.append((FIRST_G,))
    for g in whole:
        yield from (g, (*g, *inputs), (*inputs, *g))
        yield from ((*g, CACHE), (CACHE, *g)) if asked.may_cache else ()
        yield from ((*g, *first), (*first, *g), (OUTPUT, *g), (*g, OUTPUT))
        yield from ((*inputs, OUTPUT, *g), (*g, *inputs, OUTPUT), (*g, OUTPUT, *inputs))
    without = [
        (),
        inputs,
        first,
        (OUTPUT,),
        (OUTPUT, *labels),
        (OUTPUT, *inputs),
    ]
    if asked.may_cache:
        without.append((CACHE,))
    yield from chain(without, [(*inputs, OUTPUT), labels, (LEFT,), (LEFT, *labels)])


DOUBT = {"g": 0.1, "cache": 0.3, "input": 0.5, "output": 0.6, "left": 0.7}
"""Of an argument whose name says nothing: how unlikely it is to be this."""


def _doubt(names: Sequence[str], way: Sequence[Taken], asked: Asked) -> float:
    """How far these names are from what they would stand for."""
    doubt = 0.0
    for name, (what, which) in zip(names, way, strict=True):
        word = normal(name)
        if is_upstream(name):
            # a loss may be given the scores as its dvalues
            doubt += (what != "g") * (0.4 if asked.is_loss else 1.0)
        elif word in CACHES:
            doubt += what != "cache"
        elif what == "input" and are_labels(name, 0):
            doubt += 0.0 if are_labels(which, 0) else 0.3
        elif word in OUTPUTS:
            doubt += 0.5 * (what == "g") + (what in ("input", "cache"))
        else:
            doubt += DOUBT[what]
        if what == "g" and not is_upstream(name):
            doubt += 0.3 * (asked.role == "derivative")
            doubt += 0.8 * (word in INPUTS and len(asked.wanted) > 1)
    return doubt


def said_by(takes: Sequence[Any], inputs: Mapping[str, Any], gives: str) -> Reading:
    """The reading that a description says."""
    found = []
    for i, what in enumerate(takes):
        usual = {"g": G, "cache": CACHE, "output": OUTPUT}
        text = isinstance(what, str)
        value = ("input", what) if text and what in inputs else ("value", what)
        found.append((f" {i}", usual.get(what, value) if text else value))
    return Reading(tuple(found), gives)
