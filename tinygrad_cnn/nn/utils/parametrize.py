"""Parameters that are computed: by modules, each time they are read.

`register_parametrization(layer, "weight", f)` makes `layer.weight` the result of
f(original); the original is the parameter then, `layer.parametrizations.weight.original`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ...core.engine import Tensor
from ...core.recording import no_grad
from ...errors import ArgumentError, AutogradError
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)

_cache: dict[tuple[int, str], Tensor] | None = None


@contextmanager
def cached() -> Iterator[None]:
    """Inside the block each parametrized Tensor is computed once."""
    global _cache
    outer = _cache
    _cache = {} if outer is None else outer
    try:
        yield
    finally:
        _cache = outer


class ParametrizationList(ModuleList):
    """The modules that compute one Tensor, and what they compute it from.

    `original`, or `original0`, `original1`, … where the first module takes several. The
    originals are such that they give the Tensor as it was, by the `right_inverse` of each
    module that has one.
    """

    def __init__(
        self, modules: Sequence[Module], original: Tensor, unsafe: bool = False
    ) -> None:
        if not modules:
            raise ArgumentError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        before = original.detach().clone()
        new = self._invert(original, strict=False)
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            original.data = new.detach()  # in place: an optimizer may know it
            _register(self, "original", original)
        else:
            asks = original.requires_grad
            for i, part in enumerate(new):
                made = part.detach()
                made = (
                    Parameter(made, asks) if isinstance(original, Parameter) else made
                )
                _register(self, f"original{i}", made)
        if not unsafe:
            _check_alike(self(), before)

    def _invert(self, value: Any, strict: bool) -> Any:
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    value = module.right_inverse(value)
                elif strict:
                    raise AutogradError(
                        f"parametrization {type(module).__name__} does not implement "
                        "right_inverse."
                    )
        return value

    def right_inverse(self, value: Tensor) -> None:
        """Change the originals so that they give `value`."""
        new = self._invert(value, strict=True)
        originals = self._originals()
        for original, part in zip(
            originals, [new] if self.is_tensor else new, strict=True
        ):
            original.data = part.detach().clone()

    def _originals(self) -> list[Any]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def forward(self) -> Any:
        first, *others = self
        x = first(*self._originals())
        for module in others:
            x = module(x)
        return x

    def __iter__(self) -> Iterator[Any]:
        return (module for name, module in self._modules.items() if name.isdigit())


def _register(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _check_alike(found: Any, expected: Tensor) -> None:
    if not isinstance(found, Tensor):
        raise ArgumentError(
            f"A parametrization must return a tensor. Got {type(found).__name__}."
        )
    for what in ("dtype", "shape"):
        before, after = getattr(expected, what), getattr(found, what)
        if before != after:
            raise ArgumentError(
                f"Registering a parametrization may not change the {what} of the tensor, "
                f"unless `unsafe` flag is enabled: {before} became {after}"
            )


def _refuse_pickling(self: Module) -> dict[str, Any]:
    raise AutogradError(
        "Serialization of parametrized modules is only supported through state_dict()"
    )


def _deepcopy(self: Module, memo: dict[int, Any]) -> Module:
    copied = memo[id(self)] = type(self).__new__(type(self))
    state = {k: v for k, v in self.__dict__.items() if k != "_path_cache"}
    copied.__dict__.update(copy.deepcopy(state, memo))
    return copied


_METHODS = {"__getstate__": _refuse_pickling, "__deepcopy__": _deepcopy}
"""What a parametrized module's class has beside its own."""


def _computed(name: str) -> property:
    def read(self: Any) -> Any:
        if _cache is None:
            return self.parametrizations[name]()
        key = id(self), name
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(read, write)


def register_parametrization(
    module: M, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> M:
    """Make a parameter or buffer the result of `parametrization`, a module; return module.

    It takes the Tensor, or what those registered before make of it. If it has a method
    right_inverse, module.weight = value sets the original to what that gives.
    unsafe: dtype and shape may change, and are not looked at.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        each: Any = module.parametrizations[tensor_name]
        if not unsafe:
            now = getattr(module, tensor_name)
            _check_alike(parametrization(now), now)
        each.append(parametrization)
        each.unsafe |= unsafe
        return module
    original = {**module._parameters, **module._buffers}.get(tensor_name)
    if original is None:
        raise ArgumentError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized "
            f"element with name '{tensor_name}'"
        )
    each = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        cls = type(module)
        module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), dict(_METHODS))
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _computed(tensor_name))
    module.parametrizations[tensor_name] = each
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether this Tensor of the module's is computed, or (None) whether any is."""
    each = module._modules.get("parametrizations")
    if not isinstance(each, ModuleDict):
        return False
    return len(each) > 0 if tensor_name is None else tensor_name in each


def remove_parametrizations(
    module: M, tensor_name: str, leave_parametrized: bool = True
) -> M:
    """Make the Tensor a parameter (or buffer) again: as it is, or the original."""
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(
            f"Module {module} does not have a parametrization on {tensor_name}"
        )
    each: Any = module.parametrizations[tensor_name]
    if not each.is_tensor and not leave_parametrized:
        raise ArgumentError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    value = getattr(module, tensor_name)
    if not each.is_tensor:
        original = Parameter(value) if value.requires_grad else value
    else:
        original = each.original
        if leave_parametrized:
            original.data = value.detach()
    cls: Any = type(module)
    delattr(cls, tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = cls.__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class of the module as it was before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)
