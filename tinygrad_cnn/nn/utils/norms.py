"""Weights as functions of other parameters, by hooks: w = g v / ‖v‖, and w / σ(w).

The older of PyTorch's two forms; `parametrizations` has the newer one.
"""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from ...core.creation import randn
from ...core.engine import Tensor
from ...core.recording import no_grad
from ...errors import ArgumentError, AutogradError
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)


def norm_except_dim(v: Tensor, dim: int) -> Tensor:
    """The norms of the slices of v along `dim`, which keeps its axes; −1: of all of v."""
    if dim == -1:
        return (v * v).sum().sqrt()
    axes = [i for i in range(v.ndim) if i != dim % v.ndim]
    return (v * v).sum(axes, keepdim=True).sqrt() if axes else v.abs()


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight with `dim` in front and all other axes as one."""
    others = [i for i in range(weight.ndim) if i != dim]
    return weight.permute(dim, *others).flatten(1)


@no_grad()
def improve(target: Tensor, matrix: Tensor, other: Tensor, eps: float) -> None:
    """Half a step of the power method: target ← M other / ‖M other‖, in place."""
    direction = matrix @ other
    target.copy_(direction / max(float((direction * direction).sum().sqrt()), eps))


def random_direction(size: int, like: Tensor) -> Tensor:
    """A vector of length 1 in a random direction."""
    drawn = randn(size, dtype=like.dtype)
    return drawn / (drawn * drawn).sum().sqrt()


def channel_axis(module: Module, dim: int | None) -> int:
    """`dim`, or the axis of the output's channels in the module's weight."""
    if dim is not None:
        return dim
    return int(type(module).__name__.startswith("ConvTranspose"))


class _Hook:
    """Computes `name` of a module anew from other parameters before each forward."""

    kind = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def apply(self, module: M) -> M:
        """Take the parameter apart, and register the hook."""
        for hook in _hooks_of(module):
            if isinstance(hook, type(self)) and hook.name == self.name:
                raise AutogradError(
                    f"Cannot register two {self.kind} hooks on the same parameter "
                    f"{self.name}"
                )
        weight = module._parameters[self.name]
        if weight is None:
            raise ArgumentError(
                f"`{type(self).__name__}` cannot be applied as parameter `{self.name}` is "
                "None"
            )
        del module._parameters[self.name]
        self.split(module, weight)
        module.register_forward_pre_hook(self)
        return module

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module, module.training))

    def split(self, module: Module, weight: Parameter) -> None:
        raise NotImplementedError

    def compute(self, module: Any, training: bool) -> Tensor:
        raise NotImplementedError

    @classmethod
    def remove(cls, module: M, name: str) -> M:
        """Make `name` a parameter again, and forget the hook."""
        hooks = module._forward_pre_hooks
        for key, entry in list(hooks.items()):
            hook = entry.function
            if isinstance(hook, cls) and hook.name == name:
                with no_grad():
                    weight = hook.compute(module, False).detach()
                delattr(module, name)
                for part in list(module._parameters) + list(module._buffers):
                    if part in hook.parts():
                        delattr(module, part)
                module.register_parameter(name, Parameter(weight))
                del hooks[key]
                return module
        raise ArgumentError(f"{cls.kind} of '{name}' not found in {module}")

    def parts(self) -> tuple[str, ...]:
        """The names of what the weight is made of."""
        raise NotImplementedError


def _hooks_of(module: Module) -> list[Any]:
    return [entry.function for entry in module._forward_pre_hooks.values()]


class WeightNorm(_Hook):
    """w = g v / ‖v‖, a length and a direction for each slice along dim."""

    kind = "weight_norm"

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = -1 if dim is None else dim

    def parts(self) -> tuple[str, ...]:
        return f"{self.name}_g", f"{self.name}_v"

    def split(self, module: Module, weight: Parameter) -> None:
        g, v = self.parts()
        length = norm_except_dim(weight, self.dim).detach()
        module.register_parameter(g, Parameter(length))
        module.register_parameter(v, Parameter(weight.detach()))
        setattr(module, self.name, self.compute(module, False))

    def compute(self, module: Any, training: bool) -> Tensor:
        g, v = (getattr(module, part) for part in self.parts())
        return v * (g / norm_except_dim(v, self.dim))


class SpectralNorm(_Hook):
    """w / σ, where σ ≈ uᵀ w v is the largest singular value of w as a matrix."""

    kind = "spectral_norm"

    def __init__(self, name: str, n: int, eps: float, dim: int) -> None:
        super().__init__(name)
        if n <= 0:
            raise ArgumentError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n}"
            )
        self.n_power_iterations, self.eps, self.dim = n, eps, dim

    def parts(self) -> tuple[str, ...]:
        return tuple([f"{self.name}_{part}" for part in ("orig", "u", "v")])

    def split(self, module: Module, weight: Parameter) -> None:
        original, u, v = self.parts()
        rows, columns = as_matrix(weight, self.dim).shape
        module.register_parameter(original, weight)
        setattr(module, self.name, weight.data)
        module.register_buffer(u, random_direction(rows, weight))
        module.register_buffer(v, random_direction(columns, weight))

    def compute(self, module: Any, training: bool) -> Tensor:
        weight, u, v = (getattr(module, part) for part in self.parts())
        matrix = as_matrix(weight, self.dim)
        for _ in range(self.n_power_iterations if training else 0):
            improve(v, matrix.t(), u, self.eps)
            improve(u, matrix, v, self.eps)
        # Clones: another forward changes u and v before this one's backward.
        return weight / u.clone().dot(matrix @ v.clone())


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Make parameter `name` g v / ‖v‖ of two others, `name`_g and `name`_v.

    A length for each slice along `dim`; None: one length. (Salimans and Kingma, 2016)
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of "
        "`torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    return WeightNorm(name, dim).apply(module)


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divide parameter `name` by its largest singular value, which the power method finds.

    n_power_iterations steps in each forward in training; the weight itself is `name`_orig.
    dim: the axis of the rows, by default that of the output's channels.
    (Miyato et al., 2018)
    """
    axis = channel_axis(module, dim)
    return SpectralNorm(name, n_power_iterations, eps, axis).apply(module)


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undo `weight_norm`: the weight as it is becomes the parameter."""
    return WeightNorm.remove(module, name)


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undo `spectral_norm`: the weight as it is becomes the parameter."""
    return SpectralNorm.remove(module, name)
