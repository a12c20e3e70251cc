"""Planning at the first call, replaying at the others."""

from __future__ import annotations

import threading
from operator import is_
from typing import Any

from ..core.engine import Tensor
from ..core.generator import default_generator
from ..core.recording import backward_observer, grad_enabled, observer, quiet
from ..errors import ArgumentError, PlanningError
from ..kernels import active
from ..kernels.threads import Pool
from ..nn import Module
from ..nn.module import Children
from .plan import Plan
from .tracing import Loss, modules_of, traced

KEPT = 8
"""How many plans a model has at most: those used last."""


def planned(model: Module, loss: Loss | None = None) -> Planned:
    """The model as a function that is planned at its first call and then replayed.

    Without a loss: planned(model)(images) is the output, without a gradient. With one,
    a function of the output and the labels that gives one number:

        loss, output = planned(model, F.nll_loss)(images, labels)

    does what zero_grad(), loss(model(images), labels) and backward() do, and an update of
    any optimizer may follow. A model of several inputs takes them all before the labels:
    (x1, x2, labels). `.grad` of each parameter is *set*; its memory, unlike that
    of loss and output, is written anew by the next call.

    What Python the model runs is run while planning only, so it must not decide anything
    by the values of Tensors, nor have effects: where it does (and for hooks and changes in
    place) the model is called as usual every time, and `why` says for what reason.
    A new shape or dtype of the images, `train()` and
    `eval()`, `requires_grad_()`, loaded or replaced weights, and attributes, parameters
    and modules that are exchanged are noticed; what changes inside of an attribute (a
    list), or outside of the modules, is not: plan anew. The 8 plans used last are kept.
    Layers outside what is compiled are replayed as they are.

    Several threads may use it: one replays at a time, the others wait.
    """
    if not isinstance(model, Module):
        raise ArgumentError(f"a Module is planned, got {type(model).__name__}")
    return Planned(model, loss)


class Planned:
    """See `planned`. why: why the last call was not replayed, or None."""

    def __init__(self, model: Module, loss: Loss | None) -> None:
        self.model, self.loss = model, loss
        self.why: str | None = None
        self._lock = threading.RLock()
        self._plans: list[tuple[Any, list[Any], Plan | str]] = []
        self._changes = -1

    def __reduce__(self) -> Any:
        return Planned, (self.model, self.loss)  # a copy plans for itself

    def __call__(self, *inputs: Tensor) -> Any:
        """The output; or the loss and the output, the gradients being set."""
        if len(inputs) < (1 if self.loss is None else 2):
            wanted = "the images" if self.loss is None else "the images and the labels"
            raise ArgumentError(
                f"this plan takes {wanted}; got {len(inputs)} arguments"
            )
        with self._lock:
            found = self._replayed(inputs)
        if isinstance(found, str):
            self.why = found
            return self._as_usual(*inputs)
        self.why = None
        return found[0] if self.loss is None else (found[1], found[0])

    def _replayed(self, inputs: tuple[Tensor, ...]) -> list[Tensor] | str:
        """The results of a replay, or why there is none."""
        if self._changes != Children.changes:
            self._changes = Children.changes
            self._modules = modules_of(self.model, self.loss)
            own = [(m._parameters, m._buffers) for m in self._modules]
            self._stores = [store for both in own for store in both]
        why = self._watched(inputs)
        if why is not None:
            return why
        bits = default_generator.numpy.bit_generator
        before = bits.state
        try:
            plan = self._plan(inputs)
            if isinstance(plan, str):
                return plan
            return quiet.run(plan.replay, [t._array for t in inputs])
        except Exception as error:  # a wrong label: the usual call says it better
            bits.state = before  # which draws again
            return str(error) or type(error).__name__

    def _watched(self, inputs: tuple[Tensor, ...]) -> str | None:
        if not all(isinstance(t, Tensor) for t in inputs):
            return "an input is no Tensor"
        if observer.get() is not None or backward_observer.get() is not None:
            return "operations are being watched"
        if self.loss is not None and not grad_enabled.get():
            return "gradients are off"
        if any(t._requires_grad for t in inputs):
            return "a gradient of the inputs is wanted"
        for m in self._modules:
            forward = m._forward_hooks or m._forward_pre_hooks
            if forward or m._backward_hooks or m._backward_pre_hooks:
                return f"{type(m).__name__} has hooks"
        return None

    def _plan(self, inputs: tuple[Tensor, ...]) -> Plan | str:
        """The plan for such inputs and this state of the model, or why there is none."""
        tensors = [t for s in self._stores if s for t in s.values() if t is not None]
        if any(t._hooks or t._leaf_hooks for t in tensors):
            return "a parameter has hooks"
        facts, state = _facts(inputs), _state(self._modules, tensors)
        for i, (of, before, plan) in enumerate(self._plans):
            if of != facts or len(before) != len(state):
                continue
            if all(map(is_, before, state)):
                if i:
                    self._plans.insert(0, self._plans.pop(i))
                return plan
        try:
            plan = self._make(inputs)
        except PlanningError as error:
            plan = str(error)
        # Asked again, for now it is known which table of kernels serves.
        self._plans = [(_facts(inputs), state, plan), *self._plans[: KEPT - 1]]
        return plan

    def _make(self, inputs: tuple[Tensor, ...]) -> Plan:
        return Plan(traced(self.model, self.loss, inputs))

    def _as_usual(self, *inputs: Tensor) -> Any:
        if self.loss is None:
            return _detached(self.model(*inputs))
        for parameter in self.model.parameters():
            parameter._grad = None
        output = self.model(*inputs[:-1])
        value = self.loss(output, inputs[-1])
        value.backward()
        return value.detach(), _detached(output)


def _detached(output: Any) -> Any:
    return output.detach() if isinstance(output, Tensor) else output


def _facts(inputs: tuple[Tensor, ...]) -> Any:
    """What else a plan is made for; compared by value."""
    shapes = [(t._array.shape, t._array.dtype) for t in inputs]
    return shapes, active.table, Pool.compiled, grad_enabled.get()


def _state(modules: list[Module], tensors: list[Tensor]) -> list[Any]:
    """All that modules hold; a change puts another object somewhere."""
    held: list[Any] = []
    for own in map(vars, modules):
        if "_path_cache" in own:  # which each new module makes stale
            own = {name: v for name, v in own.items() if name != "_path_cache"}
        held += own.values()
        held += own["_modules"].values()
    for t in tensors:
        held += (t, t._array, t._requires_grad)
    return held
