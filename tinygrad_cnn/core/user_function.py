"""Operations that users define: PyTorch's `autograd.Function`.

A Function becomes an operation like any other: a class for each set of places at which its
arguments are Tensors, with one input for each of these. The operation holds no state of a
call, so it can run again on other inputs. Each forward makes a context, kept as other
operations keep an argmax. Two things are special, and stand in `FunctionRecord`: it keeps
what the user saved, and asks the user's backward for all gradients at once.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from typing import Any, ClassVar

import numpy as np

from ..errors import (
    AutogradError,
    DTypeError,
    MutationError,
    NotDifferentiableError,
    ShapeError,
)
from ..ops.base import Need, Op, Rule, Value
from ..ops.shape import Cast, Concatenate, Reshape, SumTo
from .engine import Record, Tensor
from .methods.memory import read_only
from .recording import no_grad


class FunctionCtx:
    """What a Function's forward leaves for its backward; any attribute may be set on it."""

    needs_input_grad: tuple[bool, ...]
    """For each argument of `apply`, whether a gradient is asked of it."""
    saved_tensors: tuple[Tensor | None, ...] = ()
    """In backward, what forward gave to `save_for_backward`."""

    _to_save: tuple[Tensor | None, ...] = ()
    _constant: tuple[Tensor, ...] = ()
    _materialize = True
    _inputs: list[tuple[tuple[int, ...], Any]]
    """Shape and dtype of each input."""
    _parts: list[Any]
    """For each result, how it comes out of y; shape and dtype if no gradient goes there."""
    _saved: list[Any]
    """What was saved: a Need (of an input, or of the position-th result); None; or another
    Tensor and its version."""

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep Tensors (or None) for backward, which finds them in `saved_tensors`.

        Changing one in place before backward is an error. Where gradients are themselves
        recorded, saved inputs and results belong to the graph; others are constants.
        """
        self._to_save = self._checked(
            "save_for_backward", tensors, (Tensor, type(None))
        )

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say that no gradient goes through these results (none does through integers)."""
        self._constant = self._checked("mark_non_differentiable", args, (Tensor,))

    def set_materialize_grads(self, value: bool) -> None:
        """Give backward zeros (default) or None for a result to which no gradient came."""
        self._materialize = value

    def mark_dirty(self, *args: Tensor) -> None:
        """Refused: no Function changes its inputs here."""
        raise AutogradError(
            "mark_dirty: a Function cannot work in place here; let its forward return "
            "a new Tensor"
        )

    @staticmethod
    def _checked(name: str, given: tuple[Any, ...], kinds: tuple[type, ...]) -> Any:
        for i, t in enumerate(given):
            if not isinstance(t, kinds):
                raise DTypeError(
                    f"{name} takes Tensors, but argument {i} is of type "
                    f"{type(t).__name__}; set it as an attribute of ctx instead"
                )
        return given


class Function:
    """An operation of your own: subclass it, and call `apply`.

        class Exp(Function):
            @staticmethod
            def forward(ctx, x):
                y = x.exp()
                ctx.save_for_backward(y)
                return y

            @staticmethod
            def backward(ctx, g):
                (y,) = ctx.saved_tensors
                return g * y

        y = Exp.apply(x)

    backward takes ∂L/∂result for each result, and returns ∂L/∂argument for each argument
    of forward, None for what has no gradient. Written in Tensor operations, it can itself
    be differentiated. Instead of setting ctx in forward, a Function may have
    setup_context(ctx, inputs, output); forward is then without ctx.
    """

    _operations: ClassVar[dict[tuple[int, ...], type[Application]]]

    def __init_subclass__(cls) -> None:
        cls._operations = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise AutogradError(f"{name} is not to be instantiated; call {name}.apply(...)")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The result, or a tuple of them, of (ctx and) the arguments; not recorded."""
        raise NotImplementedError("a Function needs a static method forward")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Leave on ctx what backward needs, if forward takes no ctx."""
        raise NotImplementedError("this Function has no setup_context")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """∂L/∂argument of each argument, from ∂L/∂result of each result."""
        raise NotImplementedError(
            "a Function needs a static method backward if gradients are asked of it"
        )

    vjp = backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """forward of these arguments; gradients go to the Tensors among them.

        Tensors inside lists and the like are constants.
        """
        if cls._separate():
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        if kwargs:
            raise DTypeError(
                f"{cls.__name__}.apply takes {', '.join(kwargs)} by position only"
            )
        places = tuple([i for i, a in enumerate(args) if isinstance(a, Tensor)])
        if places not in cls._operations:
            cls._operations[places] = _operation(cls, places)
        others = tuple([None if isinstance(a, Tensor) else a for a in args])
        operation = cls._operations[places](others)
        y, ctx, results = operation.applied([args[i] for i in places])
        listed = _listed(results)
        for k, part in enumerate(ctx._parts):
            if callable(part):
                listed[k] = part(y)
            elif isinstance(listed[k], Tensor):
                listed[k] = listed[k].detach()
        return tuple(listed) if isinstance(results, tuple) else listed[0]

    @classmethod
    def _separate(cls) -> bool:
        return cls.setup_context is not Function.setup_context

    @classmethod
    def _gradient(cls) -> Callable[..., Any]:
        return cls.vjp if cls.backward is Function.backward else cls.backward


