"""What a constant factor may stand for: sizes of the shapes at hand, and their inverses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

Shape = tuple[int, ...]


def meaning(
    factor: float, output: Shape, tensor: Shape, others: Sequence[Shape]
) -> str:
    """The factor as a number, and which sizes it equals: "0.111 = 1 / 9 (kernel cells)"."""
    found: dict[str, None] = {}
    ratio = ""
    for size, name in _sizes(output, tensor, others):
        for text, value in ((f"{size}", size), (f"1 / {size}", 1 / size)):
            if size > 1 and math.isclose(abs(factor), value, rel_tol=1e-6):
                found[name] = None
                ratio = text
    sign = "−" if factor < 0 else ""
    number = f"{sign}{ratio}" if ratio else f"{factor:.6g}"
    return f"{number} ({' or '.join(list(found)[:3])})" if found else number


def _sizes(
    output: Shape, tensor: Shape, others: Sequence[Shape]
) -> Iterator[tuple[int, str]]:
    yield 2, "2, as for a square, or for a value that is used twice"
    for shape in (tensor, *others):
        if len(shape) == 4:
            yield shape[2] * shape[3], "kernel cells"
            yield shape[1] * shape[2] * shape[3], "input channels × kernel cells"
            yield shape[1], "input channels"
            yield shape[0], "batch size or number of filters"
        if len(shape) == 3:
            yield shape[1] * shape[2], "kernel cells"
            yield shape[0], "input channels"
            yield math.prod(shape), "input channels × kernel cells"
        if len(shape) == 2:
            yield shape[0] * shape[1], "kernel cells, or all entries"
            yield shape[0], "batch size"
            yield shape[1], "features"
        if len(shape) == 1:
            yield shape[0], "number of entries"
    if output:
        yield output[0], "batch size"
        yield math.prod(output), "number of outputs"
    if len(output) > 1:
        yield output[1], "output channels or features"
    if len(output) > 2:
        yield math.prod(output[-2:]), "output positions"
        yield output[0] * math.prod(output[-2:]), "images × output positions"
    yield math.prod(tensor), "number of entries"
