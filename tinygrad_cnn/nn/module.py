"""Module: parameters, buffers and children under names, and a forward to call."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Self, TypeVar

from ..core.engine import Tensor
from ..core.recording import module_path
from ..errors import ArgumentError, DTypeError, ModuleError
from ..missing import suggest
from .hooks import Hooked
from .parameter import Parameter
from .state import State

T = TypeVar("T")

_paths: ContextVar[dict[int, str] | None] = ContextVar("paths", default=None)
"""Where each module below the outermost running one lies, by its id."""

_STORES = {"_parameters": "parameter", "_modules": "module", "_buffers": "buffer"}
_KINDS = {"parameter": "nn.Parameter", "module": "nn.Module", "buffer": "Tensor"}

_LISTINGS = {"state_dict"} | {
    f"{named}{parts}"
    for named in ("", "named_")
    for parts in ("buffers", "children", "modules", "parameters")
}


class ModuleAttributeError(ModuleError):
    """No such attribute; the text is made when it is read, for `hasattr` asks too."""

    def __init__(self, module: Module, name: str) -> None:
        super().__init__(f"'{module._get_name()}' object has no attribute '{name}'")
        self.module, self.missing = module, name

    def __str__(self) -> str:
        return f"{self.args[0]}{suggest(self.missing, dir(self.module))}"


class Children(dict[str, Any]):
    """A module's children; a change of any module's makes the known paths stale."""

    changes = 0

    def __setitem__(self, name: str, child: Any) -> None:
        Children.changes += 1
        super().__setitem__(name, child)

    def __delitem__(self, name: str) -> None:
        Children.changes += 1
        super().__delitem__(name)


class Module(State, Hooked):
    """Base of all layers and models, as `torch.nn.Module`.

    A subclass calls `super().__init__()`, assigns Parameters and Modules to attributes,
    and defines `forward`. What was assigned is found again, once each and in the order of
    definition, by `parameters`, `buffers`, `children` and `modules`.
    """

    training: bool

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
            _modules=Children(),
            _forward_pre_hooks=OrderedDict(),
            _forward_hooks=OrderedDict(),
            _backward_pre_hooks=OrderedDict(),
            _backward_hooks=OrderedDict(),
            _state_hooks=defaultdict(OrderedDict),
        )

    def _forward_unimplemented(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; a subclass defines it. Call the module, not this."""
        raise NotImplementedError(
            f'Module [{self._get_name()}] is missing the required "forward" function'
        )

    forward: Callable[..., Any] = _forward_unimplemented

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the hooks and `forward`; what is recorded inside knows this module."""
        paths, outermost = _paths.get(), None
        if paths is None:
            paths = self._known_paths()
            outermost = _paths.set(paths)
        path = paths.get(id(self))
        inside = None if path is None else module_path.set(path)
        try:
            if (
                self._forward_hooks
                or self._forward_pre_hooks
                or self._backward_hooks
                or self._backward_pre_hooks
            ):
                return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs)
        finally:
            if inside is not None:
                module_path.reset(inside)
            if outermost is not None:
                _paths.reset(outermost)

    def _known_paths(self) -> dict[int, str]:
        changes, paths = self.__dict__.get("_path_cache", (-1, {}))
        if changes != Children.changes:
            paths = {id(module): path for path, module in self.named_modules()}
            self.__dict__["_path_cache"] = Children.changes, paths
        return paths

    def __getstate__(self) -> dict[str, Any]:
        # The modules of a copy have other ids.
        return {k: v for k, v in self.__dict__.items() if k != "_path_cache"}

    # ------------------------------------------------------------------- attributes

    def __getattr__(self, name: str) -> Any:
        held = self.__dict__
        for store in _STORES:
            if store in held and name in held[store]:
                return held[store][name]
        raise ModuleAttributeError(self, name)

    def _parameter(self, name: str) -> Any:
        """The attribute; a parameter twice as fast as by way of `__getattr__`."""
        held = self._parameters
        return held[name] if name in held else getattr(self, name)

    def __dir__(self) -> list[str]:
        held = [name for store in _STORES for name in self.__dict__.get(store, ())]
        return sorted({n for n in [*super().__dir__(), *held] if not n[:1].isdigit()})

    def __setattr__(self, name: str, value: Any) -> None:
        bearer = next((s for s in _STORES if name in self.__dict__.get(s, ())), "")
        if isinstance(value, Parameter):
            self._make_room(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module) and bearer != "_parameters":
            self._make_room(name, "_modules")
            self._modules[name] = value
        elif not bearer:
            if name in _LISTINGS and not callable(value):
                raise ModuleError(
                    f"cannot assign '{type(value).__name__}' as '{name}', the method of "
                    "nn.Module that lists its parts; choose another name (and "
                    "nn.ModuleList for a list of modules, so that they are found)"
                )
            super().__setattr__(name, value)
        elif value is None or (bearer == "_buffers" and isinstance(value, Tensor)):
            self.__dict__[bearer][name] = value
        else:
            what = _STORES[bearer]
            child = "child " if what == "module" else ""
            raise DTypeError(
                f"cannot assign '{type(value).__name__}' as {child}{what} '{name}' "
                f"({_KINDS[what]} or None expected)"
            )

    def _make_room(self, name: str, store: str) -> None:
        """Take the name away from whatever else bears it."""
        plural = "s" if store == "_parameters" else ""  # PyTorch's words
        self._check_initialized(store, _STORES[store] + plural)
        others = [self.__dict__[s] for s in _STORES if s != store]
        for other in (self.__dict__, *others):
            if name in other:
                del other[name]
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        for store in _STORES:
            if name in self.__dict__.get(store, ()):
                del self.__dict__[store][name]
                self._non_persistent_buffers_set.discard(name)
                return
        super().__delattr__(name)

    # ----------------------------------------------------------------- registration

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make `param` a parameter under this name; None reserves the name."""
        self._register("_parameters", name, param, Parameter)

    def register_buffer(
        self, name: str, tensor: Tensor | None, persistent: bool = True
    ) -> None:
        """Make `tensor` a buffer: state that is not trained, such as running means.

        persistent: a part of the state_dict. None reserves the name.
        """
        self._register("_buffers", name, tensor, Tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make `module` a child under this name; None reserves the name."""
        if module is not None and not isinstance(module, Module):
            raise DTypeError(f"{type(module).__name__} is not a Module subclass")
        self._register("_modules", name, module, Module)

    register_module = add_module

    def _register(self, store: str, name: str, value: Any, kind: type) -> None:
        what = _STORES[store]
        self._check_initialized(store, what)
        if value is not None and not isinstance(value, kind):
            raise DTypeError(
                f"cannot assign '{type(value).__name__}' object to {what} '{name}' "
                f"({_KINDS[what]} or None required)"
            )
        if not isinstance(name, str):
            got = type(name).__name__
            raise DTypeError(f"{what} name should be a string. Got {got}")
        if "." in name:
            raise ModuleError(f'{what} name can\'t contain ".", got: {name}')
        if name == "":
            raise ModuleError(f'{what} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[store]:
            raise ModuleError(f"attribute '{name}' already exists")
        self.__dict__[store][name] = value

    def _check_initialized(self, store: str, what: str) -> None:
        if store not in self.__dict__:
            raise ModuleError(f"cannot assign {what} before Module.__init__() call")

    # ----------------------------------------------------------------- finding parts

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path such as "features.0"; "" is the module itself."""
        module = self
        for name in target.split(".") if target else ():
            module = _get_member(module, name, Module)
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module at a dotted path such as "features.0".

        strict: only in the place of one. ModuleError where the path leads to none.
        """
        path, _, name = target.rpartition(".")
        if not name:
            raise ArgumentError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ArgumentError(f"`module` is not an nn.Module, found {type(module)}")
        parent = self.get_submodule(path)
        if strict or hasattr(parent, name):
            _get_member(parent, name, Module)
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path such as "features.0.weight"."""
        path, _, name = target.rpartition(".")
        return _get_member(self.get_submodule(path), name, Parameter)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path such as "norm.running_mean"."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        buffer: Any = _get_member(owner, name, object)
        if name not in owner._buffers:
            raise ModuleError(f"`{name}` is not a buffer")
        return buffer

    def named_modules(
        self,
        memo: set[Any] | None = None,
        prefix: str = "",
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Module]]:
        """(dotted path, module) for this one and all below, parents first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from child.named_modules(memo, path, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below, parents first, each once."""
        found = self.named_modules(remove_duplicate=remove_duplicate)
        return (module for _, module in found)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, child) for each direct child, each once."""
        seen: set[Module | None] = {None}
        for name, child in self._modules.items():
            if child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The direct children, each once."""
        return (child for _, child in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(dotted path, parameter) in the order of definition.

        recurse: those of the modules below as well. remove_duplicate: shared ones once.
        """
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters in the order of definition, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(dotted path, buffer), as `named_parameters`."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers in the order of definition, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named_members(
        self, store: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[Any] = {None}
        below = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for path, module in below if recurse else [(prefix, self)]:
            for name, value in module.__dict__[store].items():
                if value not in seen:
                    yield f"{path}.{name}" if path else name, value
                if remove_duplicate:
                    seen.add(value)

    # ------------------------------------------------------------------------ modes

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call fn(module) for every module below, children first, then for this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Training (dropout draws, batch normalisation uses the batch) or not; self."""
        if not isinstance(mode, bool):
            raise ArgumentError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Evaluation: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Ask (or stop asking) for the gradients of all parameters; return self."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = parameter.grad.detach().zero_()

    # --------------------------------------------------------------------- printing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr, besides the children."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr().splitlines()
        children = [f"({name}): {child!r}" for name, child in self._modules.items()]
        if len(extra) == 1 and not children:
            return f"{self._get_name()}({extra[0]})"
        return format_items(self._get_name(), extra + children)


def format_items(name: str, items: list[str]) -> str:
    """name(...) with one indented item a line, as a module's repr."""
    body = "\n".join(items).replace("\n", "\n  ")
    return f"{name}(\n  {body}\n)" if items else f"{name}()"


def _get_member(module: Module, name: str, kind: type[T]) -> T:
    if not hasattr(module, name):
        raise ModuleError(f"{module._get_name()} has no attribute `{name}`")
    member = getattr(module, name)
    if not isinstance(member, kind):
        raise ModuleError(f"`{name}` is not an nn.{kind.__name__}")
    return member