class Application(Op, register=False, eq=False, repr=False):
    """y = function.forward(…); the gradients are those of function.backward.

    arguments: those of `apply`, with None in the places of Tensors.
    """

    arguments: tuple[Any, ...]
    function: ClassVar[type[Function]]
    places: ClassVar[tuple[int, ...]]
    keeps = ("ctx",)
    opaque = True

    def __call__(self, *inputs: Value) -> Value:
        if any(isinstance(x, Tensor) for x in inputs):
            return self.applied(inputs)[0]
        return super().__call__(*inputs)

    def forward(self, *xs: Value) -> Any:
        return self.run(xs)[:2]

    def applied(self, inputs: Sequence[Value]) -> tuple[Tensor, FunctionCtx, Any]:
        """The recorded y, the context, and what the user's forward returned.

        Past `Tensor.__apply__`, which would explain the user's own exceptions.
        """
        y, ctx, results = self.run(inputs)
        arrays = [_array(x) for x in inputs]
        needs = ctx.needs_input_grad
        asked = tuple([i for i, at in enumerate(self.places) if needs[at]])
        made = Tensor._result(self, inputs, arrays, asked, y, [ctx], FunctionRecord)
        return made, ctx, results

    def run(self, inputs: Sequence[Value]) -> tuple[Value, FunctionCtx, Any]:
        """Call the user's forward with Tensors of these arrays, or of Tensors' arrays."""
        asked = [isinstance(x, Tensor) and x._requires_grad for x in inputs]
        xs = [_tensor(_array(x), ask) for x, ask in zip(inputs, asked, strict=True)]
        at = dict(zip(self.places, xs, strict=True))
        given = tuple([at.get(i, a) for i, a in enumerate(self.arguments)])
        ctx = FunctionCtx()
        ctx._inputs = [(x.shape, x.dtype) for x in xs]
        ctx.needs_input_grad = tuple(
            [i in at and at[i]._requires_grad for i in range(len(given))]
        )
        with no_grad():
            if self.function._separate():
                results = self.function.forward(*given)
                self.function.setup_context(ctx, given, results)
            else:
                results = self.function.forward(ctx, *given)
        return self.packed(ctx, xs, _listed(results)), ctx, results

    def packed(self, ctx: FunctionCtx, xs: list[Tensor], results: list[Any]) -> Value:
        """y, made of the results; ctx notes where each is, and what was saved."""
        smooth = [k for k, r in enumerate(results) if self._differentiable(r, ctx)]
        known = [(x, Need(self.inputs[i], "input", i)) for i, x in enumerate(xs)]
        known += [(results[k], Need("y", "y", k)) for k in smooth]
        ctx._saved = [_source(t, known) for t in ctx._to_save]
        ctx._parts = [_kind(r) for r in results]
        parts: Sequence[Callable[[Value], Value]]
        if len(smooth) == 1:
            y = results[smooth[0]]
            others = [t for t in ctx._to_save if t is not None and t is not y] + xs
            shared = any(np.may_share_memory(y._array, t._array) for t in others)
            y, parts = y._array.copy() if shared else y._array, [_whole]
        else:
            y, parts = Output.pack({k: results[k]._array for k in smooth})
        for k, part in zip(smooth, parts, strict=True):
            ctx._parts[k] = part
        ctx._to_save = ctx._constant = ()
        return y

    def _differentiable(self, result: Any, ctx: FunctionCtx) -> bool:
        if isinstance(result, list) and any(isinstance(r, Tensor) for r in result):
            raise DTypeError(
                f"{self.function.__name__}.forward returned Tensors in a list, where no "
                "gradient finds them; return a tuple"
            )
        constant = any(result is c for c in ctx._constant)
        return isinstance(result, Tensor) and result.dtype.kind == "f" and not constant

    def backward(
        self, ctx: FunctionCtx, g: Value, y: Value, xs: Sequence[Value]
    ) -> list[Value]:
        """∂L/∂x for every x, by one call of the user's backward; None where there is none.

        y and xs: needed only if they were saved.
        """
        ctx.saved_tensors = tuple([self._saved(ctx, s, y, xs) for s in ctx._saved])
        try:
            found = self.function._gradient()(ctx, *_cotangents(ctx, g))
        finally:
            ctx.saved_tensors = ()
        fitted = self._fitted(ctx, found if isinstance(found, tuple) else (found,))
        recorded = isinstance(g, Tensor)
        return [d if recorded or d is None else d._array for d in fitted]

    def _saved(
        self, ctx: FunctionCtx, saved: Any, y: Value, xs: Sequence[Value]
    ) -> Tensor | None:
        if saved is None:
            return None
        if isinstance(saved, Need):
            if saved.kind == "y":
                return _tensor(ctx._parts[saved.position](y), True)
            asked = ctx.needs_input_grad[self.places[saved.position]]
            return _tensor(xs[saved.position], asked)
        tensor, count = saved
        if tensor._version.count != count:
            raise MutationError(
                f"{self} saved a Tensor that was changed in place at "
                f"{tensor._version.where}; save a clone() instead"
            )
        return tensor

    def _fitted(self, ctx: FunctionCtx, found: tuple[Any, ...]) -> list[Tensor | None]:
        """The gradients that the user returned, summed and cast to fit the inputs."""
        count = len(self.arguments)
        returned = f"{self.function.__name__}.backward returned"
        if len(found) < count or any(d is not None for d in found[count:]):
            raise AutogradError(
                f"{returned} an incorrect number of gradients: {len(found)}, for {count} "
                "arguments of forward; return one for each, None for what has no gradient"
            )
        kinds = dict(zip(self.places, ctx._inputs, strict=True))
        for i, d in enumerate(found[:count]):
            if d is None:
                continue
            if i not in kinds:
                raise AutogradError(
                    f"{returned} a gradient for argument {i} of forward, which was no "
                    "Tensor; return None there"
                )
            if not isinstance(d, Tensor):
                raise DTypeError(
                    f"{returned} a {type(d).__name__} for argument {i} of forward; "
                    "a gradient is a Tensor, or None"
                )
            if not _expands(kinds[i][0], d.shape):
                raise ShapeError(
                    f"{returned} an invalid gradient for argument {i} of forward: it has "
                    f"shape {list(d.shape)}, the argument {list(kinds[i][0])}"
                )
        return [_fitting(found[i], *kinds[i]) for i in self.places]


