"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..engine import Tensor
from .arithmetic import Array, addcdiv_, addcmul_
from .optimizer import Group, Optimizer, check_not_negative, options


class Adagrad(Optimizer):
    """Steps that shrink with the squared gradients seen so far, element by element.

        g ← ∇L(p) + λ p                    λ weight_decay; −∇L(p) if maximize
        s ← s + g²                         s = initial_accumulator_value at first
        p ← p − lrₜ g / (√s + ε)           lrₜ = lr / (1 + (t − 1) lr_decay) at update t

    Under a constant gradient √s = √t |g|, so that the step falls as lr / √t.
    State, from the start: `step` (t), `sum` (s).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay)
        check_not_negative(initial_accumulator_value=initial_accumulator_value, eps=eps)
        super().__init__(params, options(locals()))

    def add_param_group(self, param_group: Group) -> None:
        """As any optimiser's; the new parameters' sums start at once."""
        super().add_param_group(param_group)
        for p in param_group["params"]:
            self.state[p]["step"] = 0
            self._running(p, "sum")[...] = self.defaults["initial_accumulator_value"]

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        lr = float(group["lr"]) / (1 + (self._count(p) - 1) * float(group["lr_decay"]))
        s = self._running(p, "sum")
        addcmul_(s, g, g, 1, work)
        root = np.sqrt(s, out=spare)
        root += group["eps"]
        addcdiv_(p._array, g, root, -lr, work)
