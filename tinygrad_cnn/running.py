"""Run something, and leave everything as it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import numpy as np

from .engine import Tensor
from .random import Generator, default_generator

ATTRIBUTE = "it sets an attribute of a module"
REPLACED = "it replaces values or a gradient"
DRAWN = "it draws random numbers"

PutBack = Callable[[], str]
"""Puts one thing back as it was; returns what had been done to it, or ""."""


class Model(Protocol):
    """A `nn.Module`, as far as it is of interest here."""

    def modules(self) -> Iterator[Any]: ...


@contextmanager
def unchanged(
    *models: Model, parameters: bool = False, draws: bool = True
) -> Iterator[list[str]]:
    """Put back, at the end of the block, what running these models changes.

    That is, of each module: its attributes (`training` is one), which parameters and
    buffers it has, the values of its buffers, `.grad` and `requires_grad`; and the state of
    the random generators: this package's, NumPy's, Python's, and those that are attributes
    of a module. Values are put back in place, for others may share the memory, and count
    as never changed. What the models return is left alone.

    parameters: also the values of parameters and of `.grad`, which takes a copy of them.
    draws: False leaves the random generators out, to save time where none is used.
    Gives a list, empty until the end, that then says what had been changed.
    """
    put_back = _snapshot(models, parameters, draws)
    changes: list[str] = []
    try:
        yield changes
    finally:
        found = [undo() for undo in put_back]
        changes += dict.fromkeys([change for change in found if change])


def _snapshot(
    models: tuple[Model, ...], parameters: bool, draws: bool
) -> list[PutBack]:
    modules = dict.fromkeys([m for model in models for m in model.modules()])
    stores = [s for m in modules for s in (vars(m), m._parameters, m._buffers)]
    held = [value for store in stores for value in store.values()]
    tensors = dict.fromkeys([value for value in held if isinstance(value, Tensor)])
    if parameters:
        tensors |= dict.fromkeys([t._grad for t in tensors if t._grad is not None])
        uncopied = set()
    else:
        uncopied = {p for module in modules for p in module._parameters.values()}
    return [
        *[_store(store) for store in stores],
        *[_tensor(t, t not in uncopied) for t in tensors],
        *(_generators(held) if draws else ()),
    ]


def _store(store: dict[str, Any]) -> PutBack:
    before = _members(store)

    def put_back() -> str:
        now = _members(store)
        if list(now) == list(before) and all(now[n] is v for n, v in before.items()):
            return ""
        store.clear()
        store.update(before)
        return ATTRIBUTE

    return put_back


def _members(store: dict[str, Any]) -> dict[str, Any]:
    """Without what a module works out for itself again."""
    return {name: value for name, value in store.items() if name != "_path_cache"}


def _tensor(t: Tensor, copied: bool) -> PutBack:
    array, version, count = t._array, t._version, t._version.count
    grad, record, asked = t._grad, t._record, t._requires_grad
    values = array.copy() if copied else None

    def put_back() -> str:
        kept = t._array is array and t._grad is grad and t._record is record
        kept = kept and t._requires_grad == asked
        t._array, t._version = array, version
        t._grad, t._record, t._requires_grad = grad, record, asked
        if values is not None and version.count != count:
            array[...] = values
            version.count = count
        return "" if kept else REPLACED

    return put_back


def _generators(held: list[Any]) -> Iterator[PutBack]:
    yield _state(random.getstate, random.setstate)
    yield _state(partial(np.random.get_state, legacy=False), np.random.set_state)
    for generator in (default_generator, *held):
        if isinstance(generator, Generator):
            own = vars(generator)  # the seed, and NumPy's generator that it draws from
            yield _state(own.copy, own.update)
            generator = generator.numpy
        if isinstance(generator, np.random.Generator):
            bits = generator.bit_generator
            yield _state(
                partial(getattr, bits, "state"), partial(setattr, bits, "state")
            )


def _state(get: Callable[[], Any], put: Callable[[Any], None]) -> PutBack:
    before = get()

    def put_back() -> str:
        if _same(get(), before):
            return ""
        put(before)
        return DRAWN

    return put_back


def _same(a: Any, b: Any) -> bool:
    """Whether two states, numbers and arrays in nested dicts, are equal."""
    if isinstance(a, dict):
        return all(_same(value, b[name]) for name, value in a.items())
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)
