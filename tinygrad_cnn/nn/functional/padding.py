"""Padding of the last axes, with a constant or with what the input itself holds."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.engine import Tensor
from ...errors import ArgumentError, ShapeError
from ...kernels.geometry import several
from ...ops import resampling, shape

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(
    input: Tensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> Tensor:
    """Padding of the last axes: (left, right, top, bottom, …); negative numbers crop.

    mode: "constant" (with `value`, 0 unless given) for any axes; "reflect", "replicate" or
    "circular" for 1 to 3 axes of an input (N, C, …) or (C, …).
    """
    if len(pad) % 2 or len(pad) // 2 > input.ndim:
        raise ArgumentError(
            f"pad {tuple(pad)} does not give pairs for {input.ndim} axes"
        )
    sides = several(tuple(pad), len(pad), "pad")
    widths = list(zip(sides[::2], sides[1::2], strict=True))[::-1]
    first = input.ndim - len(widths)
    if mode == "constant":
        every = ((0, 0),) * first + tuple(widths)
        return shape.Pad(every, 0.0 if value is None else value)(input)
    if value:
        raise ArgumentError(f"padding mode {mode!r} takes no value, got {value}")
    if mode not in _MODES:
        raise ArgumentError(
            f"unknown padding mode {mode!r}; one of constant, {', '.join(_MODES)}"
        )
    if not (1 <= len(widths) <= 3 and 1 <= first <= 2):
        raise ShapeError(
            f"{mode} padding of {len(widths)} axes takes {len(widths) + 1} or "
            f"{len(widths) + 2} axes, got {list(input.shape)}"
        )
    if 0 in input.shape[1:] and mode != "circular":
        raise ShapeError(f"{mode} padding of {list(input.shape)}, which holds nothing")
    maps = []
    for axis, (before, after) in enumerate(widths, first):
        _check_room(mode, axis, input.shape[axis], before, after)
        maps.append(resampling.around(input.shape[axis], before, after, _MODES[mode]))
    # PyTorch composes circular padding, so that its gradient does not ask for one.
    op = resampling.Resample if mode == "circular" else resampling.PadWithin
    return op(tuple(maps), mode)(input)


def _check_room(mode: str, axis: int, length: int, before: int, after: int) -> None:
    room = length - (mode == "reflect")
    if max(before, after) > room and mode != "replicate":
        raise ArgumentError(
            f"{mode} padding {(before, after)} exceeds what axis {axis} of length "
            f"{length} allows"
        )
    least = 0 if mode == "circular" else 1
    if length + before + after < least:
        raise ShapeError(
            f"pad {(before, after)} crops more than axis {axis} of {length} has"
        )
