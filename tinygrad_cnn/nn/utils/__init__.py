"""What is done to the parameters of modules: clipped, normalised, computed, replaced."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from types import GeneratorType
from typing import Any, TypeVar

import numpy as np

from ...core.engine import Tensor
from ...core.generator import default_generator
from ...core.methods.shape import cat
from ...core.recording import no_grad
from ...errors import ArgumentError, AutogradError, DTypeError
from ...missing import teach
from ..module import Module
from . import parametrizations, parametrize, rnn, stateless
from .fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from .norms import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

M = TypeVar("M", bound=Module)
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
    generated = isinstance(parameters, GeneratorType)
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not given and generated:
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.",
            stacklevel=3,
        )
    grads = _collect_gradients(given, foreach)
    norm = get_total_norm(grads, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(given, max_norm, norm)
    return norm


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """`clip_grad_norm_`, under the name that PyTorch has deprecated."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    options = norm_type, error_if_nonfinite, foreach
    return clip_grad_norm_(parameters, max_norm, *options)


@no_grad()
def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all Tensors as one vector; AutogradError as `clip_grad_norm_`."""
    _refuse_foreach(foreach)
    given = [tensors] if isinstance(tensors, Tensor) else tensors
    order = float(norm_type)
    with np.errstate(all="ignore"):
        norms = [np.linalg.norm(t._array.ravel(), order) for t in given]
        norm = np.linalg.norm(norms, order) if norms else np.float32(0)
    if error_if_nonfinite and not np.isfinite(norm):
        raise AutogradError(
            f"The total norm of order {order} for gradients from `parameters` is "
            "non-finite, so it cannot be clipped. To disable this error and scale the "
            "gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return Tensor._wrap(np.asarray(norm))


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors,
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale all gradients by min(1, max_norm / (total_norm + 1e-6))."""
    with np.errstate(all="ignore"):
        norm = total_norm._array[()]
        scale = float(np.minimum(float(max_norm) / (norm + 1e-6), 1.0))
        for g in _collect_gradients(parameters, foreach):
            g.mul_(scale)


@no_grad()
def clip_grad_value_(
    parameters: Tensors, clip_value: float, foreach: bool | None = None
) -> None:
    """Hold every entry of every gradient between −clip_value and clip_value."""
    for g in _collect_gradients(parameters, foreach):
        g.clamp_(-float(clip_value), float(clip_value))


def _collect_gradients(parameters: Tensors, foreach: bool | None) -> list[Tensor]:
    _refuse_foreach(foreach)
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in given if p.grad is not None]


def _refuse_foreach(foreach: bool | None) -> None:
    if foreach:
        raise ArgumentError("there is no foreach implementation; leave foreach=None")


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


def skip_init(module_cls: Callable[..., M], *args: Any, **kwargs: Any) -> M:
    """A module whose values are not meant yet; nothing is drawn from the generator."""
    state = default_generator.get_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        default_generator.set_state(state)


__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "stateless",
    "vector_to_parameters",
    "weight_norm",
]

teach(__name__)
