"""Layers: what they all share, and those without parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from ..core.engine import Tensor
from ..core.methods.base import axis_of
from ..errors import DTypeError
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
    """A layer without parameters: a function of its inputs, with options.

    Its annotated fields are the arguments of its constructor and, by the same names, the
    options of the function. They make up its repr; a field with repr=False is left out,
    but `inplace` is shown where it is True.
    """

    _function: ClassVar[Callable[..., Tensor]]
    _options: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, function: Callable[..., Tensor] | None = None) -> None:
        if cls.__module__.rpartition(".")[0] == __package__:  # a user's is ordinary
            dataclass(eq=False, repr=False)(cls)
            cls._options = tuple(f.name for f in fields(cls))  # type: ignore[arg-type]
            for name in vars(cls).keys() & {*cls._options}:
                delattr(cls, name)  # the default, which would hide a buffer
        if function is not None:
            cls._function = staticmethod(function)

    def __post_init__(self) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        # As `_run`, which would be one more call of every activation.
        options = {name: getattr(self, name) for name in self._options}
        return self._function(input, **options)

    def _run(self, *inputs: Tensor) -> Tensor:
        options = {name: getattr(self, name) for name in self._options}
        return self._function(*inputs, **options)

    def extra_repr(self) -> str:
        shown = [f.name for f in fields(self) if f.repr]  # type: ignore[arg-type]
        if "inplace" not in shown and getattr(self, "inplace", False):
            shown.append("inplace")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)


class Identity(Layer):
    """Its input. Takes any arguments, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


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


class Dropout1d(_Dropout, function=F.dropout1d):
    """Dropout of whole channels of (N, C, L) or (C, L)."""


class Dropout2d(_Dropout, function=F.dropout2d):
    """Dropout of whole channels of (N, C, H, W)."""


class Dropout3d(_Dropout, function=F.dropout3d):
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""


class AlphaDropout(_Dropout, function=F.alpha_dropout):
    """Dropout to the least value of SELU; then mean 0 and variance 1 are as before."""


class FeatureAlphaDropout(_Dropout, function=F.feature_alpha_dropout):
    """AlphaDropout of whole channels of (N, C, …)."""


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
