"""Planning at the first call, replaying at the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import Tensor
from ..errors import ArgumentError, PlanningError
from ..kernels import active
from ..kernels.threads import get_num_threads
from ..nn import Module
from ..recording import check_nan, grad_enabled, observer, quiet
from .buffers import Array
from .lower import Lowering, fill
from .trace import traced

Loss = Callable[[Tensor, Tensor], Tensor]


def planned(model: Module, loss: Loss | None = None) -> Planned:
    """The model as a function that is planned at its first call and then replayed.

    Without a loss: planned(model)(images) is the output, without a gradient. With one,
    a function of the output and the labels that gives one number:

        loss, output = planned(model, F.nll_loss)(images, labels)

    does what zero_grad(), loss(model(images), labels) and backward() do, and an update of
    any optimizer may follow. `.grad` of each parameter is *set*; its memory, unlike that
    of loss and output, is written anew by the next call.

    What Python the model runs is run while planning only, so it must not decide anything
    by the values of Tensors, nor have effects: where it does, and for dropout and hooks,
    the model is called as usual every time, and `why` says for what reason. A new shape
    or dtype of the images, `train()` and `eval()`, `requires_grad_()` and loaded or
    replaced weights are noticed; parts of the model that are exchanged are not: plan anew.
    """
    if not isinstance(model, Module):
        raise ArgumentError(f"a Module is planned, got {type(model).__name__}")
    return Planned(model, loss)


class Plan:
    """The kernel calls of one shape of inputs."""

    def __init__(self, model: Module, loss: Loss | None, inputs: list[Tensor]) -> None:
        lowering = Lowering(traced(model, loss, inputs))
        self.calls, self.inputs = lowering.calls, lowering.inputs
        self.outputs = lowering.outputs
        self.updated = [
            (parameter, Tensor._wrap(g))
            for parameter, g in zip(
                lowering.trace.updated, lowering.outputs[2:], strict=True
            )
        ]
        self.changed = lowering.changed
        self.nbytes = lowering.buffers.nbytes

    def replay(self, arrays: list[Array]) -> list[Tensor]:
        """The output, and the loss if there is one; gradients are set.

        Raises PlanningError, having changed nothing, where a result is not finite.
        """
        for place, array in zip(self.inputs, arrays, strict=True):
            fill(place, array)
        before = [array.copy() for array in self.changed]
        try:
            self._run()
        except PlanningError:
            for array, values in zip(self.changed, before, strict=True):
                array[...] = values
            raise
        for parameter, g in self.updated:
            g._version.count += 1
            parameter._grad = g
        return [Tensor._wrap(a.copy()) for a in self.outputs[:2]]

    def _run(self) -> None:
        for function, arguments in self.calls:
            function(*arguments)
        if not np.isfinite(self.outputs[min(1, len(self.outputs) - 1)]).all():
            raise PlanningError("the result is not finite")


class Planned:
    """See `planned`. why: why the last call was not replayed, or None."""

    def __init__(self, model: Module, loss: Loss | None) -> None:
        self.model, self.loss = model, loss
        self.why: str | None = None
        self._plans: dict[Any, Plan | str] = {}
        self._modules = list(model.modules())
        self._parameters = list(model.parameters())
        self._held = [*self._parameters, *model.buffers()]

    def __call__(self, *inputs: Tensor) -> Any:
        """The output; or the loss and the output, the gradients being set."""
        if len(inputs) != (1 if self.loss is None else 2):
            wanted = "the images" if self.loss is None else "the images and the labels"
            raise ArgumentError(
                f"this plan takes {wanted}; got {len(inputs)} arguments"
            )
        self.why = self._watched(inputs)
        if self.why is None:
            plan = self._plan(inputs)
            if isinstance(plan, str):
                self.why = plan
            else:
                try:
                    found = quiet.run(plan.replay, [t._array for t in inputs])
                    return found[0] if self.loss is None else (found[1], found[0])
                except PlanningError as error:
                    self.why = str(error)
        return self._as_usual(*inputs)

    def _watched(self, inputs: tuple[Tensor, ...]) -> str | None:
        if observer.get() is not None or check_nan.get():
            return "operations are being watched"
        if self.loss is not None and not grad_enabled.get():
            return "gradients are off"
        if inputs[0]._requires_grad:
            return "a gradient of the images is wanted"
        return None

    def _plan(self, inputs: tuple[Tensor, ...]) -> Plan | str:
        """The plan for such inputs and this state of the model, or why there is none."""
        key = (
            *[(t._array.shape, t._array.dtype) for t in inputs],
            *[module.training for module in self._modules],
            *[(id(t._array), t._requires_grad) for t in self._held],
            *[bool(p._hooks or p._leaf_hooks) for p in self._parameters],
            active.table,
            get_num_threads(),
        )
        if key not in self._plans:
            self._plans[key] = self._new_plan(list(inputs))
        return self._plans[key]

    def _new_plan(self, inputs: list[Tensor]) -> Plan | str:
        if any(p._hooks or p._leaf_hooks for p in self._parameters):
            return "a parameter has hooks"
        try:
            return Plan(self.model, self.loss, inputs)
        except PlanningError as error:
            return str(error)

    def _as_usual(self, *inputs: Tensor) -> Any:
        if self.loss is None:
            output = self.model(*inputs)
            return output.detach() if isinstance(output, Tensor) else output
        for parameter in self._parameters:
            parameter._grad = None
        output = self.model(inputs[0])
        value = self.loss(output, inputs[1])
        value.backward()
        return value.detach(), output.detach()
