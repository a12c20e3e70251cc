"""Gradients on demand: `backward` and `grad`, PyTorch's functions on the engine's walk,
and `detect_anomaly`, which makes that walk stop at the first NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, AutogradError, DTypeError
from ..ops.base import Value
from .engine import BackwardObserver, Record, Tensor, run_backward
from .methods.base import raw
from .methods.shape import stack
from .recording import backward_observer, enable_grad

__all__ = ["backward", "detect_anomaly", "grad", "set_detect_anomaly"]

Tensors = Tensor | Sequence[Tensor]


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradient of Σ ⟨tensor, grad_tensor⟩ to `.grad` of each leaf behind it.

    Arguments as `Tensor.backward`, for several results at once.
    """
    outputs = _listed(tensors)
    targets = None if inputs is None else _listed(inputs)
    cotangents = cotangents_for(outputs, grad_tensors)
    run_backward(outputs, cotangents, retain_graph, create_graph, targets, True)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradient of Σ ⟨output, grad_output⟩ for each input, leaving every `.grad` alone.

    An input that the outputs do not depend on raises AutogradError, unless allow_unused
    (its gradient is None) or materialize_grads (it is zeros). is_grads_batched: each
    grad_output has a first axis more; a backward pass for each place along it, and the
    gradients side by side.
    """
    if not only_inputs:
        raise ArgumentError("only_inputs is always on; `backward` is for all leaves")
    results, targets = _listed(outputs), _listed(inputs)
    if materialize_grads and allow_unused is False:
        raise ArgumentError(
            "materialize_grads needs allow_unused to be True or left out"
        )
    cotangents = cotangents_for(results, grad_outputs)
    unused = bool(allow_unused) or materialize_grads
    if is_grads_batched:
        keep = create_graph if retain_graph is None else retain_graph
        rows, found = _rows(cotangents), []
        for i, row in enumerate(rows, 1):
            retain = keep or i < len(rows)
            options = retain, create_graph, True, unused
            found.append(grad(results, targets, row, *options))
        pairs = zip(zip(*found, strict=True), targets, strict=True)
        return tuple([_side_by_side(ds, t, materialize_grads) for ds, t in pairs])
    arrived = run_backward(
        results, cotangents, retain_graph, create_graph, targets, False
    )
    return tuple(_found(arrived, t, unused, materialize_grads) for t in targets)


def _rows(cotangents: list[Tensor | None]) -> list[list[Tensor]]:
    """What is at each place along the first axis of all of these."""
    lengths = {0 if c is None or not c.ndim else len(c) for c in cotangents}
    if len(lengths) != 1 or 0 in lengths:
        raise ArgumentError(
            "with is_grads_batched each grad_output has a first axis more than its output, "
            "of one length for all, but there are "
            f"{[None if c is None else list(c.shape) for c in cotangents]}"
        )
    return [list(row) for row in zip(*cotangents, strict=True)]


def _side_by_side(ds: Sequence[Any], target: Tensor, materialize: bool) -> Any:
    with enable_grad():
        if ds[0] is not None:
            return stack(ds)
    return Tensor._wrap(np.zeros_like(target._array)) if materialize else None


def _found(
    arrived: Any, target: Tensor, unused: bool, materialize: bool
) -> Tensor | None:
    g: Value = arrived.get(target._node)
    if g is None and not unused:
        raise AutogradError(
            "One of the differentiated Tensors appears to not have been used in the "
            "graph. Set allow_unused=True if this is the desired behavior."
        )
    if g is None:
        return Tensor._wrap(np.zeros_like(target._array)) if materialize else None
    with enable_grad():
        return g.clone() if isinstance(g, Tensor) else Tensor._wrap(g.copy())


def _listed(tensors: Tensors) -> list[Tensor]:
    listed = [tensors] if isinstance(tensors, Tensor) else tensors
    if not isinstance(listed, Iterable) or not all(
        isinstance(t, Tensor) for t in listed
    ):
        raise DTypeError(f"expected a Tensor or a sequence of them, got {tensors!r}")
    return list(listed)


def cotangents_for(outputs: list[Tensor], given: Any) -> list[Tensor | None]:
    """∂L/∂output for each output: those given, one alone as itself; else None."""
    if given is None:
        return [None] * len(outputs)
    cotangents = list(given) if isinstance(given, tuple | list) else [given]
    if len(cotangents) != len(outputs):
        raise ArgumentError(f"{len(outputs)} outputs but {len(cotangents)} gradients")
    return cotangents


class _StopAtNaN(BackwardObserver):
    """Refuses a NaN as soon as a rule has made one."""

    def see_contribution(
        self, record: Record, i: int, g: Value, d: Value, total: Value
    ) -> None:
        nan = np.isnan(raw(d))
        if not nan.any():
            return
        why = [
            f"{'its result' if name == 'y' else name} already held inf or NaN"
            for name, (value, *_) in record.held().items()
            if isinstance(value, np.ndarray) and not np.isfinite(value).all()
        ]
        if np.isnan(raw(g)).any():
            why.append(
                "the gradient that came to it was NaN already: the one given to backward, "
                "a hook's, or inf − inf where several met"
            )
        raise AutogradError(
            f"the gradient with respect to {record.op.input_name(i)} became NaN in "
            f"{nan.sum()} of {nan.size} values, first at {np.argwhere(nan)[0].tolist()}, "
            "by " + "\n  ".join([str(record), *why])
        )


class set_detect_anomaly:
    """Look for NaN in every gradient or not: at once when called, until a `with` ends.

    While it is on, a backward pass raises AutogradError at the first operation that makes a
    NaN gradient; the message names the operation, its module and the line that applied it.
    check_nan=False looks for none. Per thread; checking takes time.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._switch(mode and check_nan)

    def _switch(self, on: bool) -> None:
        self.outside = backward_observer.get()
        backward_observer.set(_StopAtNaN() if on else None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        backward_observer.set(self.outside)


class detect_anomaly(set_detect_anomaly):
    """Look for NaN in every gradient: `with detect_anomaly():`; see set_detect_anomaly."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self._switch(self.check_nan)
