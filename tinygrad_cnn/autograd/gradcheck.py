"""Gradients compared with the slope that the function itself shows: central differences.

With f perturbed by ±eps in one value of one input, (f(x + eps) − f(x − eps)) / 2 eps is a
column of the Jacobian, ∂output/∂x, up to terms in eps². Backward passes from each value of
an output give its rows. Neither knows of the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import Tensor
from ..errors import ArgumentError, DTypeError, GradcheckError, ShapeError
from ..gradients import grad

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Array = np.ndarray[Any, Any]
SEED = 0


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of `func(*inputs)` are those of central differences.

    func: returns a Tensor or a tuple of them, the same each time; every output that
        requires a gradient is checked against every input that does.
    inputs: a Tensor or a tuple of arguments. Tensors that require a gradient should be
        float64 (a UserWarning says if not) and away from kinks. They are perturbed in
        place, so `func` may also reach them by other ways; in the end they are as before.
    eps: the perturbation.
    atol, rtol: |analytical − numerical| ≤ atol + rtol · |numerical| is right.
    nondet_tol: how far two backward passes may differ.
    check_undefined_grad: also go backward from all outputs but one.
    check_grad_dtypes: gradients must have the dtypes of their inputs.
    fast_mode: compare vᵀJu for one random v and u instead of all values of J.

    Raises GradcheckError where they differ, or returns False if not raise_exception.
    ArgumentError if no input requires a gradient, or for what is not offered here: batched
    gradients, forward mode, sparse masks.
    """
    _refuse(
        check_batched_grad=check_batched_grad,
        check_batched_forward_grad=check_batched_forward_grad,
        check_forward_ad=check_forward_ad,
        masked=bool(masked),
        without_check_backward_ad=not check_backward_ad,
    )
    check = Gradcheck(func, _tuple(inputs), eps, atol, rtol, nondet_tol)
    check.check_inputs()
    try:
        check.run(fast_mode, check_grad_dtypes, check_undefined_grad)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Whether the gradients of the gradients of `func(*inputs)` are right: `gradcheck` of

        (*inputs, *grad_outputs) ↦ ∂ Σ ⟨output, grad_output⟩ / ∂input

    grad_outputs: one per output that requires a gradient; random in [−1, 1) if left out,
        and then with gaps in memory if gen_non_contig_grad_outputs.
    The other arguments and errors are those of `gradcheck`.
    """
    _refuse(
        check_batched_grad=check_batched_grad,
        check_fwd_over_rev=check_fwd_over_rev,
        masked=masked,
        without_check_rev_over_rev=not check_rev_over_rev,
    )
    inputs = _tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(SEED)
        outputs = [t for t in _tuple(func(*inputs)) if t.requires_grad]
        grad_outputs = [_random(t, rng, gen_non_contig_grad_outputs) for t in outputs]
    cotangents = _tuple(grad_outputs)

    def gradients(*args: Any) -> tuple[Tensor, ...]:
        values, weights = args[: len(inputs)], args[len(inputs) :]
        outputs = [t for t in _tuple(func(*values)) if t.requires_grad]
        asking = [t for t in values if _asks(t)]
        found = grad(outputs, asking, weights, create_graph=True, allow_unused=True)
        return tuple([g for g in found if g is not None])

    return gradcheck(
        gradients,
        inputs + cotangents,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        fast_mode=fast_mode,
    )


@dataclass
class Gradcheck:
    """One check of one function at one point."""

    func: Callable[..., Any]
    inputs: tuple[Any, ...]
    eps: float
    atol: float
    rtol: float
    nondet_tol: float

    def __post_init__(self) -> None:
        self.asking = {i: t for i, t in enumerate(self.inputs) if _asks(t)}

    def check_inputs(self) -> None:
        """The inputs must ask for gradients, and must bear being perturbed."""
        if not self.asking:
            raise ArgumentError(
                "gradcheck expects an input that requires a gradient, but none of the "
                f"{len(self.inputs)} inputs has requires_grad=True"
            )
        for i, t in self.asking.items():
            if t.dtype != np.float64:
                warnings.warn(
                    f"input {i} of gradcheck is {t.dtype}; central differences with a "
                    "small eps need float64, and will likely differ from the gradient",
                    stacklevel=3,
                )
            steps = zip(t._array.strides, t.shape, strict=True)
            if any(s == 0 and n > 1 for s, n in steps) or not t._array.flags.writeable:
                raise ArgumentError(
                    f"input {i} of gradcheck shares one value between several places, "
                    "or is read-only, so it can't be perturbed; pass a clone() of it"
                )

    def run(self, fast: bool, check_dtypes: bool, check_undefined: bool) -> None:
        """GradcheckError at the first thing that is wrong."""
        outputs = self.outputs()
        if not outputs:
            self.check_constant(fast)
            return
        rng = np.random.default_rng(SEED)
        for o, y in outputs.items():
            v = _direction(y, rng) if fast else None
            analytical = self.analytical(o, y, v, check_dtypes)
            for i, x in self.asking.items():
                u = _direction(x, rng) if fast else None
                self.compare(o, i, analytical[i], self.numerical(i, u)[o], u, v)
        self.check_zero(list(outputs.values()), "the gradient of every output is zero")
        for k in outputs if check_undefined and len(outputs) > 1 else ():
            rest = [y for o, y in self.outputs().items() if o != k]
            self.check_zero(rest, f"no gradient comes to output {k}, and zeros to others")

    def outputs(self) -> dict[int, Tensor]:
        """The outputs that require a gradient, by position."""
        return {o: y for o, y in enumerate(self.results()) if y.requires_grad}

    def results(self) -> tuple[Tensor, ...]:
        results = _tuple(self.func(*self.inputs))
        for r in results:
            if not isinstance(r, Tensor):
                raise DTypeError(
                    "gradcheck expects func to return a Tensor or a tuple of them, "
                    f"but there is a {type(r).__name__}: {r!r}"
                )
        return results
