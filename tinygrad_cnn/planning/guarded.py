"""Steps of training that are planned where nobody can tell, and recorded elsewhere."""

from __future__ import annotations

import logging
import math
from typing import Any

from ..core.engine import Tensor
from ..core.generator import default_generator
from ..errors import PlanningError
from ..nn import Module
from .plan import Plan
from .planner import KEPT, Planned
from .provable import Fact, holds, proven
from .tracing import Loss, modules_of

log = logging.getLogger(__name__)

EVERY = 256
"""The first replay of a plan is compared, each power of two, and one of so many."""


class Guarded(Planned):
    """loss(model(x), labels) and backward() as a function of (x, labels), for `fit`.

    Replayed where the model is `provable`, recorded elsewhere, to the same bits. `why` is
    the reason of the latter; a change of it is logged at the level of debugging. Some
    replays are compared with a recorded step; where a bit differs, a warning is logged,
    and steps are recorded from then on. Unlike `Planned` it sets gradients that nobody
    writes anew, and leaves it to the caller to clear those of the step before.
    """

    def __init__(self, model: Module, loss: Loss) -> None:
        super().__init__(model, loss)
        self._rests_on: list[Fact] = []
        self._made = self._replays = 0
        self._given_up: str | None = None
        self._told: str | None = None
        self._before: Any = None

    def __reduce__(self) -> Any:
        return Guarded, (self.model, self.loss)

    def __call__(self, *inputs: Tensor) -> Any:
        """The loss and the output, the gradients being set."""
        with self._lock:
            n = self._replays + 1
            due = self._given_up is None and (not n & (n - 1) or n % EVERY == 0)
            self._before = self._state_before() if due else None
            found = super().__call__(*inputs)
            if self.why != self._told:
                log.debug("steps are recorded: %s", self.why or "no longer")
                self._told = self.why
            if self.why is not None:
                return found
            self._replays += 1
            parameters = list(self.model.parameters())
            for p in parameters:
                if p._grad is not None:
                    p._grad = Tensor._wrap(p._grad._array.copy("K"))
            if self._before is None:
                return found
            return self._compared(inputs, found, self._before)

    def _state_before(self) -> Any:
        """What a step changes: buffers, and how far the generator has drawn."""
        buffers = [
            (t, t._array.copy())
            for m in modules_of(self.model, self.loss)
            for t in m._buffers.values()
            if t is not None
        ]
        bits = default_generator.numpy.bit_generator
        return buffers, bits, bits.state

    def _compared(self, inputs: tuple[Tensor, ...], found: Any, before: Any) -> Any:
        """The recorded step; from now on all are recorded if it differs."""
        buffers, bits, state = before
        replayed = self._bits_of(found, bits)
        for t, values in buffers:
            t._array[...] = values
        bits.state = state
        for parameter in self.model.parameters():
            parameter._grad = None
        recorded = self._as_usual(*inputs)
        if replayed != self._bits_of(recorded, bits):
            self._given_up = "a replay differed from the recorded step"
            log.warning("%s: steps are recorded from now on", self._given_up)
        return recorded

    def _bits_of(self, found: Any, bits: Any) -> list[Any]:
        grads = [p._grad for p in self.model.parameters()]
        held = [t for m in modules_of(self.model, self.loss) for t in m.buffers()]
        values = [
            t if t is None else (t._array.shape, t._array.dtype, t._array.tobytes())
            for t in (*found, *grads, *held)
        ]
        return [*values, repr(bits.state)]

    def _watched(self, inputs: tuple[Tensor, ...]) -> str | None:
        if self._given_up is not None:
            return self._given_up
        held = (t for store in self._stores for t in store.values() if t is not None)
        if any(t._grad is not None for t in held):
            return "there are gradients already, to which those of the step are added"
        return super()._watched(inputs)

    def _plan(self, inputs: tuple[Tensor, ...]) -> Plan | str:
        if not holds(self._rests_on):
            self._plans, self._rests_on = [], []
        return super()._plan(inputs)

    def _make(self, inputs: tuple[Tensor, ...]) -> Plan:
        self._made += 1
        if self._made > KEPT and self._made * 4 > self._replays:
            self._given_up = "the model changes from step to step"
            raise PlanningError(self._given_up)
        self._rests_on += proven(self.model, self.loss)
        plan = super()._make(inputs)
        self._before = self._state_before()  # the first replay of each is compared
        return plan

    def _as_usual(self, *inputs: Tensor) -> Any:
        output = self.model(*inputs[:-1])
        value = self.loss(output, inputs[-1])  # type: ignore[misc]
        if math.isfinite(value.item()):
            value.backward()
        return value.detach(), output.detach()
