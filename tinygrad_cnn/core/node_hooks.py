"""Hooks of a record, as PyTorch's `grad_fn.register_hook` and `register_prehook`.

They stand among the hooks of the record's result. One that waits for the gradients of the
inputs does nothing there; the record changes its class, to one that runs it. So records
without such hooks know nothing of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import AutogradError, DTypeError
from ..ops.base import Value
from .methods.base import Base
from .methods.gradient import HookHandle, fitted
from .methods.memory import read_only

Function = Callable[..., Any]


def add_hook_before(record: Any, function: Function) -> HookHandle:
    """Call function((g,)) with the gradient of the result; what it returns replaces it."""

    def hook(g: Any) -> Any:
        found = function((g,))
        return None if found is None else _replacements(function, found, 1)[0]

    return HookHandle(record.hooks, hook)


def add_hook_after(
    record: Any, function: Function, wrap: Callable[[Any], Any]
) -> HookHandle:
    """Call function(inputs' gradients, (g,)); a tuple that it returns replaces the first.

    These are None where none is asked for. wrap: makes a Tensor of an array.
    """
    handle = HookHandle(record.hooks, AfterHook(function, wrap))
    kind: Any = type(record)
    if not hasattr(kind, "after_hooks"):
        record.__class__ = _hooked(kind)
    return handle


class AfterHook:
    """Waits among the hooks of a result for the gradients of the inputs."""

    def __init__(self, function: Function, wrap: Callable[[Any], Any]) -> None:
        self.function, self.wrap = function, wrap

    def __call__(self, g: Any) -> None:
        pass

    def run(self, record: Any, found: dict[int, Value], g: Value) -> dict[int, Value]:
        count = len(record.parents)
        given = tuple([self.tensor(found.get(i)) for i in range(count)])
        new = self.function(given, (self.tensor(g),))
        if new is None:
            return found
        replaced = dict.fromkeys(found)
        for i, d in enumerate(_replacements(self.function, new, count)):
            if i in found and d is not None:
                parent = record.parents[i]
                fitted(d, parent.shape, parent.dtype, "the result of the hook")
                replaced[i] = d if isinstance(g, Base) else d._array
        return replaced

    def tensor(self, g: Value) -> Any:
        return g if g is None or isinstance(g, Base) else self.wrap(read_only(g))


@functools.cache
def _hooked(kind: Any) -> Any:
    """The class of records that run such hooks on what their rules make."""

    class Hooked(kind):  # type: ignore[misc]
        __slots__ = ()

        @property
        def after_hooks(self) -> list[AfterHook]:
            return [h for h in self.hooks.values() if isinstance(h, AfterHook)]

        def gradients(
            self, asked: tuple[int, ...], g: Value, create_graph: bool
        ) -> Iterator[tuple[int, Value | None]]:
            found = dict(super().gradients(asked, g, create_graph))
            for hook in self.after_hooks:
                found = hook.run(self, found, g)
            yield from found.items()

    Hooked.__name__ = kind.__name__
    return Hooked


def _replacements(function: Function, found: Any, count: int) -> tuple[Any, ...]:
    if not isinstance(found, tuple):
        raise DTypeError(f"expected tuple, but hook returned '{type(found).__name__}'")
    if len(found) != count:
        raise AutogradError(
            f"hook '{getattr(function, '__name__', function)}' has returned an incorrect "
            f"number of values (got {len(found)}, but expected {count})"
        )
    return found
