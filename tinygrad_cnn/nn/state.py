"""What a module holds: taking it out, putting it back, changing its dtype."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from ..core.engine import Tensor
from ..core.recording import no_grad
from ..errors import CheckpointError, DTypeError
from .parameter import Parameter


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


class State:
    """Saving, loading and converting the parameters and buffers of a module."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Any]
    named_modules: Callable[..., Iterator[tuple[str, Any]]]

    def state_dict(
        self, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Name → Tensor for all parameters and persistent buffers, sharing their memory.

        Own parameters, own buffers, then the children's, in order of definition. Shared
        ones appear under each name. keep_vars: the Tensors themselves, not detached.
        """
        found = OrderedDict() if destination is None else destination
        for name, tensor in self._own_state().items():
            found[prefix + name] = tensor if keep_vars else tensor.detach()
        for name, child in self._modules.items():
            if child is not None:
                path = f"{prefix}{name}."
                child.state_dict(destination=found, prefix=path, keep_vars=keep_vars)
        return found

    def _own_state(self) -> dict[str, Any]:
        members = {**self._parameters, **self._buffers}
        left_out = self._non_persistent_buffers_set
        return {k: v for k, v in members.items() if v is not None and k not in left_out}

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
        given, metadata = OrderedDict(state_dict), {"assign_to_params_buffers": assign}
        missing, unexpected, errors = list[str](), list[str](), list[str]()
        for path, module in self.named_modules(remove_duplicate=False):
            prefix = f"{path}." if path else ""
            args = given, prefix, metadata, True, missing, unexpected, errors
            module._load_from_state_dict(*args)
        for kind, keys in (("Unexpected", unexpected), ("Missing", missing)):
            if strict and keys:
                quoted = ", ".join(f'"{key}"' for key in keys)
                errors.insert(0, f"{kind} key(s) in state_dict: {quoted}. ")
        if errors:
            raise CheckpointError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(errors)
            )
        return _IncompatibleKeys(missing, unexpected)

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
        """Load what is this module's own; a layer may override it to adapt old names."""
        own = self._own_state()
        for name, target in own.items():
            key = prefix + name
            if key not in state_dict:
                missing_keys.append(key)
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
        for key in state_dict:
            if key.startswith(prefix):
                name, _, below = key[len(prefix) :].partition(".")
                if name not in (self._modules if below else own):
                    unexpected_keys.append(key)

    def _apply(self, fn: Callable[[Any], Any]) -> Self:
        """Put fn(tensor) in the place of each; parameters and their grads stay objects."""
        for child in self._modules.values():
            if child is not None:
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

    def cpu(self) -> Self:
        """Itself."""
        return self


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
