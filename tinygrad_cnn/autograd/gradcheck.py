"""PyTorch's gradcheck: the Jacobian by backward passes, compared with that by differences.

With f perturbed by ±eps in one value of one input, (f(x + eps) − f(x − eps)) / 2 eps is a
column of the Jacobian, ∂output/∂x, up to terms in eps². Backward passes from each value of
an output give its rows. Neither knows of the other.

The differences are those of `verify.difference`; what is compared, and how near it must
be, is PyTorch's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..core.gradients import grad
from ..errors import (
    ArgumentError,
    DTypeError,
    GradcheckError,
    NotDifferentiableError,
    ShapeError,
    TinygradError,
)
from ..verify import verify
from ..verify.difference import Direction, central

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

    Raises GradcheckError where they differ, or returns False if not raise_exception. What
    `verify` says of the same function, kinks told apart, is in `gradcheck.last_report`.
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
    limits = eps, atol, rtol, nondet_tol
    check = Gradcheck(func, _tuple(inputs), *limits, fast_mode, check_grad_dtypes)
    check.check_inputs()
    try:
        with np.errstate(all="ignore"):
            check.run(check_undefined_grad)
    except GradcheckError as error:
        report = None
        with suppress(TinygradError):  # verify cannot run everything
            named = {f"input {i}": x for i, x in enumerate(check.inputs)}
            report = verify(func, named, step=eps)
        gradcheck.last_report = report  # type: ignore[attr-defined]
        if raise_exception:
            error.add_note(f"verify() says: {report}")
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
    fast: bool
    check_dtypes: bool

    def __post_init__(self) -> None:
        self.asking = {i: t for i, t in enumerate(self.inputs) if _asks(t)}

    def check_inputs(self) -> None:
        """The inputs must ask for gradients, and must bear being perturbed."""
        if not self.asking:
            raise ArgumentError(
                "gradcheck expects an input that requires a gradient, but none of the "
                f"{len(self.inputs)} inputs has requires_grad=True"
            )
        for i, x in enumerate(self.inputs):
            if isinstance(x, list | tuple) and any(_asks(t) for t in x):
                raise ArgumentError(
                    f"input {i} of gradcheck is a {type(x).__name__} that holds Tensors "
                    "which require a gradient; make each an input of its own"
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

    def run(self, check_undefined: bool) -> None:
        """GradcheckError at the first thing that is wrong."""
        outputs = self.outputs()
        rng = np.random.default_rng(SEED)
        us = {i: self.directions(x, rng) for i, x in self.asking.items()}
        columns = {i: [self.slope(i, u) for u in us[i]] for i in self.asking}
        if not outputs:
            self.check_constant(columns)
        for o, y in outputs.items():
            vs = self.directions(y, rng)
            rows = self.rows(o, y, vs)
            for i, x in self.asking.items():
                of_y = [column[o] for column in columns[i]]
                numerical = np.reshape(of_y, (len(of_y), y.numel())).T
                analytical = np.reshape(rows[i], (len(rows[i]), x.numel()))
                where = f"Jacobian mismatch for output {o} with respect to input {i}:"
                if self.fast:
                    self.compare_projected(where, analytical, numerical, us[i], vs)
                else:
                    self.compare(where, (y.shape, x.shape), analytical, numerical)
        self.check_zero(outputs, "backward not multiplied by grad_output")
        for k in outputs if check_undefined and len(outputs) > 1 else ():
            others = {o: y for o, y in self.outputs().items() if o != k}
            self.check_zero(others, f"no gradient came to output {k}")

    def results(self) -> tuple[Tensor, ...]:
        results = _tuple(self.func(*self.inputs))
        for r in results:
            if not isinstance(r, Tensor):
                raise DTypeError(
                    "gradcheck expects func to return a Tensor or a tuple of them, "
                    f"but there is a {type(r).__name__}: {r!r}"
                )
        return results

    def outputs(self) -> dict[int, Tensor]:
        """The outputs that require a gradient, by position."""
        return {o: y for o, y in enumerate(self.results()) if y.requires_grad}

    def directions(self, t: Tensor, rng: np.random.Generator) -> list[Array]:
        """A unit vector for each value; in fast mode only a random one of length 1.

        The random one has no negative values.
        """
        if not self.fast:
            return [e.reshape(t.shape) for e in np.eye(t.numel(), dtype=t.dtype)]
        values = rng.random(t.shape)
        return [(values / np.sqrt((values**2).sum())).astype(t.dtype)]

    def slope(self, i: int, direction: Array) -> dict[int, Array]:
        """(f(x + eps d) − f(x − eps d)) / 2 eps for each float output, flat."""

        def run() -> list[Array]:
            return [y._array.copy() for y in self.results()]

        along = Direction(np.arange(direction.size), direction.ravel())
        up, down, _ = central(self.asking[i]._array, along, self.eps, run)
        low, high = [[(y.shape, y.dtype) for y in side] for side in (down, up)]
        if low != high:
            raise ShapeError(
                "gradcheck expects func to return the same shapes and dtypes near by, but "
                f"for input {i} minus and plus {self.eps} these are {low} and {high}"
            )
        return {
            o: (b - a).ravel() / (2 * self.eps)
            for o, (a, b) in enumerate(zip(down, up, strict=True))
            if a.dtype.kind == "f"
        }

    def rows(self, o: int, y: Tensor, vs: list[Array]) -> dict[int, list[Array]]:
        """vᵀ ∂y/∂x for each input and each v."""
        rows: dict[int, list[Array]] = {i: [] for i in self.asking}
        for weights in vs:
            once, again = (self.backward({o: y}, [weights]) for _ in range(2))
            for i, x in self.asking.items():
                d, e = once[i], again[i]
                if d.shape != x.shape:
                    raise GradcheckError(
                        f"Analytical gradient has incorrect size: {list(d.shape)} for "
                        f"input {i} of shape {list(x.shape)}"
                    )
                if self.check_dtypes and d.dtype != x.dtype:
                    raise GradcheckError(
                        f"Gradient has dtype mismatch: {d.dtype} for input {i} of {x.dtype}"
                    )
                if d.size and np.abs(d - e).max() > self.nondet_tol:
                    raise GradcheckError(
                        "Backward is not reentrant: two backward passes from output "
                        f"{o} differ at input {i} by {np.abs(d - e).max():.3g}, more than "
                        f"nondet_tol = {self.nondet_tol}"
                    )
                rows[i].append(d)
        return rows

    def backward(self, outputs: dict[int, Tensor], weights: Any) -> dict[int, Array]:
        """The gradient of Σ ⟨weight, output⟩ for each input."""
        listed = list(outputs.values()), list(self.asking.values())
        given = [Tensor._wrap(w) for w in weights]
        try:
            found = grad(*listed, given, retain_graph=True, allow_unused=True)
        except NotDifferentiableError as error:
            raise GradcheckError(str(error)) from error
        pairs = zip(self.asking.items(), found, strict=True)
        return {
            i: np.zeros_like(x._array) if d is None else d._array for (i, x), d in pairs
        }

    def compare(
        self,
        where: str,
        shapes: tuple[tuple[int, ...], tuple[int, ...]],
        analytical: Array,
        numerical: Array,
    ) -> None:
        """Refuse a Jacobian that is not numerical's: a row for each value of an output.

        shapes: of the output and of the input.
        """
        off = ~np.isclose(analytical, numerical, self.rtol, self.atol)
        if not off.any():
            return
        error = np.abs(analytical - numerical)
        error = np.where(off, np.where(np.isnan(error), np.inf, error), 0)
        worst = np.unravel_index(error.argmax(), error.shape)
        at_y, at_x = [
            [int(n) for n in np.unravel_index(k, shape)]
            for k, shape in zip(worst, shapes, strict=True)
        ]
        largest = np.fmax(np.abs(analytical), np.abs(numerical))
        relative = np.max(error[off] / largest[off])
        raise GradcheckError(
            f"{where} {off.sum()} of {off.size} values are off\n"
            f"  the worst: ∂output{at_y} / ∂input{at_x} is {analytical[worst]:.6g} by "
            f"backward, {numerical[worst]:.6g} by central differences with eps = "
            f"{self.eps}\n"
            f"  largest error {error.max():.3g}, relative {relative:.3g}; "
            f"allowed are {self.atol} + {self.rtol} · |numerical|"
        )

    def compare_projected(
        self,
        where: str,
        analytical: Array,
        numerical: Array,
        us: list[Array],
        vs: list[Array],
    ) -> None:
        """Refuse vᵀJ if vᵀJu is not numerical's, given Ju; then look at all of J."""
        (u,), (v,) = us, vs
        a, n = (analytical @ u.ravel()).item(), (v.ravel() @ numerical).item()
        if np.isclose(a, n, self.rtol, self.atol * u.sum() * v.sum()):
            return
        text = (
            f"{where} in random directions, vᵀJu is {a:.6g} by backward and {n:.6g} by "
            "central differences"
        )
        slow = replace(self, nondet_tol=np.inf, fast=False, check_dtypes=False)
        try:
            slow.run(check_undefined=False)
        except GradcheckError as error:
            raise GradcheckError(f"{text}\n{error}") from None
        raise GradcheckError(
            f"{text}\nNo single value of J is off: fast_mode=False passes"
        )

    def check_constant(self, columns: dict[int, list[dict[int, Array]]]) -> None:
        """Where no output requires a gradient, no output may depend on an input."""
        most = self.nondet_tol if self.fast else 0.0
        for i, slopes in columns.items():
            for o, slope in ((o, s) for column in slopes for o, s in column.items()):
                if not (np.abs(slope) <= most).all():
                    raise GradcheckError(
                        "Numerical gradient for function expected to be zero: no output "
                        f"requires a gradient, but output {o} changes with input {i}"
                    )

    def check_zero(self, outputs: dict[int, Tensor], what: str) -> None:
        """From zeros, backward gives zeros."""
        zeros = [np.zeros_like(y._array) for y in outputs.values()]
        try:
            found = self.backward(outputs, zeros)
        except RuntimeError as error:
            raise GradcheckError(f"{what}, and backward failed: {error}") from error
        for i, d in found.items():
            if (d != 0).any():
                raise GradcheckError(
                    f"{what}: the gradients given to the outputs are zeros, but that of "
                    f"input {i} has {np.count_nonzero(d)} values that are not"
                )


def _refuse(**given: bool) -> None:
    for name, value in given.items():
        if value:
            flag = name.removeprefix("without_")
            raise ArgumentError(
                f"{flag}={flag == name} is not offered: this gradcheck is for backward "
                "passes, one at a time, of dense Tensors"
            )


def _tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, tuple | list) else (x,)


def _asks(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _random(t: Tensor, rng: np.random.Generator, gaps: bool) -> Tensor:
    """Uniform in [−1, 1), as t in shape and dtype; with gaps in memory."""
    values = rng.uniform(-1, 1, t.shape).astype(t.dtype)
    if gaps and t.numel() > 1:
        values = np.repeat(values, 2, axis=-1)[..., ::2]
    return Tensor._wrap(values).requires_grad_()
