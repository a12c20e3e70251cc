"""What a module holds: taking it out, putting it back, changing its dtype."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np

from ..core.creation import empty_like
from ..core.engine import Tensor
from ..core.methods.gradient import HookHandle
from ..core.recording import no_grad
from ..errors import CheckpointError, DTypeError, UnavailableError
from .parameter import Parameter

Function = Callable[..., Any]

EXTRA = "_extra_state"
"""The name of what is no Tensor in a module's state."""


class _IncompatibleKeys(NamedTuple):
    """Which names a state_dict lacked, and which it had too many."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        missing, unexpected = self
        return (
            f"_IncompatibleKeys(missing_keys={missing}, unexpected_keys={unexpected})"
        )


def _refusing(name: str) -> Function:
    def refused(self: Any, device: Any = None) -> NoReturn:
        raise UnavailableError(
            f"{type(self).__name__}.{name}() is not available: this package computes with "
            "NumPy on the CPU"
        )

    return refused


class State:
    """Saving, loading and converting the parameters and buffers of a module."""

    _version: int = 1
    """Of what the state_dict holds; a subclass that changes that raises it."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Any]
    _state_hooks: defaultdict[str, OrderedDict[int, Function]]

    # ------------------------------------------------------------------------ hooks

    def register_state_dict_pre_hook(self, hook: Function) -> HookHandle:
        """Call hook(module, prefix, keep_vars) before this module's state is taken."""
        return HookHandle(self._state_hooks["before taking"], hook)

    def register_state_dict_post_hook(self, hook: Function) -> HookHandle:
        """Call hook(module, state_dict, prefix, local_metadata) once its state is taken.

        It may change the dict in place; it returns None.
        """
        return self._register_state_dict_hook(partial(_without_result, hook))

    def _register_state_dict_hook(self, hook: Function) -> HookHandle:
        """As `register_state_dict_post_hook`; what the hook returns replaces the dict."""
        return HookHandle(self._state_hooks["after taking"], hook)

    def register_load_state_dict_pre_hook(self, hook: Function) -> HookHandle:
        """Call hook(module, …) before this module loads, to change what it is given.

        … are the arguments of `_load_from_state_dict`: state_dict, prefix, local_metadata,
        strict, missing_keys, unexpected_keys, error_msgs.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Function, with_module: bool = False
    ) -> HookHandle:
        called = hook if with_module else partial(_without_module, hook)
        return HookHandle(self._state_hooks["before loading"], called)

    def register_load_state_dict_post_hook(self, hook: Function) -> HookHandle:
        """Call hook(module, incompatible_keys) once this module and those below loaded.

        It may change the two lists of names in place; it returns None.
        """
        called = partial(_without_result, hook)
        return HookHandle(self._state_hooks["after loading"], called)

    def _run_state_hooks(self, when: str, *args: Any) -> list[Any]:
        hooks = list(self._state_hooks[when].values())
        return [hook(self, *args) for hook in hooks]

    # ------------------------------------------------------------- taking and loading

    def state_dict(
        self, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Name → Tensor for all parameters and persistent buffers, sharing their memory.

        Own parameters, own buffers, then the children's, in order of definition. Shared
        ones appear under each name. keep_vars: the Tensors themselves, not detached.
        Its attribute `_metadata` says the `_version` of each module, by its path.
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        found, own = destination, {"version": self._version}
        if hasattr(found, "_metadata"):
            found._metadata[prefix[:-1]] = own
        self._run_state_hooks("before taking", prefix, keep_vars)
        self._save_to_state_dict(found, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                path = f"{prefix}{name}."
                child.state_dict(destination=found, prefix=path, keep_vars=keep_vars)
        for hook in list(self._state_hooks["after taking"].values()):
            replaced = hook(self, found, prefix, own)
            found = found if replaced is None else replaced
        return found

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Put what is this module's own into destination."""
        for name, tensor in self._own_state().items():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if self._has_extra_state():
            destination[prefix + EXTRA] = self.get_extra_state()

    def _own_state(self) -> dict[str, Any]:
        members = {**self._parameters, **self._buffers}
        left_out = self._non_persistent_buffers_set
        return {k: v for k, v in members.items() if v is not None and k not in left_out}

    def _has_extra_state(self) -> bool:
        return type(self).get_extra_state is not State.get_extra_state

    def get_extra_state(self) -> Any:
        """What a subclass wants in its state_dict besides Tensors; none by default."""
        raise CheckpointError(
            f"{type(self).__name__} has no extra state; define get_extra_state() and "
            "set_extra_state(state) where a module has one"
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        self.get_extra_state()
        raise CheckpointError(f"{type(self).__name__} defines no set_extra_state()")

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy Tensors or arrays into the parameters and buffers of these names.

        strict: raise CheckpointError where names are missing or unexpected; wrong shapes
        always do. assign: take the given Tensors themselves, in their dtype (a parameter
        keeps its requires_grad). Returns the missing and the unexpected names.
        """
        if not isinstance(state_dict, Mapping):
            raise DTypeError(
                f"Expected state_dict to be dict-like, got {type(state_dict)}."
            )
        given: Any = OrderedDict(state_dict)
        given._metadata = metadata = getattr(state_dict, "_metadata", None) or {}
        missing, unexpected, errors = list[str](), list[str](), list[str]()
        found = _IncompatibleKeys(missing, unexpected)

        def load(module: State, given: dict[str, Any], prefix: str) -> None:
            own = dict(metadata.get(prefix[:-1], {}))
            if assign:
                own["assign_to_params_buffers"] = True
            args = given, prefix, own, True, missing, unexpected, errors
            module._load_from_state_dict(*args)
            for name, child in module._modules.items():
                if child is not None:
                    start = f"{prefix}{name}."
                    below = {k: v for k, v in given.items() if k.startswith(start)}
                    load(child, below, start)
            module._run_state_hooks("after loading", found)

        load(self, given, "")
        for kind, keys in (("Unexpected", unexpected), ("Missing", missing)):
            if strict and keys:
                quoted = ", ".join(f'"{key}"' for key in keys)
                errors.insert(0, f"{kind} key(s) in state_dict: {quoted}. ")
        if errors:
            raise CheckpointError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(errors)
            )
        return found

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load what is this module's own; a layer may override it to adapt old names.

        local_metadata: what the state_dict's `_metadata` says of the module: the "version"
        of its class when it was saved. What goes wrong is added to the lists.
        """
        args = local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        self._run_state_hooks("before loading", state_dict, prefix, *args)
        own = self._own_state()
        for name, target in own.items():
            key = prefix + name
            if key not in state_dict:
                missing_keys += [key] if strict else []
                continue
            try:
                value = _fit_to(target, key, state_dict[key])
                if not local_metadata.get("assign_to_params_buffers"):
                    with no_grad():
                        target.copy_(value)
                elif isinstance(target, Parameter):
                    setattr(self, name, Parameter(value, target.requires_grad))
                else:
                    setattr(self, name, value)
            except CheckpointError as error:
                error_msgs.append(str(error))
        known = {*own, EXTRA} if self._has_extra_state() else {*own}
        if EXTRA in known and prefix + EXTRA in state_dict:
            self.set_extra_state(state_dict[prefix + EXTRA])
        elif EXTRA in known and strict:
            missing_keys.append(prefix + EXTRA)
        for key in state_dict if strict else ():
            if key.startswith(prefix):
                name, _, below = key[len(prefix) :].partition(".")
                if name not in (self._modules if below else known):
                    unexpected_keys.append(key)

    # -------------------------------------------------------------------- converting

    def _apply(self, fn: Function, recurse: bool = True) -> Self:
        """Put fn(tensor) in the place of each; parameters and their grads stay objects."""
        for child in self._modules.values():
            if child is not None and recurse:
                child._apply(fn)
        parameters = [p for p in self._parameters.values() if p is not None]
        gradients = [p.grad for p in parameters if p.grad is not None]
        for tensor in [*parameters, *gradients]:
            with no_grad():
                applied = fn(tensor)
            if applied is not tensor:
                tensor.data = applied
        for name, buffer in self._buffers.items():
            self._buffers[name] = None if buffer is None else fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert the floating parameters and buffers in place, as `Tensor.to`.

        to(dtype), to(device), to(device, dtype), to(tensor). DTypeError for a dtype that
        is not floating, or a device that is not "cpu".
        """
        wanted = Tensor._wrap(np.zeros(0, np.float32)).to(*args, **kwargs).dtype
        if wanted.kind != "f":
            raise DTypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got "
                f"desired dtype={wanted}"
            )
        return self._apply(
            lambda t: t.to(*args, **kwargs) if t.is_floating_point() else t
        )

    def float(self) -> Self:
        """All floating parameters and buffers in float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """All floating parameters and buffers in float64."""
        return self.to(np.float64)

    def half(self) -> Self:
        """All floating parameters and buffers in float16."""
        return self.to(np.float16)

    def type(self, dst_type: Any) -> Self:
        """All parameters and buffers in this dtype, those of integers as well."""
        return self._apply(lambda t: t.type(dst_type))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Other parameters and buffers of the same shapes, whose values are arbitrary."""
        return self._apply(lambda t: empty_like(t, device=device), recurse)

    def cpu(self) -> Self:
        """Itself."""
        return self

    def share_memory(self) -> Self:
        """Refused: each process would train a copy of its own."""
        raise UnavailableError(
            "share_memory() is not available: processes share no Tensors here, each would "
            "train a copy of its own; PyTorch runs the same file"
        )

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: there is no compiler, and none would change a number."""

    def bfloat16(self) -> Self:
        """Refused: NumPy has no such dtype."""
        raise UnavailableError(
            f"{type(self).__name__}.bfloat16() is not available: NumPy has no such dtype"
        )

    cuda, ipu, xpu, mtia = map(_refusing, ("cuda", "ipu", "xpu", "mtia"))


def _without_module(hook: Function, module: Any, *args: Any) -> Any:
    return hook(*args)


def _without_result(hook: Function, *args: Any) -> None:
    if hook(*args) is not None:
        raise CheckpointError(
            f"the hook {hook!r} must return None; it may change what it is given in place"
        )


def _fit_to(target: Tensor, key: str, value: Any) -> Tensor:
    """The value as a Tensor, if it can take the place of the target."""
    copying = f'While copying the parameter named "{key}"'
    if not isinstance(value, Tensor):
        if not hasattr(value, "__array__"):
            raise CheckpointError(
                f"{copying}, expected a Tensor or an array from checkpoint but received "
                f"{type(value)}"
            )
        value = Tensor._wrap(np.asarray(value).copy())
    if value.dtype.kind not in "biuf":
        raise CheckpointError(f"{copying}: a value of dtype {value.dtype}")
    if target.ndim == 0 and value.shape == (1,):
        value = value[0]  # files of before PyTorch 0.4 have no scalars
    if value.shape != target.shape:
        raise CheckpointError(
            f"size mismatch for {key}: copying a param with shape {value.shape} from "
            f"checkpoint, the shape in current model is {target.shape}."
        )
    return value
