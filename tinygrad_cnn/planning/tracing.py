"""What a computation did: its operations in order, and the arrays that went between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.engine import Tensor, run_backward
from ..core.recording import effects, enable_grad, observer, reader, setting
from ..core.replaying import nodes_of
from ..core.running import unchanged
from ..errors import PlanningError
from ..nn import Module

Array = np.ndarray[Any, Any]
Loss = Callable[..., Tensor]


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
    floor: float = -np.inf
    """The result is to be at least this: 0 where the ReLU behind is done as well."""


class Trace(NamedTuple):
    """A computation. Arrays are told apart by identity, not by value."""

    inputs: list[Array]
    persistent: list[Array]
    """The parameters and buffers, whose values are read anew in every replay."""
    steps: list[Step]
    outputs: list[Array]
    """The output; behind it the loss, if there is one."""
    gradients: Sequence[tuple[Tensor, Array | None]]
    """Those of the parameters, where there is a loss."""


def modules_of(model: Module, loss: Loss | None) -> list[Module]:
    """Those of the model, and of the loss if it is one."""
    roots = [model, loss] if isinstance(loss, Module) else [model]
    return [module for root in roots for module in root.modules()]


def traced(model: Module, loss: Loss | None, inputs: Sequence[Tensor]) -> Trace:
    """Run the model (and the loss, and the gradient) and note every operation.

    Raises PlanningError where a replay could not do the same: where values leave the
    graph, random numbers are drawn, or something is changed that is no result. What the
    run changed is put back.
    """
    refused: list[str] = []
    with unchanged(*modules_of(model, loss), parameters=True) as changes:
        trace = _run(model, loss, inputs, refused)
    for why in refused + changes:
        raise PlanningError(why)
    _refuse_strangers(trace)
    return trace


def _run(
    model: Module, loss: Loss | None, inputs: Sequence[Tensor], refused: list[str]
) -> Trace:
    steps: list[Step] = []
    # Copies: one array may be given twice, and nothing here changes the caller's.
    given = [Tensor._wrap(np.array(t._array)) for t in inputs]
    arrays = [t._array for t in given]
    held = [t._array for t in (*model.parameters(), *model.buffers())]
    if isinstance(loss, Module):
        held += [t._array for t in loss.buffers()]

    def apply(*step: Any) -> None:
        steps.append(Step(*step))

    def affect(function: Any, tensors: Any, others: Any) -> None:
        held.extend(t._array for t in tensors)  # `derived` makes what no module holds
        steps.append(Step(Effect(function, tensors), others, None, ()))

    with (
        setting(observer, apply),
        setting(effects, affect),
        setting(reader, refused.append),
    ):
        if loss is None:
            output = _one_tensor(model(*given), "the model")
            return Trace(arrays, held, steps, [output._array], [])
        with enable_grad():
            output = _one_tensor(model(*given[:-1]), "the model")
            value = _one_tensor(loss(output, given[-1]), "the loss")
            _check_graph(value)
            one = Tensor(np.ones_like(value._array))
            leaves = [p for p in model.parameters() if p.requires_grad]
            found = run_backward([value], [one], None, True, leaves, False, False)
    arrays_of = {p: gradient._array for p, gradient in found.items()}
    gradients = [(p, arrays_of.get(p)) for p in model.parameters()]
    outputs = [output._array, value._array]
    held.append(one._array)
    return Trace(arrays, held, steps, outputs, gradients)


def _check_graph(value: Tensor) -> None:
    """Refuse a loss that `backward` would, and hooks that the forward registered."""
    if value.numel() != 1 or value._node is None:
        raise PlanningError("the loss is not one number that requires a gradient")
    for node in nodes_of([value]):
        if node._hooks or node.retains_grad:
            raise PlanningError("a result has hooks, or retains its gradient")


def _one_tensor(value: Any, what: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise PlanningError(f"{what} gives {type(value).__name__}, not one Tensor")
    return value


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
    results = trace.outputs + [g for _, g in trace.gradients if g is not None]
    if any(id(a) not in known for a in results):
        raise PlanningError("an output is no result of an operation")


def _replayable(step: Step) -> bool:
    """Whether it is known what the operation does, and all that it works on."""
    if type(step.op) is Effect:
        return True
    return not step.op.opaque and not any(map(_holds_array, vars(step.op).values()))


def _holds_array(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(map(_holds_array, value))
    return isinstance(value, np.ndarray | np.generic | Tensor)
