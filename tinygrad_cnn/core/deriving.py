"""Arrays that are made beside the operations, which a plan has to make anew each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .engine import Tensor
from .generator import default_generator
from .recording import effects

Arrays = tuple[Any, ...]


def derived(make: Callable[..., Arrays], *inputs: Any) -> Arrays:
    """make(*inputs): arrays that depend on nothing but these and the generator's draws.

    While a step is traced, the generator stays where it was, so that a draw that is not
    announced is noticed: the replays make the arrays anew, and draw then.
    """
    note = effects.get()
    if note is None:
        return make(*inputs)
    bits = default_generator.numpy.bit_generator
    before = bits.state
    arrays = make(*inputs)
    bits.state = before

    def remake(*given: Any) -> None:
        found = make(*given[len(arrays) :])
        for array, values in zip(arrays, found, strict=True):
            array[...] = values

    note(remake, tuple(map(Tensor._wrap, arrays)), inputs)
    return arrays
