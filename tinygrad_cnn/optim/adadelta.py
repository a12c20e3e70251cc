"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..engine import Tensor
from ..errors import ArgumentError
from .arithmetic import Array, add_, addcmul_
from .optimizer import Group, Optimizer, check_not_negative, options


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
        self._count(p)
        s, u = self._running(p, "square_avg"), self._running(p, "acc_delta")
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
