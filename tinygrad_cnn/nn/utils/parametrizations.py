"""Usual parametrizations: a weight by length and direction, and by its largest stretch."""

from __future__ import annotations

from typing import Any, TypeVar

from ...core.engine import Tensor
from ...core.methods.base import axis_of
from ...errors import ArgumentError
from ..layer import Layer
from ..module import Module
from .norms import as_matrix, channel_axis, improve, norm_except_dim, random_direction
from .parametrize import register_parametrization

M = TypeVar("M", bound=Module)


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Make `name` g v / ‖v‖, with a length for each slice along `dim` (None: one length).

    The originals are g (`original0`) and v (`original1`). (Salimans and Kingma, 2016)
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Layer):
    def __init__(self, weight: Tensor, n: int, dim: int, eps: float) -> None:
        super().__init__()
        if n <= 0:
            raise ArgumentError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n}"
            )
        self.dim, self.eps = axis_of(dim, weight.ndim), eps
        if weight.ndim > 1:  # of a vector it is the norm
            self.n_power_iterations = n
            matrix = as_matrix(weight, self.dim)
            self.register_buffer("_u", random_direction(matrix.shape[0], weight))
            self.register_buffer("_v", random_direction(matrix.shape[1], weight))
            self._improve(matrix, 15)

    def _improve(self, matrix: Tensor, n: int) -> None:
        for _ in range(n):
            improve(self._u, matrix, self._v, self.eps)
            improve(self._v, matrix.t(), self._u, self.eps)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return weight / (weight * weight).sum().sqrt().clamp(self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._improve(matrix, self.n_power_iterations)
        return weight / self._u.clone().dot(matrix @ self._v.clone())

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide `name` by its largest singular value, which the power method finds.

    n_power_iterations steps at each reading in training. dim: the axis of the rows, by
    default that of the output's channels. (Miyato et al., 2018)
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentError(
            f"Module '{module}' has no parameter or buffer with name '{name}'"
        )
    axis = channel_axis(module, dim)
    norm = _SpectralNorm(weight, n_power_iterations, axis, eps)
    return register_parametrization(module, name, norm)
