"""L-BFGS: Newton's method with a Hessian that the last steps tell."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ..core.engine import Tensor
from ..core.recording import enable_grad, no_grad
from ..errors import ArgumentError
from .optimizer import Array, Optimizer, check_not_negative, options


class LBFGS(Optimizer):
    """Steps along −H g, H an inverse Hessian of the last history_size steps and gradients.

    All parameters are one vector, in one group. `step(closure)` makes up to max_iter such
    steps and calls closure up to about max_eval times (5/4 max_iter), each time with
    gradients on: it computes the loss anew, with its gradients. It ends early where every
    |g| ≤ tolerance_grad, or where steps or losses change by less than tolerance_change.
    line_search_fn: None for steps of length lr, or "strong_wolfe".

        q = −g;   for i = n … 1:  αᵢ = ρᵢ sᵢᵀq,  q ← q − αᵢ yᵢ
        d = γ q;  for i = 1 … n:  d ← d + (αᵢ − ρᵢ yᵢᵀd) sᵢ

    with the steps sᵢ, the changes yᵢ of the gradient, ρᵢ = 1 / yᵢᵀsᵢ and γ = yₙᵀsₙ / yₙᵀyₙ.
    State, of the first parameter: `func_evals`, `n_iter`, `d`, `t`, `old_dirs` (y),
    `old_stps` (s), `ro` (ρ), `H_diag` (γ), `prev_flat_grad`, `prev_loss`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_not_negative(lr=lr)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ArgumentError(
                f"only 'strong_wolfe' is supported as line search, not {line_search_fn!r}"
            )
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        super().__init__(params, options(locals()))
        if len(self.param_groups) != 1:
            raise ArgumentError(
                "LBFGS doesn't support per-parameter options (parameter groups)"
            )

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:
        """Up to max_iter steps; closure computes the loss anew. Returns the first loss."""
        self._opt_called = True
        (group,) = self.param_groups
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss, loss, g = self._evaluate(closure)
        state["func_evals"] += 1
        evaluated = 1
        if not _moves(g, group["tolerance_grad"]):
            return first_loss
        for i in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = self._find_direction(state, g, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = g, loss
            t = float(group["lr"])
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(np.abs(g).sum()))
            state["d"], state["t"] = d, t
            slope = float(g @ d)
            if slope > -group["tolerance_change"]:
                break
            before, calls = loss, 0
            if group["line_search_fn"]:
                found, calls = self._search(
                    closure, _Point(0.0, loss, g, slope), t, d, group, evaluated
                )
                loss, g, t = found.loss, found.g, found.t
                state["t"] = t
                self._move(d, t)
            else:
                self._move(d, t)
                if i < group["max_iter"]:  # else the next step evaluates it anyway
                    _, loss, g = self._evaluate(closure)
                    calls = 1
            evaluated += calls
            state["func_evals"] += calls
            if (
                evaluated >= group["max_eval"]
                or not _moves(g, group["tolerance_grad"])
                or not _moves(d * t, group["tolerance_change"])
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first_loss

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Any, float, Array]:
        """What closure gives, as a number too, and the gradients as one vector."""
        with enable_grad():
            loss = closure()
        params = self.param_groups[0]["params"]
        gradients = [
            np.zeros(p.numel(), p.dtype) if p.grad is None else p.grad._array.ravel()
            for p in params
        ]
        return loss, float(loss), np.concatenate(gradients)

    def _move(self, d: Array, t: float) -> None:
        """Each parameter plus t times its part of d."""
        start = 0
        for p in self.param_groups[0]["params"]:
            p += (d[start : start + p.numel()] * t).reshape(p.shape)
            start += p.numel()

    def _find_direction(self, state: dict[str, Any], g: Array, most: int) -> Array:
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -g
        ys, ss, rhos = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = float(y @ s)
        if curvature > 1e-10:
            if len(ys) == most:
                for kept in (ys, ss, rhos):
                    del kept[0]
            ys.append(y)
            ss.append(s)
            rhos.append(1.0 / curvature)
            state["H_diag"] = curvature / float(y @ y)
        d, alphas = -g, []
        for y, s, rho in zip(ys[::-1], ss[::-1], rhos[::-1], strict=True):
            alphas.append(float(s @ d) * rho)
            d -= y * alphas[-1]
        d *= state["H_diag"]
        for y, s, rho, alpha in zip(ys, ss, rhos, alphas[::-1], strict=True):
            d += s * (alpha - float(y @ d) * rho)
        return d

    def _search(
        self,
        closure: Callable[[], Any],
        start: _Point,
        t: float,
        d: Array,
        group: dict[str, Any],
        evaluated: int,
    ) -> tuple[_Point, int]:
        """The point that the line search chooses, and how often it evaluated."""
        params, calls = group["params"], 0
        origin = [p._array.copy() for p in params]

        def evaluate(t: float) -> _Point:
            nonlocal calls
            calls += 1
            self._move(d, t)
            _, loss, g = self._evaluate(closure)
            for p, values in zip(params, origin, strict=True):
                p.copy_(values)
            return _Point(t, loss, g, float(g @ d))

        least = group["tolerance_change"] / float(np.abs(d).max())
        most = group["max_eval"] - evaluated
        return _find_wolfe_point(evaluate, start, t, least, most), calls

    def _copy_state(self, p: Tensor, name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._copy_state(p, name, v) for v in value]
        return np.array(value) if isinstance(value, Tensor) else copy.deepcopy(value)