class FunctionRecord(Record):
    """One application of a Function."""

    __slots__ = ()

    def needs(self, kept: Any) -> Iterator[Need]:
        """The context, and the inputs and the result that the user saved."""
        yield Need("ctx", "kept", 0)
        for saved in kept[0]._saved:
            if isinstance(saved, Need):
                yield saved if saved.kind == "input" else saved._replace(position=0)

    def gradients(
        self, asked: tuple[int, ...], g: Value, create_graph: bool
    ) -> Iterator[tuple[int, Value | None]]:
        """As of any record, but by one call of the user's backward."""
        if not asked:
            return
        saved = self.held()
        assert isinstance(self.op, Application)
        needs = self.op.rules[self.op.inputs[0]].needs
        given: list[Any] = [
            self.value(n, create_graph) if n.name in saved else None for n in needs
        ]
        y, ctx, *xs = given
        try:
            found = self.op.backward(ctx, g, y, xs)
        except Exception as error:
            error.add_note(f"in the backward of {self}")
            raise
        yield from [(i, found[i]) for i in asked]


class Output(Op, register=False):
    """One of several results, out of the vector y that holds all of them.

    After the results, y has a 0 for each: ∂L/∂y is 1 there if a gradient came to it.
    """

    index: int
    start: int = field(repr=False)
    shape: tuple[int, ...] = field(repr=False)
    dtype: np.dtype[Any] | None = field(repr=False)
    """Where the results are of several; else it is that of y."""
    mark: int = field(repr=False)
    """Where its 0 is, from behind."""

    @staticmethod
    def pack(arrays: dict[int, Any]) -> tuple[Value, list[Output]]:
        """y of the results with these indices, and how each comes out of it."""
        flat = [a.ravel() for a in arrays.values()]
        mixed = len({a.dtype for a in flat}) > 1
        starts = itertools.accumulate([a.size for a in flat], initial=0)
        marks = range(-len(arrays), 0)
        parts = [
            Output(k, start, a.shape, a.dtype if mixed else None, mark)
            for (k, a), start, mark in zip(arrays.items(), starts, marks, strict=False)
        ]
        return np.concatenate([*flat, np.zeros(len(arrays), np.float16)]), parts

    def forward(self, y: Value) -> Value:
        stop = self.start + math.prod(self.shape)
        return y[self.start : stop].reshape(self.shape).astype(self.dtype or y.dtype)

    def grad_y(self, g: Value, y_shape: tuple[int, ...], y_dtype: Any) -> Value:
        flat = Cast(y_dtype)(Reshape((-1,))(g))
        before = np.zeros(self.start, y_dtype)
        after = np.zeros(y_shape[0] - self.start - flat.shape[0], y_dtype)
        after[self.mark] = 1
        return Concatenate(0)(before, flat, after)

    def reached_by(self, g: Value) -> bool:
        """Whether a gradient came to this result, by g = ∂L/∂y."""
        return bool(_array(g)[self.mark] != 0)


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a Function's backward that is not written in Tensor operations.

    It records nothing; differentiating its result raises NotDifferentiableError.
    """

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            found = fn(ctx, *args)
        asking = [a for a in args if isinstance(a, Tensor) and a.requires_grad]
        once = OnceDifferentiable(getattr(fn, "__qualname__", repr(fn)))
        listed = [d if d is None else once(d.detach(), *asking) for d in _listed(found)]
        return tuple(listed)

    return wrapper


class OnceDifferentiable(Op, register=False):
    """y = the first input, computed in a backward from the others."""

    name: str

    def forward(self, *xs: Value) -> Value:
        return np.array(xs[0])

    def grad_xs(self, g: Value) -> Value:
        raise NotDifferentiableError(
            f"{self.name} is marked as once_differentiable, so its result has no gradient"
        )


def _operation(function: type[Function], places: tuple[int, ...]) -> type[Application]:
    """The operation of a Function whose arguments at these places are Tensors."""
    about: dict[str, Any] = {"function": function, "places": places}
    about |= {"__module__": function.__module__, "__doc__": function.__doc__}
    options = {"register": False, "eq": False, "repr": False}
    operation: Any = type(function.__name__, (Application,), about, **options)
    operation.inputs, operation.variadic = _names(function, places), False
    inputs = [Need(name, "input", i) for i, name in enumerate(operation.inputs)]
    needs = (Need("y", "y", 0), Need("ctx", "kept", 0), *inputs)
    for i, name in enumerate(operation.inputs):
        operation.rules[name] = Rule(functools.partial(_gradient, i), needs)
    return operation


def _gradient(
    i: int, op: Application, g: Value, y: Value, ctx: FunctionCtx, *xs: Value
) -> Value:
    d = op.backward(ctx, g, y, xs)[i]
    return np.zeros(*ctx._inputs[i]) if d is None else d


def _names(function: type[Function], places: tuple[int, ...]) -> tuple[str, ...]:
    """The inputs are called as in the user's forward, as far as rules leave them free."""
    parameters = list(inspect.signature(function.forward).parameters.values())
    if not function._separate():
        parameters = parameters[1:]
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    found = [names[i] if i < len(names) else f"argument{i}" for i in places]
    taken = ("self", "g", "y", "ctx", "index")
    return tuple([name + "_" if name in taken else name for name in found])


