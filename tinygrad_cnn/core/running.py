"""Run something, and leave everything as it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from operator import is_
from typing import Any, Protocol

import numpy as np

from .engine import Tensor
from .generator import Generator, default_generator

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

    That is, of each module: its class (a lazy layer becomes another), its attributes
    (`training` is one), which parameters and buffers it has, the values of its buffers,
    `.grad` and `requires_grad`; and the state of the random generators: this package's,
    NumPy's, Python's, and those that are attributes of a module. Values are put back in
    place, for others may share the memory, and count as never changed. In the block a
    parameter without a shape is another object, which may get one there. What the models
    return is left alone.

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
    put_back = [_classes(modules), _stores(stores), _tensors(list(tensors), uncopied)]
    _replace_uninitialized(modules)
    return put_back + list(_generators(held)) if draws else put_back


# One function for all of a kind: verification comes here at every evaluation.


def _classes(modules: Iterable[Any]) -> PutBack:
    before = [(module, type(module)) for module in modules]

    def put_back() -> str:
        changed = [(m, kind) for m, kind in before if type(m) is not kind]
        for module, kind in changed:
            module.__class__ = kind
        return REPLACED if changed else ""

    return put_back


def _replace_uninitialized(modules: Iterable[Any]) -> None:
    """By copies: what is recorded in the block needs a shape after it, too."""
    copies: dict[Tensor, Tensor] = {}
    for module in modules:
        for name, p in module._parameters.items():
            if hasattr(type(p), "materialize"):
                module._parameters[name] = copies.setdefault(p, copy(p))


def _stores(stores: list[dict[str, Any]]) -> PutBack:
    before = [(store, dict(store)) for store in stores]

    def put_back() -> str:
        change = ""
        for store, held in before:
            if "_path_cache" in store:  # which a module works out for itself
                held["_path_cache"] = store["_path_cache"]
            same = all(map(is_, store.values(), held.values()))
            if not same or store.keys() != held.keys():
                store.clear()
                store.update(held)
                change = ATTRIBUTE
        return change

    return put_back


def _tensors(tensors: list[Tensor], uncopied: set[Tensor]) -> PutBack:
    before = []
    for t in tensors:
        values = None if t in uncopied else t._array.copy()
        held = t._array, t._version, t._grad, t._record, t._requires_grad
        before.append((t, held, values, t._version.count))

    def put_back() -> str:
        change = ""
        for t, held, values, count in before:
            now = t._array, t._version, t._grad, t._record, t._requires_grad
            if not all(map(is_, now, held)):
                t._array, t._version, t._grad, t._record, t._requires_grad = held
                change = REPLACED
            if values is not None and t._version.count != count:
                t._array[...] = values
                t._version.count = count
        return change

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