def _moves(x: Array, tolerance: float) -> bool:
    return not float(np.abs(x).max(initial=0)) <= tolerance


class _Point(NamedTuple):
    """A place on the line: its distance, the loss, the gradient, the slope of the loss."""

    t: float
    loss: float
    g: Array
    slope: float


def _find_wolfe_point(
    evaluate: Callable[[float], _Point],
    start: _Point,
    t: float,
    least: float,
    most: int,
) -> _Point:
    """A point of the strong Wolfe conditions: loss(t) ≤ loss(0) + 10⁻⁴ t slope(0) and
    |slope(t)| ≤ 0.9 |slope(0)|.

    First steps grow until two of them have such a point between them, then the gap closes
    on it (Nocedal and Wright, algorithms 3.5 and 3.6), down to `least`, or until `most`
    steps were made.
    """

    def too_high(point: _Point) -> bool:
        return point.loss > start.loss + 1e-4 * point.t * start.slope

    def flat(point: _Point) -> bool:
        return abs(point.slope) <= -0.9 * start.slope

    before, point = start, evaluate(t)
    for steps in range(most):
        if too_high(point) or (steps > 1 and point.loss >= before.loss):
            break
        if flat(point):
            return point
        if point.slope >= 0:
            break
        bounds = point.t + 0.01 * (point.t - before.t), point.t * 10
        before, point = point, evaluate(_interpolate(before, point, *bounds))
    else:
        steps, before = most, start
    low, high = sorted((before, point), key=lambda point: point.loss)
    stuck = False
    while steps < most and abs(high.t - low.t) >= least:
        left, right = sorted((low.t, high.t))
        t = _interpolate(low, high, left, right)
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or not left < t < right):
            t = right - margin if right - t < t - left else left + margin
            near = False
        stuck = near
        point = evaluate(t)
        steps += 1
        if too_high(point) or point.loss >= low.loss:
            low, high = sorted((low, point), key=lambda point: point.loss)
            continue
        if not flat(point) and point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
        if flat(point):
            break
    return low


def _interpolate(a: _Point, b: _Point, low: float, high: float) -> float:
    """Where the cubic through both losses and slopes is least, within low … high."""
    if a.t > b.t:
        a, b = b, a
    middle = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = middle**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    root = math.sqrt(square)
    bend = (b.slope + root - middle) / (b.slope - a.slope + 2 * root)
    return min(max(b.t - (b.t - a.t) * bend, low), high)
