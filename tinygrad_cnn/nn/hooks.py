"""Hooks: functions of the user's that run around a module's forward and backward pass."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from ..core.creation import zeros
from ..core.engine import Tensor
from ..core.methods.gradient import HookHandle
from ..core.methods.shape import cat
from ..core.recording import is_grad_enabled
from ..errors import AutogradError, DTypeError, ShapeError

Function = Callable[..., Any]


class ForwardHook(NamedTuple):
    """A hook of the forward pass, and how it wants to be called."""

    function: Function
    with_kwargs: bool
    always_call: bool = False


class Hooked:
    """The hooks of a module, and a call that goes through them."""

    forward: Function
    _forward_pre_hooks: OrderedDict[int, ForwardHook]
    _forward_hooks: OrderedDict[int, ForwardHook]
    _backward_pre_hooks: OrderedDict[int, Function]
    _backward_hooks: OrderedDict[int, Function]

    def register_forward_pre_hook(
        self, hook: Function, *, prepend: bool = False, with_kwargs: bool = False
    ) -> HookHandle:
        """Call hook(module, args) before each forward; what it returns replaces args.

        with_kwargs: call hook(module, args, kwargs), which returns (args, kwargs) or None.
        prepend: before the hooks already there. The handle's `remove()` takes it away.
        """
        hooks = self._forward_pre_hooks
        return _add_hook(hooks, ForwardHook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Function,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> HookHandle:
        """Call hook(module, args, output) after each forward; its result replaces output.

        with_kwargs: call hook(module, args, kwargs, output). always_call: also when the
        call raises.
        """
        entry = ForwardHook(hook, with_kwargs, always_call)
        return _add_hook(self._forward_hooks, entry, prepend)

    def register_full_backward_pre_hook(
        self, hook: Function, prepend: bool = False
    ) -> HookHandle:
        """Call hook(module, grad_output) once the outputs' gradients are complete.

        What it returns replaces them; see `register_full_backward_hook`.
        """
        return _add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(
        self, hook: Function, prepend: bool = False
    ) -> HookHandle:
        """Call hook(module, grad_input, grad_output) once the inputs' are complete.

        grad_input has one entry for each positional argument of forward: None where it
        requires no gradient, zeros where none arrived; grad_output likewise. A tuple that
        is returned replaces grad_input. Inputs and outputs become copies, which must not
        be changed in place. If no input requires a gradient, the hook runs when the
        outputs' are complete, with a warning.
        """
        return _add_hook(self._backward_hooks, hook, prepend)

    def _call_with_hooks(self, args: Any, kwargs: dict[str, Any]) -> Any:
        waiting, output = list(self._forward_hooks.values()), None
        hooked = self._backward_hooks or self._backward_pre_hooks
        backward = BackwardCall(self) if hooked else None
        try:
            for hook in list(self._forward_pre_hooks.values()):
                args, kwargs = _prepared(self, hook, args, kwargs)
            if backward is not None:
                args = backward.watch_inputs(args)
            output = self.forward(*args, **kwargs)
            while waiting:
                output = _followed(self, waiting.pop(0), args, kwargs, output)
            return output if backward is None else backward.watch_output(output)
        except Exception:
            for hook in waiting:
                if hook.always_call:
                    _followed_failure(self, hook, args, kwargs, output)
            raise


def _add_hook(hooks: OrderedDict[int, Any], entry: Any, prepend: bool) -> HookHandle:
    handle = HookHandle(hooks, entry)
    if prepend:
        hooks.move_to_end(handle.key, last=False)
    return handle


def _prepared(module: Any, hook: ForwardHook, args: Any, kwargs: Any) -> Any:
    if hook.with_kwargs:
        both = hook.function(module, args, kwargs)
        if both is not None and not (isinstance(both, tuple) and len(both) == 2):
            raise DTypeError(
                "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                f"but got {both}."
            )
        return (args, kwargs) if both is None else both
    new = hook.function(module, args)
    if new is None:
        return args, kwargs
    return (new if isinstance(new, tuple) else (new,)), kwargs


def _followed(
    module: Any, hook: ForwardHook, args: Any, kwargs: Any, output: Any
) -> Any:
    given = (args, kwargs, output) if hook.with_kwargs else (args, output)
    new = hook.function(module, *given)
    return output if new is None else new


def _followed_failure(module: Any, hook: ForwardHook, *given: Any) -> None:
    try:
        _followed(module, hook, *given)
    except Exception as error:
        warnings.warn(
            "module forward hook with ``always_call=True`` raised an exception that was "
            f"silenced as another error was raised in forward: {error}"
        )


class BackwardCall:
    """One call of a module as its backward hooks see it: outputs first, then inputs."""

    def __init__(self, module: Hooked) -> None:
        self.module = module
        self.pre_hooks = list(module._backward_pre_hooks.values())
        self.hooks = list(module._backward_hooks.values())
        self.grad_output: Any = None

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, behind a node that waits for all their gradients."""
        copies = gate(args, self._inputs_done)
        self.no_inputs = (None,) * len(args) if copies is args else None
        return copies

    def watch_output(self, output: Any) -> Any:
        """The result, likewise."""
        if isinstance(output, tuple):
            return gate(output, self._outputs_done)
        return gate((output,), self._outputs_done)[0]

    def _outputs_done(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.pre_hooks:
            new = hook(self.module, grads)
            grads = _replace_gradients(new, grads, "pre hook", "grad_output")
        if self.no_inputs is None:
            self.grad_output = grads
        elif self.hooks:
            self._run_without_inputs(grads)
        return grads

    def _run_without_inputs(self, grads: Any) -> None:
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to "
            "module outputs since no inputs require gradients."
        )
        for hook in self.hooks:
            new = hook(self.module, self.no_inputs, grads)
            if any(g is not None for g in new or ()):
                raise AutogradError(
                    "Backward hook for Modules where no input requires gradient should "
                    "always return None or None for all gradients."
                )

    def _inputs_done(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_output is None:
            return grads  # they came by another way than through the outputs
        for hook in self.hooks:
            new = hook(self.module, grads, self.grad_output)
            grads = _replace_gradients(new, grads, "hook", "grad_input")
        self.grad_output = None
        return grads


def _replace_gradients(
    new: Any, grads: tuple[Any, ...], hook: str, what: str
) -> tuple[Any, ...]:
    if new is None:
        return grads
    new = (new,) if isinstance(new, Tensor) else tuple(new)
    if len(new) != len(grads):
        raise AutogradError(
            f"Backward {hook} returned an invalid number of {what}, got {len(new)}, "
            f"but expected {len(grads)}"
        )
    return new


def gate(values: tuple[Any, ...], hook: Function) -> tuple[Any, ...]:
    """The values, those that require a gradient behind one node where these meet.

    The node is their concatenation: its gradient is complete when theirs are. `hook` gets
    them as a tuple, None elsewhere, and returns those to go on with.
    """
    tensors = [(i, v) for i, v in enumerate(values) if isinstance(v, Tensor)]
    watch = [i for i, v in tensors if v.requires_grad and is_grad_enabled()]
    if not watch:
        return values
    shapes = [values[i].shape for i in watch]
    dtypes = [values[i].dtype for i in watch]

    def put(joint: Tensor, into: list[Any]) -> list[Any]:
        pieces = joint.split([math.prod(shape) for shape in shapes])
        for i, piece, shape, dtype in zip(watch, pieces, shapes, dtypes, strict=True):
            into[i] = piece.reshape(shape).to(dtype)
        return into

    def on_gradient(g: Tensor) -> Tensor:
        new = hook(tuple(put(g, [None] * n)))
        kept = [
            zeros(shape, dtype=g.dtype) if new[i] is None else new[i]
            for i, shape in zip(watch, shapes, strict=True)
        ]
        if [piece.shape for piece in kept] != shapes:
            raise ShapeError(
                f"a backward hook has changed the size of value: {shapes} came, "
                f"{[piece.shape for piece in kept]} was returned"
            )
        return cat([piece.reshape(-1) for piece in kept]).to(g.dtype)

    joint, n = cat([values[i].reshape(-1) for i in watch]), len(values)
    joint.register_hook(on_gradient)
    copies = put(joint, list(values))
    return type(values)(*copies) if hasattr(values, "_fields") else tuple(copies)