def _listed(results: Any) -> list[Any]:
    return list(results) if isinstance(results, tuple) else [results]


def _array(x: Value) -> Value:
    return x._array if isinstance(x, Tensor) else x


def _tensor(value: Value, asked: bool) -> Tensor:
    """A Tensor for the user's code to read; recorded ones as they are."""
    if isinstance(value, Tensor):
        return value
    t = Tensor._wrap(read_only(np.asarray(value)))
    t._requires_grad = asked
    return t


def _source(
    t: Tensor | None, known: list[tuple[Tensor, Need]]
) -> Need | tuple[Tensor, int] | None:
    for source, need in known:
        if t is source:
            return need
    return None if t is None else (t, t._version.count)


def _kind(result: Any) -> tuple[tuple[int, ...], Any] | None:
    return (result.shape, result.dtype) if isinstance(result, Tensor) else None


def _whole(y: Value) -> Value:
    return y


def _cotangents(ctx: FunctionCtx, g: Value) -> Iterator[Tensor | None]:
    """∂L/∂result for each result, from g = ∂L/∂y."""
    for part in ctx._parts:
        reached = not isinstance(part, Output) or part.reached_by(g)
        if callable(part) and (reached or ctx._materialize):
            yield _tensor(part(g), False)
        elif part is None or not ctx._materialize:
            yield None
        else:
            yield Tensor._wrap(np.zeros(*part))


def _expands(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    pairs = zip(shape[::-1], to[::-1], strict=False)
    return len(shape) <= len(to) and all(s in (1, t) for s, t in pairs)


def _fitting(d: Any, shape: tuple[int, ...], dtype: Any) -> Tensor | None:
    d = d if d is None or d.shape == shape else SumTo(shape)(d)
    return d if d is None else d.to(dtype)
