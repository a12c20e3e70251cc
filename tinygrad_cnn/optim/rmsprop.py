"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..engine import Tensor
from .arithmetic import Array, add_, addcdiv_, addcmul_, lerp_
from .optimizer import Group, Optimizer, check_not_negative, options


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
        self._count(p)
        s = self._running(p, "square_avg")
        s *= alpha
        addcmul_(s, g, g, 1 - alpha, work)
        root = spare
        root[...] = s
        if group["centered"]:
            a = self._running(p, "grad_avg")
            lerp_(a, g, 1 - alpha, work)
            addcmul_(root, a, a, -1, work)
        np.sqrt(root, out=root)
        root += group["eps"]
        if group["momentum"] > 0:
            b = self._running(p, "momentum_buffer")
            b *= group["momentum"]
            addcdiv_(b, g, root, 1, work)
            add_(p._array, b, -lr, work)
        else:
            addcdiv_(p._array, g, root, -lr, work)
