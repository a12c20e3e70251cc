"""Layers that learn from the first input how many features, or channels, it has.

A call of the model on any batch does that; a lazy layer is then the layer that it is named
after. Before, its parameters are `UninitializedParameter`s, without a shape: optimizers may
hold them, and load_state_dict gives them the shapes of what it loads.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..core.engine import Tensor
from ..core.recording import observer, setting
from ..errors import ArgumentError, ModuleError
from .convolution import Conv2d, ConvTranspose2d
from .layer import Ints, Layer
from .linear import Linear
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .parameter import Parameter


class UninitializedParameter(Parameter):
    """A Parameter whose shape is not known yet; `materialize` makes it an ordinary one."""

    __slots__ = ()

    def __init__(
        self, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        values = np.empty(0, np.float32 if dtype is None else dtype)
        super().__init__(Tensor._wrap(values), requires_grad)

    @property
    def shape(self) -> Any:
        """There is none yet."""
        raise ArgumentError(
            "Can't access the shape of an uninitialized parameter. Call `forward` to "
            "initialize the parameters before accessing their attributes."
        )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become a Parameter of this shape, of zeros: the same object."""
        values = np.zeros(shape, self.dtype if dtype is None else dtype)
        asks = self.requires_grad
        Tensor._wrap(values, into=self)
        self.__class__ = Parameter  # type: ignore[assignment]
        self.requires_grad_(asks)

    def __repr__(self) -> str:
        return "<UninitializedParameter>"


class _Lazy(Layer):
    """Base of the lazy layers, before the layer that they become."""

    _becomes: ClassVar[Any]
    """The layer that it is after the first call."""
    _size: ClassVar[str]
    """The attribute that the first input tells."""
    _axis: ClassVar[int]
    """Which axis of the input that is."""

    _given: tuple[tuple[Any, ...], dict[str, Any]]
    """What else the layer is made of."""

    def _postpone(self, *args: Any, **kwargs: Any) -> None:
        """Make the layer of size 0, and leave open what depends on the size."""
        self._becomes.__init__(self, 0, *args, **kwargs)
        self._given = args, kwargs
        for name, p in self._parameters.items():
            if p is not None:
                self._parameters[name] = UninitializedParameter(dtype=p.dtype)

    def reset_parameters(self) -> None:
        """Nothing yet."""

    def has_uninitialized_params(self) -> bool:
        """Whether there is anything without a shape."""
        return bool(self._open())

    def _open(self) -> list[str]:
        members = {**self._parameters, **self._buffers}
        return [name for name, t in members.items() if t is not None and _empty(t)]

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        size = next(iter([*args, *kwargs.values()])).shape[self._axis]
        if waiting := self._open():
            args_of_layer, options = self._given
            with setting(observer, None):  # drawing values is no part of the model
                whole = self._becomes(size, *args_of_layer, **options)
                for name in waiting:
                    self._settle(name, getattr(whole, name))
        del self._given
        setattr(self, self._size, size)
        self.__class__ = self._becomes
        return self(*args, **kwargs)

    def _settle(self, name: str, values: Tensor) -> None:
        """Give a member the shape and the values of these, in its own dtype."""
        member = getattr(self, name)
        if isinstance(member, UninitializedParameter):
            member.materialize(values.shape)
            member.detach().copy_(values)
        else:
            self._buffers[name] = values.to(member.dtype)

    def _own_state(self) -> dict[str, Any]:
        _refuse(self, self._open())
        return super()._own_state()

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        for name in self._open():
            if prefix + name in state_dict:
                values = np.zeros_like(state_dict[prefix + name])
                self._settle(name, Tensor._wrap(values))
        super()._load_from_state_dict(state_dict, prefix, *args)


def require_shapes(model: Module) -> None:
    """ModuleError if a parameter of the model has no shape yet."""
    named = model.named_parameters()
    _refuse(model, [name for name, p in named if isinstance(p, UninitializedParameter)])


def _refuse(module: Module, waiting: list[str]) -> None:
    if waiting:
        raise ModuleError(
            f"{', '.join(waiting)} of {module._get_name()} have no shape before the first "
            "call; run the model on a batch first"
        )


def _empty(t: Tensor) -> bool:
    return t._array.size == 0 and t.is_floating_point()


class LazyLinear(_Lazy, Linear):
    """Linear, whose in_features are those of the first input."""

    _becomes, _size, _axis = Linear, "in_features", -1

    def __init__(
        self,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._postpone(out_features, bias, device, dtype)


class LazyConv2d(_Lazy, Conv2d):
    """Conv2d, whose in_channels are those of the first input."""

    _becomes, _size, _axis = Conv2d, "in_channels", -3

    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        window = out_channels, kernel_size, stride, padding, dilation
        self._postpone(*window, groups, bias, padding_mode, device, dtype)


class LazyConvTranspose2d(_Lazy, ConvTranspose2d):
    """ConvTranspose2d, whose in_channels are those of the first input."""

    _becomes, _size, _axis = ConvTranspose2d, "in_channels", -3

    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        window = out_channels, kernel_size, stride, padding, output_padding
        rest = groups, bias, dilation, padding_mode, device, dtype
        self._postpone(*window, *rest)


class _LazyBatchNorm(_Lazy):
    _size, _axis = "num_features", 1

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        options = eps, momentum, affine, track_running_stats, device, dtype
        self._postpone(*options, bias=bias)


class LazyBatchNorm1d(_LazyBatchNorm, BatchNorm1d):
    """BatchNorm1d, whose num_features are those of the first input."""

    _becomes = BatchNorm1d


class LazyBatchNorm2d(_LazyBatchNorm, BatchNorm2d):
    """BatchNorm2d, whose num_features are those of the first input."""

    _becomes = BatchNorm2d


class LazyBatchNorm3d(_LazyBatchNorm, BatchNorm3d):
    """BatchNorm3d, whose num_features are those of the first input."""

    _becomes = BatchNorm3d
