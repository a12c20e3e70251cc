"""Gradient clipping, parameters as one vector, and calls with other parameters."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from types import GeneratorType

import numpy as np

from ...core.engine import Tensor
from ...core.methods.shape import cat
from ...core.recording import no_grad
from ...errors import ArgumentError, AutogradError, DTypeError
from . import rnn, stateless

Tensors = Tensor | Iterable[Tensor]


@no_grad()
def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)); return their norm.

    The norm is that of all gradients as one vector; norm_type inf is the largest absolute
    value. AutogradError for a norm that is not finite, if error_if_nonfinite.
    """
    grads, order = _collect_gradients(parameters, foreach), float(norm_type)
    if not grads and isinstance(parameters, GeneratorType):
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.",
            stacklevel=3,
        )
    with np.errstate(all="ignore"):
        norms = [np.linalg.norm(g._array.ravel(), order) for g in grads]
        norm = np.linalg.norm(norms, order) if norms else np.float32(0)
        if error_if_nonfinite and not np.isfinite(norm):
            raise AutogradError(
                f"The total norm of order {order} for gradients from `parameters` is "
                "non-finite, so it cannot be clipped. To disable this error and scale the "
                "gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
            )
        scale = float(np.minimum(float(max_norm) / (norm + 1e-6), 1.0))
        for g in grads:
            g.mul_(scale)
    return Tensor._wrap(np.asarray(norm))


@no_grad()
def clip_grad_value_(
    parameters: Tensors, clip_value: float, foreach: bool | None = None
) -> None:
    """Hold every entry of every gradient between −clip_value and clip_value."""
    for g in _collect_gradients(parameters, foreach):
        g.clamp_(-float(clip_value), float(clip_value))


def _collect_gradients(parameters: Tensors, foreach: bool | None) -> list[Tensor]:
    if foreach:
        raise ArgumentError("there is no foreach implementation; leave foreach=None")
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in given if p.grad is not None]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All values in one axis; gradients flow back through it."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Put slices of the vector into the place of the parameters' values."""
    if not isinstance(vec, Tensor):
        raise DTypeError(f"expected a Tensor, but got: {type(vec).__name__}")
    start = 0
    for p in parameters:
        p.data = vec[start : start + p.numel()].reshape(p.shape).data
        start += p.numel()


__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "parameters_to_vector",
    "rnn",
    "stateless",
    "vector_to_parameters",
]
