"""Less usual optimisers: relatives of Adam, steps by sign, and averaged descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from ..core.engine import Tensor
from ..errors import ArgumentError
from .optimizer import (
    Array,
    Group,
    Optimizer,
    check_betas,
    check_not_negative,
    options,
)
from .steps import add_, addcdiv_, addcmul_, lerp_


class _Moments(Optimizer):
    """An optimiser with Adam's running mean m of g and, of g², v."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        numbers = "lr", "eps", "weight_decay", "momentum_decay"
        check_not_negative(**{n: defaults[n] for n in numbers if n in defaults})
        check_betas(defaults["betas"])
        super().__init__(params, defaults | {"betas": tuple(defaults["betas"])})

    def _move_moments(
        self, p: Tensor, g: Array, group: Group, work: Array
    ) -> tuple[Array, Array]:
        beta1, beta2 = group["betas"]
        if group["decoupled_weight_decay"] and group["weight_decay"] != 0:
            p._array *= 1 - float(group["lr"]) * float(group["weight_decay"])
        m, v = self._get_state(p, "exp_avg"), self._get_state(p, "exp_avg_sq")
        lerp_(m, g, 1 - beta1, work)
        v *= beta2
        addcmul_(v, g, g, 1 - beta2, work)
        return m, v


class Adamax(_Moments):
    """Adam with the largest gradient so far, fading, in the place of the root mean square.

        g ← ∇L(p) + λ p                    λ weight_decay; −∇L(p) if maximize
        m ← β₁ m + (1 − β₁) g              m = u = 0 at first
        u ← max(β₂ u, |g| + ε)
        p ← p − lr / (1 − β₁ᵗ) · m / u     at update t

    State: `step` (t), `exp_avg` (m), `exp_inf` (u).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, options(locals()))

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        beta1, beta2 = group["betas"]
        step = self._count_update(p)
        m, u = self._get_state(p, "exp_avg"), self._get_state(p, "exp_inf")
        lerp_(m, g, 1 - beta1, work)
        u *= beta2
        size = np.abs(g, out=work)
        size += group["eps"]
        np.maximum(u, size, out=u)
        addcdiv_(p._array, m, u, -float(group["lr"]) / (1 - beta1**step), work)


class NAdam(_Moments):
    """Adam with Nesterov's momentum: the step also takes what m is going to add.

        g ← ∇L(p) + λ p                    λ weight_decay; −∇L(p) if maximize
        m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²
        μ(t) = β₁ (1 − ½ · 0.96^(t ψ))     ψ momentum_decay, at update t
        Π ← Π μ(t)                         1 at first
        r = √(v / (1 − β₂ᵗ)) + ε
        p ← p − lr ((1 − μ(t)) / (1 − Π) · g + μ(t + 1) / (1 − Π μ(t + 1)) · m) / r

    With decoupled_weight_decay p ← (1 − lr λ) p comes first and λ p stays out of g.
    State: `step` (t), `mu_product` (Π, a float32), `exp_avg` (m), `exp_avg_sq` (v).
    """

    _numbers: ClassVar[tuple[str, ...]] = ("step", "mu_product")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, options(locals()))

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        step, decay = self._count_update(p), float(group["momentum_decay"])
        mu, later = (beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
        product = _float32(self.state[p].get("mu_product", 1.0)) * _float32(mu)
        product = self.state[p]["mu_product"] = float(product)
        m, v = self._move_moments(p, g, group, work)
        root = np.divide(v, 1 - beta2**step, out=spare)
        np.sqrt(root, out=root)
        root += group["eps"]
        addcdiv_(p._array, g, root, -lr * (1 - mu) / (1 - product), work)
        addcdiv_(p._array, m, root, -lr * later / (1 - product * later), work)


class RAdam(_Moments):
    """Adam that scales by the gradient's size only once enough gradients tell it.

        g ← ∇L(p) + λ p                    λ weight_decay; −∇L(p) if maximize
        m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²
        m̂ = m / (1 − β₁ᵗ)                  at update t
        ρ∞ = 2 / (1 − β₂) − 1,  ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)
        p ← p − lr m̂ r √(1 − β₂ᵗ) / (√v + ε)                         where ρ > 5
            with r² = (ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ)
        p ← p − lr m̂                                                 else

    With decoupled_weight_decay p ← (1 − lr λ) p comes first and λ p stays out of g.
    State: `step` (t), `exp_avg` (m), `exp_avg_sq` (v).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, options(locals()))

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        step = self._count_update(p)
        m, v = self._move_moments(p, g, group, work)
        rate, left = lr / (1 - beta1**step), 1 - beta2**step
        most = 2 / (1 - beta2) - 1
        rho = most - 2 * step * beta2**step / left
        if rho <= 5:
            return add_(p._array, m, -rate, work)
        rectified = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
        root = np.sqrt(v, out=spare)
        root += group["eps"]
        addcdiv_(p._array, m, root, -rate * (left * rectified) ** 0.5, work)


