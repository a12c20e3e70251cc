"""Gradients on demand: `backward` and `grad`, PyTorch's functions on the engine's walk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .engine import Tensor, run_backward
from .errors import ArgumentError, AutogradError, DTypeError
from .ops.base import Value
from .recording import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "backward",
    "enable_grad",
    "grad",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

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
    cotangents = _cotangents(outputs, grad_tensors)
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
    (its gradient is None) or materialize_grads (it is zeros).
    """
    if is_grads_batched or not only_inputs:
        raise ArgumentError(
            "grad() has no is_grads_batched, and only_inputs is always on"
        )
    results, targets = _listed(outputs), _listed(inputs)
    if materialize_grads and allow_unused is False:
        raise ArgumentError(
            "materialize_grads needs allow_unused to be True or left out"
        )
    cotangents = _cotangents(results, grad_outputs)
    arrived = run_backward(
        results, cotangents, retain_graph, create_graph, targets, False
    )
    return tuple(
        _found(arrived, t, bool(allow_unused) or materialize_grads, materialize_grads)
        for t in targets
    )


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


def _cotangents(outputs: list[Tensor], given: Any) -> list[Tensor | None]:
    if given is None:
        return [None] * len(outputs)
    cotangents = list(given) if isinstance(given, tuple | list) else [given]
    if len(cotangents) != len(outputs):
        raise ArgumentError(f"{len(outputs)} outputs but {len(cotangents)} gradients")
    return cotangents
