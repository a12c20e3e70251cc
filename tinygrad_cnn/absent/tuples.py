"""`torch.nn.modules.utils`: a number as as many of it as there are axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    def repeated(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else (x,) * n

    repeated.__name__ = name
    return repeated


_single, _pair = _ntuple(1), _ntuple(2)
_triple, _quadruple = _ntuple(3), _ntuple(4)


def _reverse_repeat_tuple(t: Iterable[Any], n: int) -> tuple[Any, ...]:
    return tuple([x for x in reversed(tuple(t)) for _ in range(n)])
