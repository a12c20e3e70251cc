"""Gradients compared with the slope that the function itself shows: central differences.

With f perturbed by ±eps in one value of one input, (f(x + eps) − f(x − eps)) / 2 eps is a
column of the Jacobian, ∂output/∂x, up to terms in eps². Backward passes from each value of
an output give its rows. Neither knows of the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import Tensor
from ..errors import (
    ArgumentError,
    DTypeError,
    GradcheckError,
    NotDifferentiableError,
    ShapeError,
    TinygradError,
)
from ..gradients import grad
from ..verify import Report, verify

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
    check = Gradcheck(func, _tuple(inputs), eps, atol, rtol, nondet_tol)
    check.check_inputs()
    try:
        with np.errstate(all="ignore"):
            check.run(fast_mode, check_grad_dtypes, check_undefined_grad)
    except GradcheckError as error:
        gradcheck.last_report = _second_opinion(check, eps)  # type: ignore[attr-defined]
        if raise_exception:
            error.add_note(f"verify() says: {gradcheck.last_report}")  # type: ignore[attr-defined]
            raise
        return False
    return True


def _second_opinion(check: Gradcheck, eps: float) -> Report | None:
    """What `verify` finds, which knows kinks from mistakes; None if it cannot run."""
    inputs = {f"input {i}": x for i, x in enumerate(check.inputs)}
    try:
        return verify(check.func, inputs, step=eps)
    except TinygradError:
        return None


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

    def run(self, fast: bool, check_dtypes: bool, check_undefined: bool) -> None:
        """GradcheckError at the first thing that is wrong."""
        outputs = self.outputs()
        rng = np.random.default_rng(SEED)
        us = {i: _direction(x, rng) if fast else None for i, x in self.asking.items()}
        columns = {i: self.columns(i, u) for i, u in us.items()}
        self.shapes = {o: y.shape for o, y in outputs.items()}
        if not outputs:
            self.check_constant(columns, self.nondet_tol if fast else 0.0)
        for o, y in outputs.items():
            v = _direction(y, rng) if fast else None
            rows = self.rows(o, y, v, check_dtypes)
            for i, x in self.asking.items():
                of_y = [column[o] for column in columns[i]]
                numerical = np.reshape(of_y, (len(of_y), y.numel())).T
                analytical = np.reshape(rows[i], (len(rows[i]), x.numel()))
                if v is None:
                    self.compare(o, i, analytical, numerical)
                else:
                    self.compare_projected(o, i, analytical, numerical, us[i], v)
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

    def columns(self, i: int, u: Array | None) -> list[dict[int, Array]]:
        """∂output/∂x for each value of input i, or only J u: for each float output."""
        steps = _unit_vectors(self.asking[i]) if u is None else [u]
        return [self.slope(i, self.eps * step) for step in steps]

    def slope(self, i: int, step: Array) -> dict[int, Array]:
        """(f(x + step) − f(x − step)) / 2 eps for each float output, flat."""
        x = self.asking[i]._array
        before = x.copy()
        sides = []
        for moved in (before - step, before + step):
            x[...] = moved
            try:
                sides.append([y._array.copy() for y in self.results()])
            finally:
                x[...] = before
        low, high = ([(y.shape, y.dtype) for y in side] for side in sides)
        if low != high:
            raise ShapeError(
                "gradcheck expects func to return the same shapes and dtypes near by, but "
                f"for input {i} minus and plus {self.eps} these are {low} and {high}"
            )
        return {
            o: (b - a).ravel() / (2 * self.eps)
            for o, (a, b) in enumerate(zip(*sides, strict=True))
            if a.dtype.kind == "f"
        }

    def rows(
        self, o: int, y: Tensor, v: Array | None, check_dtypes: bool
    ) -> dict[int, list[Array]]:
        """∂y/∂x for each value of y, or only vᵀJ: for each input."""
        rows: dict[int, list[Array]] = {i: [] for i in self.asking}
        for weights in _unit_vectors(y) if v is None else [v]:
            once, again = (self.backward({o: y}, [weights]) for _ in range(2))
            for i, x in self.asking.items():
                d, e = once[i], again[i]
                if d.shape != x.shape:
                    raise GradcheckError(
                        f"Analytical gradient has incorrect size: {list(d.shape)} for "
                        f"input {i} of shape {list(x.shape)}"
                    )
                if check_dtypes and d.dtype != x.dtype:
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

    def compare(self, o: int, i: int, analytical: Array, numerical: Array) -> None:
        """Refuse a Jacobian (a row for each value of output o) that is not numerical's."""
        right = np.isclose(analytical, numerical, self.rtol, self.atol)
        if not right.all():
            raise GradcheckError(
                f"Jacobian mismatch for output {o} with respect to input {i}: "
                + self.differences(o, i, analytical, numerical, ~right)
            )

    def compare_projected(
        self, o: int, i: int, analytical: Array, numerical: Array, u: Any, v: Array
    ) -> None:
        """Refuse vᵀJ if vᵀJu is not numerical's, given Ju; then look at all of J."""
        a, n = (analytical @ u.ravel()).item(), (v.ravel() @ numerical).item()
        if np.isclose(a, n, self.rtol, self.atol * u.sum() * v.sum()):
            return
        text = (
            f"Jacobian mismatch for output {o} with respect to input {i}: in random "
            f"directions, vᵀJu is {a:.6g} by backward and {n:.6g} by central differences"
        )
        slow = Gradcheck(self.func, self.inputs, self.eps, self.atol, self.rtol, np.inf)
        try:
            slow.run(False, False, False)
        except GradcheckError as error:
            raise GradcheckError(f"{text}\n{error}") from None
        raise GradcheckError(
            f"{text}\nNo single value of J is off: fast_mode=False passes"
        )

    def differences(
        self, o: int, i: int, analytical: Array, numerical: Array, off: Array
    ) -> str:
        """How many values of a Jacobian are off, which is the worst, and how far."""
        error = np.abs(analytical - numerical)
        error = np.where(off, np.where(np.isnan(error), np.inf, error), 0)
        row, column = np.unravel_index(error.argmax(), error.shape)
        a, n = analytical[row, column], numerical[row, column]
        at_y = _place(row, self.shapes[o])
        at_x = _place(column, self.asking[i].shape)
        largest = np.fmax(np.abs(analytical), np.abs(numerical))
        relative = np.max(error[off] / largest[off])
        return (
            f"{off.sum()} of {off.size} values are off\n"
            f"  the worst: ∂output{at_y} / ∂input{at_x} is {a:.6g} by backward, "
            f"{n:.6g} by central differences with eps = {self.eps}\n"
            f"  largest error {error.max():.3g}, relative {relative:.3g}; "
            f"allowed are {self.atol} + {self.rtol} · |numerical|"
        )

    def check_constant(
        self, columns: dict[int, list[dict[int, Array]]], most: float
    ) -> None:
        """Where no output requires a gradient, no output may depend on an input."""
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


def _unit_vectors(t: Tensor) -> Iterator[Array]:
    """1 in one place and 0 in the others, for each place."""
    for k in range(t.numel()):
        e = np.zeros(t.shape, t.dtype)
        e.flat[k] = 1
        yield e


def _direction(t: Tensor, rng: np.random.Generator) -> Array:
    """A random vector of length 1 without negative values."""
    values = rng.random(t.shape)
    return (values / np.sqrt((values**2).sum())).astype(t.dtype)


def _random(t: Tensor, rng: np.random.Generator, gaps: bool) -> Tensor:
    """Uniform in [−1, 1), as t in shape and dtype; with gaps in memory."""
    values = rng.uniform(-1, 1, t.shape).astype(t.dtype)
    if gaps and t.numel() > 1:
        values = np.repeat(values, 2, axis=-1)[..., ::2]
    return Tensor._wrap(values).requires_grad_()


def _place(flat: Any, shape: tuple[int, ...]) -> list[int]:
    return [int(k) for k in np.unravel_index(flat, shape)]
