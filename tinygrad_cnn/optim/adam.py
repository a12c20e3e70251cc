"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..engine import Tensor
from ..errors import ArgumentError
from ..kernels import active
from .arithmetic import Array, addcdiv_, addcmul_, lerp_
from .optimizer import Group, Optimizer, check_not_negative, options


class Adam(Optimizer):
    """Steps scaled by the running size of the gradient, element by element.

        g ← ∇L(p) + λ p                    λ weight_decay; −∇L(p) if maximize
        m ← β₁ m + (1 − β₁) g              m = v = 0 at first
        v ← β₂ v + (1 − β₂) g²
        m̂ = m / (1 − β₁ᵗ)                  at update t; amsgrad takes v̂ from
        v̂ = v / (1 − β₂ᵗ)                  the largest v so far
        p ← p − lr m̂ / (√v̂ + ε)

    Under a constant g, m = (1 − β₁ᵗ) g: dividing removes the bias of starting at 0.
    With decoupled_weight_decay p ← (1 − lr λ) p comes first and λ p stays out of g.
    State: `step` (t), `exp_avg` (m), `exp_avg_sq` (v), with amsgrad `max_exp_avg_sq`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = options(locals()) | {"betas": tuple(betas)}
        check_not_negative(lr=lr, eps=eps, weight_decay=weight_decay)
        for i, beta in enumerate(betas):
            if not 0 <= beta < 1:
                raise ArgumentError(
                    f"Invalid beta parameter at index {i}: {beta}; expected 0 ≤ β < 1"
                )
        super().__init__(params, defaults)

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        step = self._count(p)
        m, v = self._running(p, "exp_avg"), self._running(p, "exp_avg_sq")
        if group["decoupled_weight_decay"] and group["weight_decay"] != 0:
            p._array *= 1 - lr * float(group["weight_decay"])
        rate, correction = lr / (1 - beta1**step), (1 - beta2**step) ** 0.5
        if not group["amsgrad"]:
            numbers = rate, (beta1, beta2), float(group["eps"]), correction
            return active.adam_step(p._array, g, m, v, work, spare, *numbers)
        lerp_(m, g, 1 - beta1, work)
        v *= beta2
        addcmul_(v, g, g, 1 - beta2, work)
        largest = self._running(p, "max_exp_avg_sq")
        denominator = np.sqrt(np.maximum(largest, v, out=largest), out=spare)
        denominator /= correction
        denominator += group["eps"]
        addcdiv_(p._array, m, denominator, -rate, work)


class AdamW(Adam):
    """Adam whose weight decay shrinks p directly, p ← (1 − lr λ) p, beside the update.

    Inside g, as Adam has it, the decay would be divided by √v̂ like the gradient, and be
    weakest where gradients are large.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, **options(locals()), decoupled_weight_decay=True)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As any optimiser's; the decay stays decoupled, whatever the other's was."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
