"""Activations: any shape in, the same shape out; formulas in `ops.activation`."""

from __future__ import annotations

import warnings
from typing import Any

from ...core.engine import Tensor
from ...core.methods.base import float_only
from ...ops import Op, activation


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x)."""
    return input.relu_() if inplace else input.relu()


def leaky_relu(
    input: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Tensor:
    """x for x > 0, else negative_slope · x."""
    return _apply(activation.LeakyReLU(negative_slope), input, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x between min_val and max_val; floats only."""
    float_only(input, "hardtanh()")
    return _apply(activation.Hardtanh(min_val, max_val), input, inplace)


def _apply(op: Op, input: Tensor, inplace: bool) -> Tensor:
    return input.become(op(input.clone())) if inplace else op(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """e^x_k / Σ e^x_j along `dim`."""
    axis = _choose_dim("softmax", input.ndim) if dim is None else dim
    return input.softmax(axis, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of the softmax along `dim`."""
    axis = _choose_dim("log_softmax", input.ndim) if dim is None else dim
    return input.log_softmax(axis, dtype)


def _choose_dim(name: str, ndim: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=3,
    )
    return 0 if ndim in (0, 1, 3) else 1
