"""What the engine notes beside values: whether to record, which module, which line."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar, copy_context
from types import CodeType
from typing import Any, Self, TypeVar

import numpy as np

from ..errors import (
    ArgumentError,
    DTypeError,
    IndexingError,
    OutOfMemoryError,
    ShapeError,
    TinygradError,
)
from ..ops.base import Memo, Op, Value

grad_enabled: ContextVar[bool] = ContextVar("grad_enabled", default=True)
backward_observer: ContextVar[Any] = ContextVar("backward_observer", default=None)
"""The `engine.BackwardObserver` of walks back that have none of their own."""
flat_slopes: ContextVar[bool] = ContextVar("flat_slopes", default=True)
"""Whether recorded gradients get what a `flat_slope` asks for; in a drawing they do not."""
module_path: ContextVar[str] = ContextVar("module_path", default="")
"""Dotted path of the module whose forward is running; set by `nn.Module`."""
observer: ContextVar[Callable[[Op, list[Value], Value, list[Value]], None] | None]
observer = ContextVar("observer", default=None)
"""Called with (operation, input arrays, result, kept values) of whatever is applied."""
reader: ContextVar[Callable[[str], None] | None] = ContextVar("reader", default=None)
"""Called with a sentence when Python reads or changes the values of a Tensor."""
effects: ContextVar[Callable[..., None] | None] = ContextVar("effects", default=None)
"""Called with (function, Tensors, other arguments) of whatever `change` does."""

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def told_reader(how: str) -> None:
    """Tell whoever wants to know that values leave the Tensors."""
    if (tell := reader.get()) is not None:
        tell(f"Python reads values of a Tensor, by {how}")


class Quiet(threading.local):
    """`quiet.run(f, *x)` calls f with NumPy's floating-point warnings off.

    inf and NaN are results like any other, as in PyTorch. A prepared context costs a
    tenth of entering `numpy.errstate` each time.
    """

    def __init__(self) -> None:
        with np.errstate(all="ignore"):
            self.run = copy_context().run


quiet = Quiet()


_ours = Memo(lambda filename: filename.startswith(_PACKAGE))


class Where:
    """A line of the user's code; the text is worked out only when somebody asks.

    inside: how many frames are known to be the package's own; looking at one takes time.
    """

    __slots__ = ("code", "position")

    def __init__(self, inside: int = 0) -> None:
        frame = sys._getframe(inside + 1)
        while _ours[frame.f_code.co_filename] and (outer := frame.f_back):
            frame = outer
        self.code: CodeType = frame.f_code
        self.position = frame.f_lasti

    def __str__(self) -> str:
        spans = self.code.co_lines()
        lines = (n for start, end, n in spans if start <= self.position < end)
        return f"{self.code.co_filename}:{next(lines, '?')}"


class Version:
    """How often a piece of memory was changed in place, and by which line last.

    Tensors that share memory share their Version.
    """

    # In the class, so that making one (each result has it) sets nothing.
    count = 0
    viewed = False
    owner: Any = None
    """The array that the first view was taken of."""
    innermost = False
    """Whether the order in memory is the kernels' own, with the batch innermost."""
    torn = False
    """Whether a copy was made where PyTorch may have a view."""
    where: Where | None = None


def change(
    function: Callable[..., None], tensors: tuple[Any, ...], *others: Value
) -> None:
    """function(*arrays, *others), which changes the arrays of these Tensors in place."""
    function(*[t._array for t in tensors], *others)
    note = effects.get()
    for t in tensors:
        if note is None:
            t.mark_changed()
        else:
            t._version.count += 1
    if note is not None:
        note(function, tensors, others)


@contextmanager
def setting(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """Give one of the variables above a value while the block runs."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread (or task)."""
    return grad_enabled.get()


class no_grad(ContextDecorator):
    """Record nothing: `with no_grad():`, `@no_grad()` or `@no_grad`. Per thread; nests."""

    mode = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        self.before: list[bool] = []

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
                return (yield from Steps(function(*args, **kwargs), self._recreate_cm))

            return run  # type: ignore[return-value]
        if inspect.iscoroutinefunction(function):
            raise ArgumentError(
                f"@{type(self).__name__}() would end before the coroutine "
                f"{function.__qualname__} runs; use a with block inside it"
            )
        return super().__call__(function)

    def _recreate_cm(self) -> Self:
        return type(self)()

    def __enter__(self) -> None:
        self.before.append(grad_enabled.get())
        grad_enabled.set(self.mode)

    def __exit__(self, *error: Any) -> None:
        grad_enabled.set(self.before.pop())


class Steps(Generator[Any, Any, Any]):
    """A generator, each of whose steps runs in a block of its own.

    So the block does not hold for the code that takes the values.
    """

    def __init__(
        self, steps: Generator[Any, Any, Any], block: Callable[[], Any]
    ) -> None:
        self.steps, self.block = steps, block

    def send(self, value: Any) -> Any:
        with self.block():
            return self.steps.send(value)

    def throw(self, *error: Any) -> Any:
        with self.block():
            return self.steps.throw(*error)


class enable_grad(no_grad):
    """Record again inside `no_grad`: `with enable_grad():` or `@enable_grad()`."""

    mode = True


class set_grad_enabled(no_grad):
    """Record operations or not: at once when called, until the end of a `with` block."""

    def __new__(cls, mode: bool) -> Self:
        return object.__new__(cls)

    def __init__(self, mode: bool) -> None:
        self.mode, self.outside = bool(mode), grad_enabled.get()
        grad_enabled.set(self.mode)

    def __call__(self, function: F) -> F:
        grad_enabled.set(self.outside)  # a decorator holds while the function runs
        return super().__call__(function)

    def _recreate_cm(self) -> Self:
        return type(self)(self.mode)

    def __enter__(self) -> None:
        grad_enabled.set(self.mode)

    def __exit__(self, *error: Any) -> None:
        grad_enabled.set(self.outside)


class inference_mode(no_grad):
    """Record nothing, as `no_grad`; mode=False records again, as `enable_grad`.

    What is computed within is an ordinary Tensor, which PyTorch would not let take part in
    what is recorded later.
    """

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else object.__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = not mode

    def _recreate_cm(self) -> Self:
        return type(self)(not self.mode)


def explained(
    op: Op | str, inputs: tuple[Value, ...], error: Exception
) -> TinygradError:
    """The error of a forward, with the operation, its operands and the user's line."""
    described = []
    for i, x in enumerate(inputs):
        kind = f"{x.dtype}{list(x.shape)}" if hasattr(x, "dtype") else repr(x)
        name = f"{op.input_name(i)}: " if isinstance(op, Op) else ""
        described.append(name + kind)
    inside = f" in {module_path.get()}" if module_path.get() else ""
    text = f"{error}\n  {op} of {', '.join(described)}{inside}\n  at {Where()}"
    if isinstance(error, TinygradError):
        return type(error)(text)
    kinds = {
        IndexError: IndexingError,
        TypeError: DTypeError,
        OverflowError: DTypeError,
    }
    if isinstance(error, MemoryError):
        return OutOfMemoryError(text)
    return kinds.get(type(error), ShapeError)(text)
