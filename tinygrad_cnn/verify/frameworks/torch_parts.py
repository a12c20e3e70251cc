"""Which modules and autograd Functions a run applies, each with its real inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..targets import named_inputs
from .base import Part, mapped
from .torch_runs import fresh, is_differentiable, is_function, signature_of
from .torch_subject import TorchSubject

LEAF, CONTAINER, LIBRARY = range(3)
"""In which order they are checked; PyTorch's own are the last to be suspected."""


class Call(NamedTuple):
    """A module or Function, and what it was called with."""

    target: Any
    module: str
    arguments: dict[str, Any]
    by_name: set[str]
    asked: set[str]
    """The arguments that required a gradient; those nested in one by their path."""

    @property
    def rank(self) -> int:
        """LEAF, CONTAINER or LIBRARY."""
        if is_function(self.target):
            return LEAF
        own = not type(self.target).__module__.startswith("torch.")
        if not own and not self.target._backward_hooks:
            return LIBRARY
        return CONTAINER if any(self.target.children()) else LEAF


def parts_of(whole: TorchSubject) -> Iterator[Part]:
    """The parts of a run: what has no parts itself, then the rest from the inside out."""
    for call in sorted(_calls(whole), key=lambda call: call.rank):
        target = call.target
        applied = is_function(target)
        name = target.__name__ if applied else type(target).__name__
        where = _place(target.backward if applied else target.forward)
        subject = _alone(whole, name, call)
        if subject is not None:
            yield Part(name, call.module, where, subject)


def _calls(whole: TorchSubject) -> list[Call]:
    """The calls of one run, in the order in which they end: inner ones first."""
    found: list[Call] = []
    inside: list[Call] = []

    def enter(name: str, module: Any, args: Sequence[Any], kwargs: Any) -> None:
        inside.append(_call(module, name, args, kwargs))

    def leave(module: Any, args: Any, result: Any) -> None:
        found.append(inside.pop())

    def apply(function: Any, args: Sequence[Any]) -> None:
        found.append(_call(function, inside[-1].module if inside else "", args, {}))

    with ExitStack() as stack:
        for function in _functions_behind(whole.outputs()):
            stack.enter_context(_watched(function, apply))
        for name, m in whole.module.named_modules() if whole.module else ():
            if name:
                before = m.register_forward_pre_hook(
                    partial(enter, name), prepend=True, with_kwargs=True
                )
                after = m.register_forward_hook(leave)
                stack.callback(before.remove)
                stack.callback(after.remove)
        whole.outputs()
    return found


def _call(target: Any, module: str, args: Sequence[Any], kwargs: Any) -> Call:
    signed = signature_of(target) if is_function(target) else target.forward
    arguments = named_inputs(signed, tuple(args)) | kwargs
    asked: set[str] = set()

    def take(key: str, x: Any) -> Any:
        if is_differentiable(x) and x.requires_grad:
            asked.add(key)
        # later layers may change it in place
        return x.detach().clone() if isinstance(x, torch.Tensor) else x

    taken = {key: mapped(take, x, key) for key, x in arguments.items()}
    return Call(target, module, taken, set(kwargs), asked)


def _alone(whole: TorchSubject, name: str, call: Call) -> TorchSubject | None:
    """The check of one call alone; None if there is nothing to check, or it fails alone."""
    leaves: dict[str, Any] = {}
    parameters = (
        {} if is_function(call.target) else dict(call.target.named_parameters())
    )

    def take(key: str, x: Any) -> Any:
        if key in call.asked:
            x = x.contiguous().requires_grad_()
            leaves[f"input {key}" if key in parameters else key] = x
        return x

    taken = {key: mapped(take, x, key) for key, x in call.arguments.items()}
    apply = call.target.apply if is_function(call.target) else call.target

    def function() -> Any:
        given = mapped(fresh, taken)
        named = {key: given.pop(key) for key in call.by_name}
        return apply(*given.values(), **named)

    leaves |= {key: p for key, p in parameters.items() if p.requires_grad}
    modules = [] if is_function(call.target) else [call.target]
    around = whole.surroundings.of(*modules)
    subject = TorchSubject(name, function, leaves, around)
    try:
        subject.choose_outputs()
    except (RuntimeError, TypeError):
        return None
    return subject if leaves else None


def _functions_behind(outputs: Sequence[Any]) -> list[Any]:
    """The classes of autograd Functions in the graph of these outputs."""
    found: dict[Any, None] = {}
    ahead = [y.grad_fn for y in outputs if y.grad_fn is not None]
    seen = set(ahead)
    while ahead:
        node = ahead.pop()
        function = getattr(node, "_forward_cls", None)
        if function is not None:
            found[function] = None
        parents = {parent for parent, _ in node.next_functions if parent} - seen
        seen |= parents
        ahead += parents
    return list(found)


@contextmanager
def _watched(
    function: Any, observe: Callable[[Any, Sequence[Any]], None]
) -> Iterator[None]:
    """In the block `observe` is told what this Function is applied to."""
    own = vars(function).get("forward")
    inner = function.forward
    skipped = signature_of(function) is not inner

    @wraps(inner)
    def forward(*args: Any) -> Any:
        observe(function, args[skipped:])
        return inner(*args)

    function.forward = staticmethod(forward)
    try:
        yield
    finally:
        if own is None:
            del function.forward
        else:
            function.forward = own


def _place(function: Any) -> str:
    """The file and line where a function begins; "" for one that is not of Python."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code else ""
