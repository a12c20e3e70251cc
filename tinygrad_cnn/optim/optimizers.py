"""The optimisers: what becomes of a parameter p, given the gradient of the loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..errors import ArgumentError
from ..kernels import active
from .optimizer import (
    Array,
    Group,
    Optimizer,
    check_betas,
    check_not_negative,
    options,
)
from .steps import add_, addcdiv_, addcmul_, lerp_


class SGD(Optimizer):
    """Gradient descent, with momentum where asked.

        g ← ∇L(p) + λ p            λ weight_decay; −∇L(p) if maximize
        b ← μ b + (1 − τ) g        μ momentum, τ dampening; b = g at the first update
        d = g + μ b  if nesterov,  b  with momentum,  g  without
        p ← p − lr d

    The momentum b sums past directions: under a constant gradient and τ = 0 the step grows
    to lr / (1 − μ) times the gradient. Nesterov's looks at the gradient where b will lead.
    State: `momentum_buffer` (b), with momentum only.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError(
                "Nesterov momentum requires a momentum and zero dampening"
            )
        super().__init__(params, options(locals()))

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        lr, momentum = float(group["lr"]), float(group["momentum"])
        if momentum == 0:
            return add_(p._array, g, -lr, work)
        first = self.state[p].get("momentum_buffer") is None  # then μ b is 0
        share = 1.0 if first else 1 - float(group["dampening"])
        b, nesterov = self._get_state(p, "momentum_buffer"), bool(group["nesterov"])
        active.momentum_step(p._array, g, b, work, lr, momentum, share, nesterov)


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
        check_betas(betas)
        super().__init__(params, defaults)

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        step = self._count_update(p)
        m, v = self._get_state(p, "exp_avg"), self._get_state(p, "exp_avg_sq")
        if group["decoupled_weight_decay"] and group["weight_decay"] != 0:
            p._array *= 1 - lr * float(group["weight_decay"])
        rate, correction = lr / (1 - beta1**step), (1 - beta2**step) ** 0.5
        largest = self._get_state(p, "max_exp_avg_sq") if group["amsgrad"] else None
        numbers = rate, (beta1, beta2), float(group["eps"]), correction
        active.adam_step(p._array, g, m, v, work, spare, *numbers, largest)


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


class RMSprop(Optimizer):
    """Gradients divided by the root of their running mean square.

        g ← ∇L(p) + λ p                    λ weight_decay; −∇L(p) if maximize
        s ← α s + (1 − α) g²               s = a = b = 0 at first
        a ← α a + (1 − α) g                centered only
        d = g / (√s + ε)                   or g / (√(s − a²) + ε), centered: the variance
        b ← μ b + d,  p ← p − lr b         with momentum μ
                      p ← p − lr d         without

    State: `step`, `square_avg` (s), and, where used, `momentum_buffer` (b), `grad_avg` (a).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, momentum=momentum)
        check_not_negative(weight_decay=weight_decay, alpha=alpha)
        super().__init__(params, options(locals()))

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        lr, alpha = float(group["lr"]), float(group["alpha"])
        self._count_update(p)
        s = self._get_state(p, "square_avg")
        s *= alpha
        addcmul_(s, g, g, 1 - alpha, work)
        root = spare
        root[...] = s
        if group["centered"]:
            a = self._get_state(p, "grad_avg")
            lerp_(a, g, 1 - alpha, work)
            addcmul_(root, a, a, -1, work)
        np.sqrt(root, out=root)
        root += group["eps"]
        if group["momentum"] > 0:
            b = self._get_state(p, "momentum_buffer")
            b *= group["momentum"]
            addcdiv_(b, g, root, 1, work)
            add_(p._array, b, -lr, work)
        else:
            addcdiv_(p._array, g, root, -lr, work)


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
            self._get_state(p, "sum")[...] = self.defaults["initial_accumulator_value"]

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        lr = float(group["lr"]) / (
            1 + (self._count_update(p) - 1) * float(group["lr_decay"])
        )
        s = self._get_state(p, "sum")
        addcmul_(s, g, g, 1, work)
        root = np.sqrt(s, out=spare)
        root += group["eps"]
        addcdiv_(p._array, g, root, -lr, work)


class Adadelta(Optimizer):
    """Steps in the parameter's own unit: the ratio of two running root mean squares.

        g ← ∇L(p) + λ p                    λ weight_decay; −∇L(p) if maximize
        s ← ρ s + (1 − ρ) g²               s = u = 0 at first
        d = √(u + ε) / √(s + ε) · g        [p]/[g]·[g]: no learning rate is needed
        u ← ρ u + (1 − ρ) d²
        p ← p − lr d

    State: `step`, `square_avg` (s), `acc_delta` (u).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)
        if rho > 1:
            raise ArgumentError(f"Invalid rho value: {rho}; expected 0 ≤ ρ ≤ 1")
        super().__init__(params, options(locals()))

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        rho, eps = float(group["rho"]), float(group["eps"])
        self._count_update(p)
        s, u = self._get_state(p, "square_avg"), self._get_state(p, "acc_delta")
        s *= rho
        addcmul_(s, g, g, 1 - rho, work)
        d = np.add(u, eps, out=spare)
        np.sqrt(d, out=d)
        np.add(s, eps, out=work)
        d /= np.sqrt(work, out=work)
        d *= g
        u *= rho
        addcmul_(u, d, d, 1 - rho, work)
        add_(p._array, d, -float(group["lr"]), work)
