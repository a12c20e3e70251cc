"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..engine import Tensor
from ..errors import ArgumentError
from ..kernels import active
from .arithmetic import Array, add_
from .optimizer import Group, Optimizer, check_not_negative, options


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
        b = self._running(p, "momentum_buffer")
        active.momentum_step(
            p._array, g, b, work, lr, momentum, share, bool(group["nesterov"])
        )
