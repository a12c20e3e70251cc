"""What a computation did: its operations in order, and the arrays that went between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from ..engine import Tensor, run_backward
from ..errors import PlanningError
from ..nn import Module
from ..ops import normalization, registry
from ..random import default_generator, undisturbed
from ..recording import effects, enable_grad, no_grad, observer, reader

Array = np.ndarray[Any, Any]


class Effect(NamedTuple):
    """A function that changes the arrays of these Tensors: `recording.change`."""

    function: Callable[..., None]
    tensors: tuple[Tensor, ...]


class Step(NamedTuple):
    """One application of an operation, or an effect, to arrays and numbers."""

    op: Any
    inputs: Sequence[Any]
    result: Any
    kept: Sequence[Any]


class Trace(NamedTuple):
    """A computation. Arrays are told apart by identity, not by value."""

    inputs: list[Array]
    persistent: list[Array]
    """The parameters and buffers, whose values are read anew in every replay."""
    steps: list[Step]
    outputs: list[Array]
    """The output; behind it the loss and a gradient for each parameter in `updated`."""
    updated: Sequence[Tensor]


def traced(
    model: Module, loss: Callable[..., Tensor] | None, inputs: Sequence[Tensor]
) -> Trace:
    """Run the model (and the loss, and the gradient) and note every operation.

    Raises PlanningError where a replay could not do the same: where values leave the
    graph, random numbers are drawn, or something is changed that is no result. What the
    run changed is put back.
    """
    _refuse_hooks(model)
    held = [*model.parameters(), *model.buffers()]
    before = [(t._version.count, t._array.copy()) for t in held]
    chance = default_generator.get_state()
    try:
        with undisturbed():
            trace = _run(model, loss, inputs)
            if chance != default_generator.get_state():
                raise PlanningError("it draws random numbers")
        changed = [step.op.tensors for step in trace.steps if type(step.op) is Effect]
        changes = Counter(id(t) for tensors in changed for t in tensors)
        for t, (count, _) in zip(held, before, strict=True):
            if t._version.count != count + changes[id(t)]:
                raise PlanningError("it changes a parameter or buffer in place")
    finally:
        for t, (n, array) in zip(held, before, strict=True):
            if t._version.count != n:
                t._array[...] = array
    _refuse_strangers(trace)
    return trace


def _run(
    model: Module, loss: Callable[..., Tensor] | None, inputs: Sequence[Tensor]
) -> Trace:
    steps: list[Step] = []
    given = [t.detach() for t in inputs]
    arrays = [t._array for t in given]
    held = [t._array for t in (*model.parameters(), *model.buffers())]
    with _watched(steps):
        if loss is None:
            with no_grad():
                output = _one_tensor(model(*given), "the model")
            return Trace(arrays, held, steps, [output._array], [])
        with enable_grad():
            output = _one_tensor(model(*given[:-1]), "the model")
            value = _one_tensor(loss(output, given[-1]), "the loss")
            one = Tensor(np.ones_like(value._array))
            parameters = [p for p in model.parameters() if p.requires_grad]
            found = run_backward([value], [one], None, True, parameters, False, False)
    gradients = [(p, found[p]._array) for p in parameters if p in found]
    outputs = [output._array, value._array, *[g for _, g in gradients]]
    updated = [p for p, _ in gradients]
    return Trace(arrays, [*held, one._array], steps, outputs, updated)


@contextmanager
def _watched(steps: list[Step]) -> Iterator[None]:
    """Operations and effects go to `steps`; values read by Python are refused."""

    def affect(function: Any, tensors: Any, others: Any) -> None:
        steps.append(Step(Effect(function, tensors), others, None, ()))

    tokens: list[tuple[ContextVar[Any], Any]] = [
        (observer, observer.set(lambda *step: steps.append(Step(*step)))),
        (effects, effects.set(affect)),
        (reader, reader.set(_refuse_reading)),
    ]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def _refuse_reading(how: str) -> None:
    raise PlanningError(f"Python reads values of a Tensor, by {how}")


def _one_tensor(value: Any, what: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise PlanningError(f"{what} gives {type(value).__name__}, not one Tensor")
    return value


def _refuse_hooks(model: Module) -> None:
    for module in model.modules():
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
        if any(getattr(module, kind) for kind in (*kinds, "_backward_pre_hooks")):
            raise PlanningError(f"{type(module).__name__} has hooks")


def _refuse_strangers(trace: Trace) -> None:
    """Every array must be given, held by the model, or made by an operation."""
    known = {id(a) for a in (*trace.inputs, *trace.persistent)}
    for step in trace.steps:
        if not _replayable(step):
            continue  # what it makes stays unknown
        for x in step.inputs:
            if isinstance(x, np.ndarray | np.generic) and id(x) not in known:
                raise PlanningError(f"{step.op} takes an array that no operation made")
        if step.result is not None:
            known |= {id(a) for a in (step.result, *step.kept)}
    if any(id(a) not in known for a in trace.outputs):
        raise PlanningError("an output is no result of an operation")


def _replayable(step: Step) -> bool:
    """Whether the operation is one of the package's, and all that it works on is known."""
    kind = type(step.op)
    if kind is Effect:
        return True
    ours = registry.get(kind.__name__) is kind or kind in UNREGISTERED
    return ours and not any(map(_holds_array, vars(step.op).values()))


UNREGISTERED = normalization.BatchNormInput, normalization.BatchNormScale


def _holds_array(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(map(_holds_array, value))
    return isinstance(value, np.ndarray | np.generic | Tensor)
