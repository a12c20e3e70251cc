"""What an operation is: an immutable value with a forward and one gradient rule per input.

    class Mul(Op):
        '''y = a · b.   ∂L/∂a = g · b,   ∂L/∂b = g · a.'''
        def forward(self, a, b): return a * b
        def grad_a(self, g, b): return g * b
        def grad_b(self, g, a): return g * a

A subclass is a frozen dataclass: what it is given (a stride, an axis) are its fields.
`forward` takes arrays and returns an array. `grad_a` gives ∂L/∂a from g = ∂L/∂y. After g,
a rule names what it needs, and the engine keeps exactly that until the backward pass:

    y                     the result
    a, b, ...             an input, by its name in `forward`
    a_shape, a_dtype      only the shape or the dtype of an input
    anything in `keeps`   what forward returned beside the result (an argmax, a mask)
    index                 which of the inputs, where `forward` takes `*inputs`

The docstring begins with the formula of y, and has one passage `∂L/∂a = …`, or
`∂L/∂a[i] = …` with index letters, for each input with a rule. `formulas` reads them out, to
be shown: each ends with its sentence, a semicolon, a colon, three spaces or the paragraph.

An operation that switches (ReLU, a maximum, a mask) says which piece of it each value took:

    branch                an array (of any integers or bools): the piece taken, per value
    margin                how far each of those values is from another piece
    alive, kept, ties     an array of bools whose share is shown in drawings

with parameters as a rule's, without g. Where two runs took the same branches, nothing
between them jumped or bent; the verifier tells a kink from a mistake by this alone.

All else that there is to say of an operation stands in its class too, so that whoever asks
needs no list of operations. Each of these may be left out, and costs then only what is made
of it.

For the engine and for costs:
    broadcasts            each gradient is summed to the shape of its input (it is in
                          `Elementwise`, below)
    constant              inputs that no gradient is ever asked for: labels, masks
    view                  the result may share the memory of the first input
    flat_slope            its recorded gradient counts as a function of the input, with the
                          derivative 0, as in PyTorch, even where no value of it is read;
                          "alone": only where it is a function of nothing else
    opaque                runs code of which nothing is known: not planned, not counted
    multiply_adds         how many multiplications, each with an addition, it takes

For `explain` (an operation whose value at i comes from the inputs at i derives from
`Elementwise`, which has `reached` and `note`):
    bilinear              linear in each of its first two inputs: ∂y/∂(one) is an entry of
                          the other
    factor                ∂y[at]/∂x[index] in letters
    note                  what became of x[index] at y[at]
    reached               which values of y had to do with x[index]
    remark                what ∂L/∂x[index] comes to, for this g

For `explore`, which executes formulas (`ops/index_formulas.py`):
    index_formulas        of y and of gradients, by name, where the docstring's are prose
    letters               the numbers that letters of the formulas stand for, pairs of them
                          (vertical, horizontal), of index letters the range; None where
                          the formulas do not hold as they stand
    row_major             the formulas count the values of an array in row-major order

For `lint`:
    takes, gives          what the first input should be, and what the result is: "scores"
                          (of the classes along `axis`), "logits" (each by itself),
                          "probabilities" (which sum to 1), "probability" (each by itself),
                          "logarithms", "log-probabilities", "positive", "rectified",
                          "kernels"
    moves                 leaves values as they are, up to place and precision
    adjusts               changes values a little, to keep them within limits
    adds                  inputs that are added to the rest, as they broadcast
    bias                  an input of which one value is added to each channel (axis 1)
    keeps_channels        a number added to a whole channel is in the whole channel after it
    normalises            subtracts from each channel of its first input the mean

For plans (a class with another `forward` says these anew):
    compiled              the name of the function in `planning/compiled.py` that does it
    ufunc                 the function of NumPy that does it
    floor                 y = max(x, floor), so that the operation before it may do both

Rules are written with operators and other operations only, so the same rule runs on
arrays (first order, nothing recorded) and on Tensors (the gradient is itself a graph). A
kept value is a constant to higher orders, unless the operation has a method of the same
name that computes it from the inputs by operations; the engine then calls that.

Operations never import Tensor: whatever derives from `Operand` says itself what happens
when an operation is applied to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, dataclass_transform

import numpy as np

from .words import number

# An array or a Tensor: rules do not care which, so no static type tells them apart.
Value = Any

Inputs = Sequence[Value]
Shapes = Sequence[tuple[int, ...]]
Position = tuple[int, ...]

SHARES = "alive", "kept", "ties"
PIECES = "branch", "margin", *SHARES

registry: dict[str, type[Op]] = {}
"""Every operation class by name, in the order of definition."""


class Operand:
    """Base of whatever takes part in an operation as more than an array."""

    __slots__ = ()

    def __apply__(self, op: Op, inputs: tuple[Value, ...]) -> Value:
        raise NotImplementedError


class Need(NamedTuple):
    """A value that a rule names, and where to find it when an application is recorded."""

    name: str
    kind: str
    """y, input, kept, shape, dtype or index."""
    position: int
    """Which input or kept value; −1 for the shapes or dtypes of all of `*inputs`."""


class Rule(NamedTuple):
    """A method of an operation and the values that it takes (after self, and g)."""

    function: Any
    needs: tuple[Need, ...]


class Memo(dict[Any, Any]):
    """f(key) by key, worked out once: what every operation looks up."""

    def __init__(self, f: Callable[[Any], Any]) -> None:
        self.f = f

    def __missing__(self, key: Any) -> Any:
        value = self[key] = self.f(key)
        return value


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Op:
    """Base of all operations; a subclass registers itself and is checked when defined.

    eq=False is for one whose fields are arrays, which no `==` compares.
    """

    broadcasts: ClassVar[bool] = False
    constant: ClassVar[tuple[str, ...]] = ()
    keeps: ClassVar[tuple[str, ...]] = ()
    """Names of what `forward` returns after its result."""
    view: ClassVar[bool] = False
    flat_slope: ClassVar[bool | Literal["alone"]] = False
    opaque: ClassVar[bool] = False
    bilinear: ClassVar[bool] = False
    moves: ClassVar[bool] = False
    adjusts: ClassVar[bool] = False
    keeps_channels: ClassVar[bool] = False
    normalises: ClassVar[bool] = False
    adds: ClassVar[tuple[str, ...]] = ()
    bias: ClassVar[str] = ""
    takes: ClassVar[str] = ""
    gives: ClassVar[str] = ""
    compiled: ClassVar[str] = ""
    ufunc: ClassVar[Any] = None
    floor: ClassVar[float | None] = None
    index_formulas: ClassVar[Mapping[str, str]] = {}
    row_major: ClassVar[bool] = False

    inputs: ClassVar[tuple[str, ...]]
    variadic: ClassVar[bool]
    rules: ClassVar[dict[str, Rule]]
    """The gradient rule of each input."""
    rules_of: ClassVar[Memo]
    """(i, function or None, its needs) for each of these inputs (a tuple of i)."""
    needs_of: ClassVar[Memo]
    """What to keep if these inputs (a tuple of i) are asked for a gradient."""
    recompute: ClassVar[dict[str, Rule]]
    """How a kept value follows from the inputs, where it is no constant."""
    pieces: ClassVar[dict[str, Rule]]
    """Those of the methods in PIECES that the operation has."""

    def __init_subclass__(
        cls, register: bool = True, eq: bool = True, repr: bool = True
    ) -> None:
        derivation = cls.__doc__
        dataclass(frozen=True, eq=eq, repr=repr)(cls)
        cls.__doc__ = derivation  # a signature is none
        # Op refuses for all; so whoever writes @dataclass(frozen=True) as well may do so.
        del cls.__setattr__, cls.__delattr__
        parameters = list(inspect.signature(cls.forward).parameters.values())[1:]
        cls.inputs = tuple(p.name for p in parameters)
        cls.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        rules = [name for name in dir(cls) if name.startswith("grad_")]
        cls.rules = {name[5:]: cls._rule(name, skip=2) for name in rules}
        cls.rules_of, cls.needs_of = Memo(cls._rules_of), Memo(cls._needs_of)
        kept = [name for name in cls.keeps if hasattr(cls, name)]
        cls.recompute = {name: cls._rule(name, skip=1) for name in kept}
        pieces = [name for name in PIECES if hasattr(cls, name)]
        cls.pieces = {name: cls._rule(name, skip=1) for name in pieces}
        for name in cls.rules.keys() - set(cls.inputs):
            raise TypeError(f"{cls.__name__}.grad_{name} is for no input of forward")
        if "forward" in vars(cls):  # how another forward is computed does not help here
            for name in ("compiled", "ufunc", "floor"):
                if name not in vars(cls):
                    setattr(cls, name, vars(Op)[name])
        if register and cls.forward is not Op.forward:
            registry[cls.__name__] = cls

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(type(self))["__dataclass_fields__"]:
            raise FrozenInstanceError(f"{self} is a value; make another one")
        super().__setattr__(name, value)

    @classmethod
    def _rule(cls, name: str, skip: int) -> Rule:
        function = getattr(cls, name)
        names = tuple(inspect.signature(function).parameters)[skip:]
        return Rule(function, tuple(cls._need(n, name) for n in names))

    @classmethod
    def _rules_of(cls, asked: tuple[int, ...]) -> Any:
        found = [(i, cls.rules.get(cls.input_name(i), Rule(None, ()))) for i in asked]
        # The needs as plain tuples, which unpack much faster.
        return [(i, f, tuple([(*need,) for need in needs])) for i, (f, needs) in found]

    @classmethod
    def _needs_of(cls, asked: tuple[int, ...]) -> Any:
        rules = cls.rules_of[asked]
        return tuple(dict.fromkeys([need for *_, needs in rules for need in needs]))

    @classmethod
    def _need(cls, name: str, rule: str) -> Need:
        of, _, what = name.rpartition("_")
        if name in cls.inputs and not cls.variadic:
            return Need(name, "input", cls.inputs.index(name))
        if name in cls.keeps:
            return Need(name, "kept", cls.keeps.index(name))
        if name == "y" or (name == "index" and cls.variadic):
            return Need(name, name, 0)
        if of in cls.inputs and what in ("shape", "dtype"):
            return Need(name, what, -1 if cls.variadic else cls.inputs.index(of))
        raise TypeError(
            f"{cls.__name__}.{rule} names {name}, which is no input of "
            f"forward({', '.join(cls.inputs)}) nor kept by it"
        )

    def forward(self, *inputs: Value) -> Any:
        """The result for arrays; followed by the values named in `keeps`, if any."""
        raise NotImplementedError

    def __call__(self, *inputs: Value) -> Value:
        """Apply to arrays (giving an array) or Tensors (giving a recorded Tensor)."""
        for x in inputs:
            if type(x) is not np.ndarray and isinstance(x, Operand):
                return x.__apply__(self, inputs)
        y = self.forward(*inputs)
        return y[0] if self.keeps else y

    def piece(
        self, name: str, inputs: Sequence[Value], y: Value, kept: Sequence[Value]
    ) -> Value | None:
        """What one of PIECES says of one application; None where there is none."""
        rule = self.pieces.get(name)
        if rule is None:
            return None
        return rule.function(self, *self.resolved(rule, inputs, y, kept))

    def resolved(
        self, rule: Rule, inputs: Sequence[Value], y: Value, kept: Sequence[Value]
    ) -> list[Value]:
        """The values that a rule needs, of one application (not of `*inputs`)."""
        found = {"y": [y], "input": inputs, "kept": kept}
        found["shape"] = [shape_of(x) for x in inputs]
        found["dtype"] = [getattr(x, "dtype", type(x)) for x in inputs]
        return [found[need.kind][need.position] for need in rule.needs]

    def multiply_adds(self, shapes: Shapes, y_shape: tuple[int, ...]) -> int:
        """How many it takes for inputs of these shapes."""
        return 0

    def parts_images(self, x: Value) -> bool:
        """Whether a view of x keeps its first axis, and moves values only behind it."""
        return False

    def letters(self) -> dict[str, Any]:
        """What letters of the formulas stand for."""
        return {}

    def factor(self, inputs: Inputs, i: int, index: Position, at: Position) -> str:
        """∂y[at]/∂(inputs[i][index]) in letters, where it has a name."""
        return ""

    def note(self, inputs: Inputs, i: int, index: Position, at: Position) -> str:
        """What became of inputs[i][index] at y[at]: the piece that it took, say."""
        return ""

    def reached(self, inputs: Inputs, i: int, index: Position) -> Value | None:
        """Which values of y had to do with inputs[i][index], in the shape of y.

        None: those whose derivative is not 0.
        """
        return None

    def remark(self, inputs: Inputs, i: int, index: Position, g: Value) -> str:
        """What ∂L/∂(inputs[i][index]) comes to for this g = ∂L/∂y, in a sentence."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __str__(self) -> str:
        return repr(self).rpartition("<locals>.")[2]

    @classmethod
    def input_name(cls, i: int) -> str:
        """The name of the i-th input in `forward`."""
        return cls.inputs[0] if cls.variadic else cls.inputs[i]


class Elementwise(Op):
    """Base of operations whose value at i comes from the inputs at i alone."""

    broadcasts = True

    def reached(self, inputs: Inputs, i: int, index: Position) -> Value:
        one = np.zeros(shape_of(inputs[i]), np.bool_)
        one[index] = True
        return np.broadcast_to(one, np.broadcast_shapes(*map(shape_of, inputs)))

    def note(self, inputs: Inputs, i: int, index: Position, at: Position) -> str:
        values = enumerate(np.broadcast_arrays(*inputs))
        return ", ".join([f"{self.input_name(k)} = {number(x[at])}" for k, x in values])


def shape_of(x: Value) -> tuple[int, ...]:
    """Shape of an array, a Tensor or a scalar."""
    shape: tuple[int, ...] = getattr(x, "shape", ())
    return shape


def recorded(*values: Value) -> bool:
    """Whether what is computed from these values is itself recorded, as gradients are
    that have gradients.
    """
    return any(getattr(v, "requires_grad", False) for v in values)
