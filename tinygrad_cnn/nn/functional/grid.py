"""Images read at the places of a grid: what a spatial transformer is made of."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence

import numpy as np

from ...core.engine import Tensor
from ...core.methods.base import Array, float_only, raw
from ...errors import ArgumentError, ShapeError
from ...ops.selection import Where
from ...ops.shape import Index


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Images (N, C, H, W) at the places of a grid (N, h, w, 2): (N, C, h, w).

    The last axis of the grid is (x, y) from −1, the left or upper border of the image, to
    1. mode: "bilinear" or "nearest"; padding_mode, for what is outside: "zeros" or
    "border". align_corners: ±1 are the centres of the corner pixels, not their outer edges.
    """
    for name, value, known in (
        ("mode", mode, ("bilinear", "nearest")),
        ("padding_mode", padding_mode, ("zeros", "border")),
    ):
        if value not in known:
            raise ArgumentError(f"{name} is one of {known} here, got {value!r}")
    if input.ndim != 4 or grid.ndim != 4 or grid.shape[3] != 2:
        raise ShapeError(
            "grid_sample takes images (N, C, H, W) and a grid (N, h, w, 2), got "
            f"{list(input.shape)} and {list(grid.shape)}"
        )
    if len(input) != len(grid) or 0 in input.shape[2:] or input.dtype != grid.dtype:
        raise ShapeError(
            "images and grid are as many, of one dtype, and images are not empty: got "
            f"{input.dtype} {list(input.shape)} and {grid.dtype} {list(grid.shape)}"
        )
    float_only(input, "grid_sample()")
    corners = _corners(align_corners, "grid_sample")
    x, y = (_pixels(grid[..., a], input.shape[3 - a], corners) for a in (0, 1))
    if padding_mode == "border":
        x, y = x.clamp(0, input.shape[3] - 1), y.clamp(0, input.shape[2] - 1)
    if mode == "nearest":
        column, row = x.round(), y.round()
        found = _read(input, raw(row), raw(column))
        # A function of the grid, too: with the derivative 0, as that of rounding.
        result: Tensor = Where()(True, found, (row + column).unsqueeze(1))
        return result
    left, upper = x.floor(), y.floor()
    right, lower = x - left, y - upper  # the shares of the pixels on these sides
    total: Tensor | None = None
    for i, j in itertools.product((0, 1), repeat=2):
        share = (lower if i else 1 - lower) * (right if j else 1 - right)
        part = _read(input, raw(upper) + i, raw(left) + j) * share.unsqueeze(1)
        total = part if total is None else total + part
    assert total is not None
    return total


def _corners(align_corners: bool | None, name: str) -> bool:
    if align_corners is None:
        warnings.warn(
            f"{name} takes align_corners=False unless told otherwise, since PyTorch 1.3; "
            "say which is meant",
            UserWarning,
            stacklevel=3,
        )
    return bool(align_corners)


def _pixels(place: Tensor, length: int, align_corners: bool) -> Tensor:
    """−1 … 1 as a number of pixels from the centre of the first."""
    if align_corners:
        return (place + 1) * ((length - 1) / 2)
    return ((place + 1) * length - 1) * 0.5


def _read(input: Tensor, rows: Array, columns: Array) -> Tensor:
    """input[n, :, row, column] as (N, C, h, w); 0 outside."""
    inside, key = np.ones((), np.bool_), []
    for at, length in ((rows, input.shape[2]), (columns, input.shape[3])):
        inside = inside & (at >= 0) & (at < length)
        key.append(np.nan_to_num(at).clip(0, length - 1).astype(np.int64))
    n = np.arange(len(input))[:, None, None]
    values: Tensor = Index((n, slice(None), *key))(input)
    found: Tensor = Where()(inside[:, None], values.permute(0, 3, 1, 2), 0.0)
    return found


def affine_grid(
    theta: Tensor, size: Sequence[int], align_corners: bool | None = None
) -> Tensor:
    """The grid for `grid_sample` that maps places (x, y, 1) of the result by theta.

    theta (N, 2, 3), size (N, C, H, W): a grid (N, H, W, 2); for volumes (N, 3, 4) and
    (N, C, D, H, W): (N, D, H, W, 3).
    """
    axes = len(size) - 2
    if axes not in (2, 3) or tuple(theta.shape) != (size[0], axes, axes + 1):
        raise ShapeError(
            "affine_grid takes theta (N, 2, 3) and a size (N, C, H, W), or (N, 3, 4) and "
            f"(N, C, D, H, W); got {list(theta.shape)} and {tuple(size)}"
        )
    if min(size) < 1:
        raise ArgumentError(f"expected a size above 0, got {tuple(size)}")
    float_only(theta, "affine_grid()")
    corners = _corners(align_corners, "affine_grid")
    lines = []
    for n in size[2:]:
        line = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        lines.append(line if corners else line * (n - 1) / n)
    places = np.meshgrid(*lines, indexing="ij")[::-1]
    base = np.stack([*places, np.ones(places[0].shape)], -1).astype(theta.dtype)
    flat = Tensor._wrap(base.reshape(1, -1, axes + 1))
    return (flat @ theta.transpose(1, 2)).reshape(size[0], *size[2:], axes)
