"""Modules that hold others: in a row, in a list, by name."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, MutableMapping
from itertools import groupby
from typing import Any, Self

from ..core.engine import Tensor
from ..errors import ArgumentError, DTypeError, IndexingError
from .module import Module, format_items
from .parameter import Parameter


class _Row(Module):
    """A module used as a Python list of what is in one of its stores."""

    @property
    def _items(self) -> dict[str, Any]:
        return self._modules

    def _add(self, name: str, item: Any) -> None:
        self.add_module(name, item)

    def _name_at(self, index: Any) -> str:
        try:
            return list(self._items)[operator.index(index)]
        except IndexError:
            raise IndexingError(f"index {index} is out of range") from None

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])  # type: ignore[call-arg]
        return self._items[self._name_at(index)]

    def __setitem__(self, index: Any, item: Any) -> None:
        self._add(self._name_at(index), item)

    def __delitem__(self, index: Any) -> None:
        names = list(self._items)
        for name in (
            names[index] if isinstance(index, slice) else [self._name_at(index)]
        ):
            delattr(self, name)
        self._replace_all(list(self))

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items.values())

    def __iadd__(self, items: Iterable[Any]) -> Self:
        return self.extend(items)

    def _replace_all(self, items: list[Any]) -> None:
        for name in list(self._items):
            delattr(self, name)
        self.extend(items)

    def append(self, item: Any) -> Self:
        """Add an item at the end; return self."""
        self._add(str(len(self)), item)
        return self

    def extend(self, items: Iterable[Any]) -> Self:
        """Add several items at the end; return self."""
        for item in list(items):
            self.append(item)
        return self

    def insert(self, index: int, item: Any) -> Self:
        """Add an item before position `index`, renumbering what follows; return self."""
        if not -len(self) <= index <= len(self):
            raise IndexingError(f"Index out of range: {index}")
        items = list(self)
        items.insert(index, item)
        self._replace_all(items)
        return self

    def pop(self, index: Any) -> Any:
        """Remove the item at `index`, or a slice of them, and return it."""
        item = self[index]
        del self[index]
        return item


class Sequential(_Row):
    """Modules one after the other, each called with the result of the one before.

    Sequential(*modules) numbers them; Sequential(OrderedDict) keeps the given names. A
    slice is a Sequential of the same modules.
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], OrderedDict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ArgumentError(
                "add operator supports only objects of Sequential class, but "
                f"{type(other)} is given."
            )
        return Sequential(*self, *other)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleList(_Row):
    """Modules in a list; a forward of the user's calls them. A slice is a ModuleList."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        lines, start = [], 0
        for block, same in groupby(map(repr, self)):
            n = len(list(same))
            place = f"({start}): " if n == 1 else f"({start}-{start + n - 1}): {n} x "
            lines.append(place + block)
            start += n
        return format_items(self._get_name(), lines)


class ParameterList(_Row):
    """Parameters in a list; a Tensor put in becomes a Parameter."""

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    @property
    def _items(self) -> dict[str, Any]:
        return self._parameters

    def _add(self, name: str, item: Any) -> None:
        if not isinstance(item, Tensor):
            raise DTypeError(
                f"a ParameterList holds Tensors, not {type(item).__name__}"
            )
        parameter = item if isinstance(item, Parameter) else Parameter(item)
        self.register_parameter(name, parameter)

    def extra_repr(self) -> str:
        sizes = ["x".join(map(str, p.shape)) for p in self]
        return "\n".join(
            f"  ({i}): Parameter containing: [{p.dtype} of size {size}]"
            for i, (p, size) in enumerate(zip(self, sizes, strict=True))
        )


class ModuleDict(Module, MutableMapping[str, Module]):
    """Modules under names, used as a Python dictionary in the order of insertion.

    modules: a mapping, or (name, module) pairs.
    """

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key: str) -> Module:
        module: Module = self._modules[key]
        return module

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)
