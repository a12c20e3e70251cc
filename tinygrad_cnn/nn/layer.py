"""Layers: what they all share, and those without parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from ..core.engine import Tensor
from ..core.methods.base import axis_of
from ..errors import ArgumentError, DTypeError
from . import functional as F
from .functional.normalization import check_probability
from .module import Module

Ints = int | Sequence[int]


class Layer(Module):
    """A Module that makes one Tensor, as type checkers should know."""

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Tensor: ...


@dataclass_transform(eq_default=False)
class FunctionLayer(Layer):
    """A layer without parameters: a function of one input, with options.

    Its annotated fields are the arguments of its constructor and, by the same names, the
    options of the function. They make up its repr; a field with repr=False is left out,
    but `inplace` is shown where it is True.
    """

    _function: ClassVar[Callable[..., Tensor]]
    _options: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, function: Callable[..., Tensor] | None = None) -> None:
        if cls.__module__.startswith(
            __package__
        ):  # a layer of the user's is an ordinary class
            dataclass(eq=False, repr=False)(cls)
            cls._options = tuple(f.name for f in fields(cls))  # type: ignore[arg-type]
        if function is not None:
            cls._function = staticmethod(function)

    def __post_init__(self) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return self._function(
            input, **{name: getattr(self, name) for name in self._options}
        )

    def extra_repr(self) -> str:
        shown = [f.name for f in fields(self) if f.repr]  # type: ignore[arg-type]
        if "inplace" not in shown and getattr(self, "inplace", False):
            shown.append("inplace")
        return ", ".join(f"{name}={getattr(self, name)}" for name in shown)


class Identity(Layer):
    """Its input. Takes any arguments, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


# --------------------------------------- activations: any shape in, the same shape out


class ReLU(FunctionLayer, function=F.relu):
    """max(0, x). See `ops.activation.ReLU`."""

    inplace: bool = field(default=False, repr=False)


class LeakyReLU(FunctionLayer, function=F.leaky_relu):
    """x where positive, else negative_slope · x. See `ops.activation.LeakyReLU`."""

    negative_slope: float = 0.01
    inplace: bool = field(default=False, repr=False)


class Sigmoid(FunctionLayer, function=F.sigmoid):
    """1 / (1 + e⁻ˣ). See `ops.activation.Sigmoid`."""


class Tanh(FunctionLayer, function=F.tanh):
    """The hyperbolic tangent. See `ops.activation.Tanh`."""


class Hardtanh(FunctionLayer, function=F.hardtanh):
    """x held between min_val and max_val. See `ops.activation.Hardtanh`."""

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_val > self.min_val:
            raise ArgumentError(
                f"max_val {self.max_val} must be larger than min_val {self.min_val}"
            )


class Softmax(FunctionLayer, function=F.softmax):
    """e^x over its sum along `dim`. See `ops.classification.Softmax`."""

    dim: int | None = None


class LogSoftmax(FunctionLayer, function=F.log_softmax):
    """The logarithm of the softmax along `dim`. See `ops.classification.LogSoftmax`."""

    dim: int | None = None


# --------------------------------------------------------------------------- dropout


class _Dropout(FunctionLayer):
    p: float = 0.5
    inplace: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_probability(self.p)

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.p, self.training, self.inplace)


class Dropout(_Dropout, function=F.dropout):
    """In training each value is 0 with probability p, else divided by 1 − p.

    The identity in evaluation. See `ops.normalization.Dropout`.
    """


class Dropout2d(_Dropout, function=F.dropout2d):
    """Dropout of whole channels of (N, C, H, W)."""


# ----------------------------------------------- shapes: values are moved, none computed


class Flatten(FunctionLayer, function=Tensor.flatten):
    """(N, d1, d2, …) to (N, d1 d2 …): axes start_dim … end_dim joined into one."""

    start_dim: int = 1
    end_dim: int = -1


class Unflatten(FunctionLayer):
    """The axis `dim` split into axes of `unflattened_size` (one −1 is worked out)."""

    dim: int
    unflattened_size: Sequence[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.unflattened_size
        if not isinstance(size, tuple | list) or not all(
            isinstance(length, int) for length in size
        ):
            raise DTypeError(f"unflattened_size must be a tuple of ints, got {size!r}")

    def forward(self, input: Tensor) -> Tensor:
        axis = axis_of(self.dim, input.ndim)
        before, after = input.shape[:axis], input.shape[axis + 1 :]
        return input.reshape(*before, *self.unflattened_size, *after)
