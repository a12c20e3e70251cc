"""JAX's functions, with rules of their own or without, as the subjects of a check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...errors import ArgumentError
from ..branches import Path as Branches
from ..handwritten.foreign import ForeignError, described
from ..subject import Array, Run
from .base import FrameworkSubject, Part, arguments_of

Arrays = Sequence[Any]
Calls = list[tuple[Any, list[Any]]]
"""Equations of jaxprs, and the values of their inputs."""

TRANSPARENT = ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint")
"""Primitives that only stand for what is inside."""

LIBRARY = str(Path(jax.__file__).parent)
REAL = (np.float32, np.float64)


def builder(
    target: Any, inputs: Any, loss: Any, labels: Any
) -> Callable[[Any], JaxSubject]:
    """What makes the subject of `verify`'s arguments in a dtype of NumPy's."""
    return lambda dtype: _subject(target, inputs, loss, labels, dtype)


def _subject(
    target: Any, inputs: Any, loss: Any, labels: Any, dtype: Any
) -> JaxSubject:
    given, by_name = arguments_of(target, inputs)
    # a model that is a tree of arrays itself has parameters
    paths, tree = jax.tree_util.tree_flatten_with_path((target, list(given.values())))
    values = [x for _, x in paths]
    if labels is not None and loss is None:
        loss = getattr(target, "loss", None) or _cross_entropy
    arrays: dict[str, Array] = {}
    places, fixed = {}, []
    for i, (path, x) in enumerate(paths):
        if is_differentiable(x):
            steps = [_step(key) for key in path[1:]]
            if path[0].idx == 1:
                steps[0] = list(given)[int(steps[0])]
            name = ".".join(steps) or "itself"
            arrays[name], places[name] = as_real(x, dtype), i
        elif isinstance(x, jax.Array):
            fixed.append(i)

    def function(found: Arrays, others: Arrays) -> Any:
        every = list(values)
        for i, x in zip(places.values(), found, strict=True):
            is_complex = jnp.iscomplexobj(values[i])
            every[i] = x[..., 0] + 1j * x[..., 1] if is_complex else x
        for i, x in zip(fixed, others, strict=True):
            every[i] = x
        call, arguments = jax.tree_util.tree_unflatten(tree, every)
        if by_name:
            y = call(**dict(zip(given, arguments, strict=True)))
        else:
            y = call(*arguments)
        if loss is None:
            return y
        return loss(y) if labels is None else loss(y, labels)

    name = getattr(target, "__name__", type(target).__name__)
    others = [values[i] for i in fixed]
    subject = JaxSubject(name, function, arrays, others, _precision(dtype))
    rules = isinstance(target, jax.custom_vjp | jax.custom_jvp)
    subject.divisible = not rules or loss is not None
    subject.try_out()
    return subject


def is_differentiable(x: Any) -> bool:
    """Whether it is an array of floating or complex numbers."""
    return isinstance(x, np.ndarray | jax.Array) and jnp.issubdtype(
        x.dtype, jnp.inexact
    )


def as_real(x: Any, dtype: Any) -> Array:
    """A copy in this dtype, complex numbers as pairs of real ones; None: as it is."""
    if jnp.iscomplexobj(x):
        x = np.array(x, np.complex128, order="C")
        x = x.view(np.float64).reshape(*x.shape, 2)
        return x.astype(dtype or np.float64)
    own = x.dtype if x.dtype in REAL else np.float32
    return np.array(x, dtype or own, order="C")


def _step(key: Any) -> str:
    """One step of a path in a tree: a key, a position or an attribute."""
    kinds = ("key", "idx", "name")
    return str(next((getattr(key, k) for k in kinds if hasattr(key, k)), key))


def _precision(dtype: Any) -> Callable[[], AbstractContextManager[Any]]:
    """A block in which JAX has float64, if that is the dtype; else as the user has it."""
    if dtype is None or np.dtype(dtype) != np.float64:
        return nullcontext
    if hasattr(jax, "enable_x64"):
        return lambda: jax.enable_x64(True)
    return jax.experimental.enable_x64  # before JAX 0.8


def _cross_entropy(scores: Any, labels: Any) -> Any:
    classes = np.asarray(labels).astype(np.int32)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(scores), classes[..., None], -1)
    return -chosen.mean()


class JaxSubject(FrameworkSubject):
    """A function of JAX arrays, whose gradients `jax.vjp` computes.

    It is compiled where it can be traced without values, and called as it is elsewhere.
    others: arrays that it needs as well.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        arrays: dict[str, Array],
        others: Arrays,
        precision: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        super().__init__(name, arrays)
        self.function, self.others, self.precision = function, others, precision
        self.divisible = True
        self._run = _compiled(self._outputs)
        self._pull = _compiled(self._pulled)

    def _outputs(self, arrays: Arrays, others: Arrays) -> list[Any]:
        found = jax.tree_util.tree_leaves(self.function(arrays, others))
        outputs = [
            jnp.stack([jnp.real(y), jnp.imag(y)], -1) if jnp.iscomplexobj(y) else y
            for y in map(jnp.asarray, found)
            if jnp.issubdtype(y.dtype, jnp.inexact)
        ]
        if not outputs:
            kinds = ", ".join([str(getattr(y, "dtype", type(y))) for y in found])
            raise ArgumentError(
                f"{self.name} must return a floating array, or several, nested as you "
                f"like; it returned {kinds or 'none'}"
            )
        return [y if y.dtype in REAL else y.astype(np.float32) for y in outputs]

    def _pulled(self, arrays: Arrays, others: Arrays, cotangents: Arrays) -> Any:
        return jax.vjp(lambda xs: self._outputs(xs, others), arrays)[1](cotangents)[0]

    def try_out(self) -> None:
        """Run once; what the user's code raises is not caught."""
        with self.precision():
            self._run(list(self.arrays.values()), self.others)

    def run(self, margins: bool = False) -> Run:
        try:
            with self.precision():
                found = self._run(list(self.arrays.values()), self.others)
                return Run([np.array(y) for y in found], Branches())
        except RuntimeError as error:
            raise ForeignError(described(error)) from error

    def gradients(self, cotangents: Sequence[Array]) -> dict[str, Array | None]:
        with self.precision():
            found = self._pull([*self.arrays.values()], self.others, [*cotangents])
            return dict(zip(self.arrays, map(np.array, found), strict=True))

    def parts(self) -> Iterator[Part]:
        """Functions with own rules (custom_vjp, custom_jvp); those of JAX are the last."""
        if not self.divisible:
            return
        with self.precision():
            given = list(self.arrays.values()), self.others
            try:
                traced = jax.make_jaxpr(self._outputs)(*given)
            except Exception:  # it asks for values: then nothing is seen of its inside
                return
            calls: Calls = []
            _calls(*_opened(traced), jax.tree_util.tree_leaves(given), calls)
        found = [self._alone(*call) for call in calls]
        found.sort(key=lambda part: LIBRARY in part.where)
        for part in found:
            if part.subject.arrays:
                yield part._replace(where=Path(part.where).name)

    def _alone(self, equation: Any, inputs: Sequence[Any]) -> Part:
        params = equation.params
        debug = params["call_jaxpr"].jaxpr.debug_info
        name, _, where = str(debug.func_src_info).partition(" at ")
        rule = getattr(params.get("bwd"), "debug_info", debug)
        if LIBRARY not in where:
            where = str(rule.func_src_info).rpartition(" at ")[2]
        names = list(debug.arg_names or ())
        if len(names) != len(inputs):
            names = [f"input {i}" for i in range(len(inputs))]
        checked = [i for i, x in enumerate(inputs) if is_differentiable(x)]

        def function(found: Arrays, others: Arrays) -> Any:
            given = list(others)
            for i, x in zip(checked, found, strict=True):
                given[i] = x
            return _apply(equation, given)

        arrays = {names[i]: np.array(inputs[i], order="C") for i in checked}
        subject = JaxSubject(name, function, arrays, inputs, self.precision)
        kind = equation.primitive.name.removesuffix("_call")
        return Part(f"{kind} {name}", "", where, subject)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled, or as it is if it cannot be traced without values."""
    # optimising takes XLA seconds, a thousand runs of a small function less than one
    compiled = jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})

    def call(*args: Any) -> Any:
        nonlocal compiled
        try:
            return compiled(*args)
        except Exception:
            if compiled is function:
                raise
            compiled = function
            return function(*args)

    return call


def _calls(jaxpr: Any, consts: Arrays, inputs: Arrays, found: Calls) -> list[Any]:
    """What a jaxpr computes; calls of functions with own rules are added to `found`."""
    values = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= dict(zip(jaxpr.invars, inputs, strict=True))

    def read(place: Any) -> Any:
        return place.val if hasattr(place, "val") else values[place]  # of a literal

    for equation in jaxpr.eqns:
        primitive, params = equation.primitive, equation.params
        given = [read(place) for place in equation.invars]
        inner = params.get("jaxpr") if primitive.name in TRANSPARENT else None
        if inner is not None:
            results = _calls(*_opened(inner), given, found)
        else:
            if primitive.name.startswith("custom_") and "call_jaxpr" in params:
                found.append((equation, given))
            results = _apply(equation, given)
            results = results if primitive.multiple_results else [results]
        values |= dict(zip(equation.outvars, results, strict=True))
    return [read(place) for place in jaxpr.outvars]


def _apply(equation: Any, inputs: Arrays) -> Any:
    """The results of an equation, by its own rule of differentiation."""
    given = equation.primitive.get_bind_params(equation.params)
    # before JAX 0.8 two things: the functions, and the rest
    functions, options = given if isinstance(given, tuple) else ((), given)
    return equation.primitive.bind(*functions, *inputs, **options)


def _opened(jaxpr: Any) -> tuple[Any, Arrays]:
    """A jaxpr and its constants, which an open one has not."""
    return getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ())
