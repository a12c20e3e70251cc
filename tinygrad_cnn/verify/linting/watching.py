"""Mistakes that show between the steps of a training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...core.engine import Tensor
from ...core.recording import Where
from ...nn import Module
from ...optim import Optimizer
from .finding import Findings, finding, listed
from .graph import names_of


class watch:
    """Watch a training loop for gradients that are not zeroed between steps.

        with watch(optimizer, model) as findings:
            ...  # the loop
        print(findings)

    The findings are there when the block ends. Reported is a `.grad` that still contains
    the last step's when the next step uses it; several backward passes before one step
    are not. model: names the parameters.
    """

    def __init__(self, optimizer: Optimizer, model: Module | None = None) -> None:
        groups = optimizer.param_groups
        params = [p for group in groups for p in group["params"]]
        given = [name for group in groups for name in group.get("param_names", ())]
        unnamed = [f"parameter {i} {list(p.shape)}" for i, p in enumerate(params)]
        names, known = zip(params, given or unnamed, strict=True), names_of(model)
        self.names = {p: known.get(p, name) for p, name in names}
        self.optimizer = optimizer
        self.kept = {p: _Kept() for p in params}
        self.steps, self.stale_steps = 0, 0
        self.findings = Findings()

    def __enter__(self) -> Findings:
        trained = [p for p in self.names if p.requires_grad]
        self.handles = [p.register_hook(partial(self._arrived, p)) for p in trained]
        self.step = self.optimizer.step
        self.before = self.optimizer.__dict__.get("step")
        self.optimizer.__dict__["step"] = self._step
        return self.findings

    def __exit__(self, *error: Any) -> None:
        for handle in self.handles:
            handle.remove()
        del self.optimizer.__dict__["step"]
        if self.before is not None:  # it is watched twice
            self.optimizer.__dict__["step"] = self.before
        name = type(self.optimizer).__name__
        self.findings.looked_at = f"{self.steps} steps of {name}"
        if self.stale_steps:
            values = {**self.first, "stale": self.stale_steps, "steps": self.steps}
            self.findings.append(finding("gradients-not-zeroed", self.where, **values))

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        def closed() -> Any:
            loss = closure() if closure else None
            self._check()
            return loss

        if closure is None:
            self._check()
        result = self.step(closed) if closure else self.step()
        self.steps += 1
        for p in self.kept:
            some = p.grad is not None and p.grad._array.any()
            self.kept[p] = _Kept(p.grad, p.grad._array.copy() if some else None)
        return result

    def _arrived(self, p: Tensor, g: Tensor) -> None:
        """A gradient is about to be added to `p.grad`."""
        kept, grad = self.kept[p], p.grad
        kept.arrived = g._array + (0 if kept.arrived is None else kept.arrived)
        if grad is None or not grad._array.any():
            kept.added = False
        elif np.array_equal(grad._array, kept.values):
            kept.added = True

    def _check(self) -> None:
        """The optimizer is about to use the gradients."""
        stale = [self.names[p] for p, kept in self.kept.items() if kept.is_in(p.grad)]
        if stale and not self.stale_steps:
            self.first = {"first": self.steps + 1, "names": listed(stale)}
            self.where = Where()
        self.stale_steps += bool(stale)


@dataclass
class _Kept:
    """A parameter's gradient at the last step, and what has happened to it since."""

    grad: Tensor | None = None
    values: Any = None
    """A copy of the values of `grad`; None where they are all 0."""
    arrived: Any = None
    """The sum of the gradients that have arrived."""
    added: bool = False
    """Whether these were added to the old values."""

    def is_in(self, grad: Tensor | None) -> bool:
        """Whether the gradient at the next step still contains that of the last."""
        if grad is None or grad is not self.grad:
            return False
        if self.arrived is None:
            return np.array_equal(grad._array, self.values)
        # What arrived alone, if it was written anew; not always the sum of both, since it
        # may have been clipped.
        return self.added and not np.array_equal(grad._array, self.arrived)