class ASGD(Optimizer):
    """Gradient descent with falling steps, and the average of where it went.

        g ← ∇L(p) + κ p                    κ weight_decay; −∇L(p) if maximize
        p ← (1 − λ η) p − η g              λ lambd; η = lr at first
        a ← a + μ (p − a)                  μ = 1 at first
        η ← lr / (1 + λ lr t)^α            after update t
        μ ← 1 / max(1, t − t₀)

    State: `step` (t), `eta` (η) and `mu` (μ), both float32, `ax` (a): the average, which is
    not put into p.
    """

    _numbers: ClassVar[tuple[str, ...]] = ("step", "eta", "mu")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, weight_decay=weight_decay)
        super().__init__(params, options(locals()))

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        lr, lambd = float(group["lr"]), float(group["lambd"])
        step, state = self._count_update(p), self.state[p]
        eta, mu = state.get("eta", float(_float32(lr))), state.get("mu", 1.0)
        p._array *= 1 - lambd * eta
        add_(p._array, g, -eta, work)
        falling = lr / (1 + lambd * lr * step) ** float(group["alpha"])
        state["eta"] = float(_float32(falling))
        state["mu"] = float(_float32(1 / max(1, step - group["t0"])))
        ax = self._get_state(p, "ax")
        if mu == 1:
            ax[...] = p._array
        else:
            np.subtract(p._array, ax, out=work)
            add_(ax, work, mu, work)


class Rprop(Optimizer):
    """Steps of a size of their own for each value; of the gradient only the sign counts.

        s ← s η⁺ where g h > 0,  s η⁻ where g h < 0,  within step_sizes; s = lr at first
        g ← 0 where g h < 0                h: the g of the update before, 0 at first
        p ← p − s sign(g)

    For gradients of the whole data set; η⁻, η⁺ are `etas`.
    State: `step`, `prev` (h), `step_size` (s).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ArgumentError(
                f"Invalid eta values: {etas[0]}, {etas[1]}; expected 0 < η⁻ < 1 < η⁺"
            )
        super().__init__(params, options(locals()))

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        (down, up), (least, most) = group["etas"], group["step_sizes"]
        first = self._count_update(p) == 1
        before, size = self._get_state(p, "prev"), self._get_state(p, "step_size")
        if first:
            size[...] = float(group["lr"])
        product = np.multiply(g, before, out=work)
        before[...] = g
        chosen = spare.reshape(-1).view(np.bool_)[: g.size].reshape(g.shape)
        np.greater(product, 0, out=chosen)
        np.multiply(size, up, out=size, where=chosen)
        np.less(product, 0, out=chosen)
        np.multiply(size, down, out=size, where=chosen)
        np.copyto(before, 0, where=chosen)
        np.clip(size, least, most, out=size)
        addcmul_(p._array, np.sign(before, out=spare), size, -1, work)


def _float32(x: float) -> Any:
    """As PyTorch keeps numbers of a state."""
    return np.float32(x)
