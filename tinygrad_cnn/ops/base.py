"""What an operation is: an immutable value with a forward and one gradient rule per input.

    @dataclass(frozen=True)
    class Mul(Op):
        '''y = a · b.   ∂L/∂a = g · b,   ∂L/∂b = g · a.'''
        def forward(self, a, b): return a * b
        def grad_a(self, g, b): return g * b
        def grad_b(self, g, a): return g * a

`forward` takes arrays and returns an array. `grad_a` gives ∂L/∂a from g = ∂L/∂y. After g,
a rule names what it needs, and the engine keeps exactly that until the backward pass:

    y                     the result
    a, b, ...             an input, by its name in `forward`
    a_shape, a_dtype      only the shape or the dtype of an input
    anything in `keeps`   what forward returned beside the result (an argmax, a mask)
    index                 which of the inputs, where `forward` takes `*inputs`

Rules are written with operators and other operations only, so the same rule runs on
arrays (first order, nothing recorded) and on Tensors (the gradient is itself a graph). A
kept value is a constant to higher orders, unless the operation has a method of the same
name that computes it from the inputs by operations; the engine then calls that.

Operations never import Tensor: whatever derives from `Operand` says itself what happens
when an operation is applied to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

# An array or a Tensor: rules do not care which, so no static type tells them apart.
Value = Any

registry: dict[str, type[Op]] = {}
"""Every operation class by name, in the order of definition."""


class Operand:
    """Base of whatever takes part in an operation as more than an array."""

    __slots__ = ()

    def __apply__(self, op: Op, inputs: tuple[Value, ...]) -> Value:
        raise NotImplementedError


@dataclass(frozen=True)
class Rule:
    """A function of a record's values and, after `self` and g, their names."""

    function: Callable[..., Value]
    needs: tuple[str, ...]


class Op:
    """Base of all operations; a subclass registers itself and is checked when defined."""

    broadcasts: ClassVar[bool] = False
    """The engine sums each gradient to the shape of its input."""
    view: ClassVar[bool] = False
    """The result may share the memory of the first input."""
    constant: ClassVar[tuple[str, ...]] = ()
    """Inputs that no gradient is ever asked for: labels, masks."""
    keeps: ClassVar[tuple[str, ...]] = ()
    """Names of what `forward` returns after its result."""

    inputs: ClassVar[tuple[str, ...]]
    variadic: ClassVar[bool]
    rules: ClassVar[dict[str, Rule]]
    """The gradient rule of each input."""
    recompute: ClassVar[dict[str, Rule]]
    """How a kept value follows from the inputs, where it is no constant."""

    def __init_subclass__(cls) -> None:
        parameters = list(inspect.signature(cls.forward).parameters.values())[1:]
        cls.inputs = tuple(p.name for p in parameters)
        cls.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        rules = [name for name in dir(cls) if name.startswith("grad_")]
        cls.rules = {name[5:]: cls._rule(name, skip=2) for name in rules}
        kept = [name for name in cls.keeps if hasattr(cls, name)]
        cls.recompute = {name: cls._rule(name, skip=1) for name in kept}
        cls._check_rules()
        if cls.forward is not Op.forward:
            registry[cls.__name__] = cls

    @classmethod
    def _rule(cls, name: str, skip: int) -> Rule:
        function = getattr(cls, name)
        return Rule(function, tuple(inspect.signature(function).parameters)[skip:])

    @classmethod
    def _check_rules(cls) -> None:
        known = {"y", *cls.inputs, *cls.keeps}
        known |= {f"{i}_{what}" for i in cls.inputs for what in ("shape", "dtype")}
        known |= {"index"} if cls.variadic else set()
        for name, rule in {**cls.rules, **cls.recompute}.items():
            unknown = sorted(set(rule.needs) - known)
            if unknown or name not in (*cls.inputs, *cls.keeps):
                raise TypeError(
                    f"the rule of {cls.__name__} for {name} names "
                    f"{', '.join(unknown) or name}, which is no input of "
                    f"forward({', '.join(cls.inputs)}) nor kept by it"
                )

    def forward(self, *inputs: Value) -> Any:
        """The result for arrays; followed by the values named in `keeps`, if any."""
        raise NotImplementedError

    def __call__(self, *inputs: Value) -> Value:
        """Apply to arrays (giving an array) or Tensors (giving a recorded Tensor)."""
        for x in inputs:
            if isinstance(x, Operand):
                return x.__apply__(self, inputs)
        y = self.forward(*inputs)
        return y[0] if self.keeps else y

    def input_name(self, i: int) -> str:
        """The name of the i-th input in `forward`."""
        return self.inputs[0] if self.variadic else self.inputs[i]


def shape_of(x: Value) -> tuple[int, ...]:
    """Shape of an array, a Tensor or a scalar."""
    shape: tuple[int, ...] = getattr(x, "shape", ())
    return shape


def quiet(forward: Callable[..., Any]) -> Callable[..., Any]:
    """For a forward whose inf and NaN are results like any other, as in PyTorch."""
    return np.errstate(all="ignore")(forward)
