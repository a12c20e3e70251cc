"""Where windows lie: pairs, output sizes, and what does not fit. Integers only.

Along one axis of n values a window of k taps, d apart, is laid at every s-th position of
the input padded by p on both sides. It spans e = d (k − 1) + 1 values, and there are
⌊(n + 2p − e) / s⌋ + 1 positions (`numpy-cnn` eq. 7, with its sign corrected; §2.2.3–2.2.4).
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError, DTypeError, ShapeError

Pair = tuple[int, int]


def pair(value: Any, name: str) -> Pair:
    """(vertical, horizontal) from one integer for both, or from two."""
    both: Any = several(value, 2, name)
    return both


def several(value: Any, count: int, name: str) -> tuple[int, ...]:
    """One integer for each of `count` axes, from as many or from one for all."""
    if type(value) is int:
        return (value,) * count
    if type(value) is tuple and [type(v) for v in value] == [int] * count:
        return value
    values = value if isinstance(value, tuple | list) else (value,)
    try:
        ints = [operator.index(v) for v in values if not isinstance(v, bool)]
    except TypeError:
        ints = []
    if len(ints) != len(values) or len(ints) not in (1, count):
        most = {1: "an int", 2: "an int or a pair of ints"}
        kind = most.get(count, f"an int or {count} ints")
        raise DTypeError(f"{name} must be {kind}, got {value!r}")
    return tuple(ints * count if len(ints) == 1 else ints)


@dataclass(frozen=True)
class Window:
    """A k_y × k_x window, its stride, padding and dilation, each (vertical, horizontal).

    Raises ArgumentError for a size, stride or dilation below 1 or a padding below 0.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        limits = {"kernel": 1, "stride": 1, "dilation": 1, "padding": 0}
        for name, least in limits.items():
            value = getattr(self, name)
            if min(value) < least:
                raise ArgumentError(f"{name} must be at least {least}, got {value}")

    @property
    def extent(self) -> Pair:
        """How many values the window spans, its gaps included."""
        (ky, kx), (dy, dx) = self.kernel, self.dilation
        return dy * (ky - 1) + 1, dx * (kx - 1) + 1

    # Asked for at each call of a layer; the windows that are kept are small (B019).
    @functools.lru_cache(maxsize=1024)  # noqa: B019
    def output_size(self, size: Pair, ceil_mode: bool = False) -> Pair:
        """How many positions fit an input of this size; ShapeError if none does.

        ceil_mode counts a last window that overhangs, if it starts inside the input or
        its left padding.
        """
        oy, ox = (self._positions(n, axis, ceil_mode) for axis, n in enumerate(size))
        if oy < 1 or ox < 1:
            (hy, hx), (ey, ex), (py, px) = size, self.extent, self.padding
            raise ShapeError(
                f"the window spans {ey}×{ex}, more than the input of {hy}×{hx} "
                f"padded to {hy + 2 * py}×{hx + 2 * px}: use a smaller kernel, "
                "or more padding"
            )
        return oy, ox

    def _positions(self, n: int, axis: int, ceil_mode: bool) -> int:
        s, p = self.stride[axis], self.padding[axis]
        room = n + 2 * p - self.extent[axis]
        positions = room // s + 1
        if ceil_mode and room % s and positions * s < n + p:
            positions += 1
        return positions

    @functools.lru_cache(maxsize=1024)  # noqa: B019
    def overhang(self, size: Pair, positions: Pair) -> Pair:
        """How far the last windows reach beyond the padded input (0 without ceil_mode)."""
        (i, j), (ey, ex), (sy, sx) = positions, self.extent, self.stride
        (h, w), (py, px) = size, self.padding
        below, right = (i - 1) * sy + ey - h - 2 * py, (j - 1) * sx + ex - w - 2 * px
        return max(below, 0), max(right, 0)
