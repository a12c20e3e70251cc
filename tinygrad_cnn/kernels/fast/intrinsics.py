"""The tiles as functions that kernels call, by way of Numba's `intrinsic`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite.ir import IRBuilder as Builder
from llvmlite.ir import Value
from numba import types
from numba.extending import intrinsic
from numba.types import Type

from . import tiles
from .processor import registers

Definition = tuple[Any, Callable[..., Value]]
"""Of an intrinsic: its signature, and the function that writes its instructions."""


def _code(context: Any, build: Builder, array: Type) -> tiles.Code:
    number = context.get_value_type(array.dtype)
    return tiles.Code(build, number, registers().vector)


def _pointer(context: Any, build: Builder, kind: Type, array: Value) -> Value:
    return context.make_array(kind)(context, build, array).data


def _unpacked(build: Builder, values: Value) -> list[Value]:
    return [build.extract_value(values, i) for i in range(len(values.type))]


@intrinsic
def outer_rows(_: Any, rows: Type, source: Type, target: Type) -> Definition:
    """Write y[y_start + y_row · r + p], p < length, for `rows` rows r from r0 on.

    source: w, w_start, w_row (the distance of its rows), x, x_start, taps, the first and
    the last of them, bias, floor; taps are flat pairs (offset in x, offset in w).
    target: y, y_start, y_row, r0, the height of y, length. Rows beyond the height are left
    out. `processor.registers().outer` has the numbers of rows.
    """
    w, _, _, x, _, taps, _, _, bias, _ = source
    y = target[0]
    signature = types.void(rows, source, target)

    def write(context: Any, build: Builder, signature: Any, arguments: Any) -> Value:
        w_, w0, w_row, x_, x0, taps_, t0, t1, bias_, low = _unpacked(
            build, arguments[1]
        )
        y_, y0, y_row, r0, top, length = _unpacked(build, arguments[2])
        at = [(w, w_, w0), (x, x_, x0), (y, y_, y0)]
        places = [
            build.gep(_pointer(context, build, kind, array), [start])
            for kind, array, start in at
        ]
        of = tiles.Outer(
            w=places[0],
            w_row=w_row,
            x=places[1],
            taps=_pointer(context, build, taps, taps_),
            first_tap=t0,
            last_tap=t1,
            bias=_pointer(context, build, bias, bias_),
            floor=low,
            y=places[2],
            y_row=y_row,
            r0=r0,
            height=top,
            length=length,
        )
        tiles.write_outer(_code(context, build, x), registers(), arguments[0], of)
        return context.get_dummy_value()

    return signature, write


@intrinsic
def inner_tile(
    _: Any, left: Type, right: Type, runs: Type, part: Type, sums: Type, at: Type
) -> Definition:
    """sums[at + r · columns + c] += Σ over runs and their values of g[…] · x[…], by lanes.

    left: g, an array of the offset of each row, and the number of a row, from which on the
    tile has its rows; right: x and its columns in the same way. runs: flat triples
    (position in g, position in x, how many follow). part: the first run, the last, how many
    values of a position are summed, and how far apart positions lie in g and in x.
    """
    signature = types.void(left, right, runs, part, sums, at)

    def write(context: Any, build: Builder, signature: Any, arguments: Any) -> Value:
        def places(kinds: Any, values: Value, count: int) -> list[Value]:
            array, starts, first = _unpacked(build, values)
            base = _pointer(context, build, kinds[0], array)
            table = _pointer(context, build, kinds[1], starts)
            table = build.gep(table, [first])
            offsets = [
                build.load(build.gep(table, [tiles.INDEX(i)])) for i in range(count)
            ]
            return [build.gep(base, [offset]) for offset in offsets]

        height, width = registers().inner
        q0, q1, length, g_step, x_step = _unpacked(build, arguments[3])
        of = tiles.Inner(
            g=places(left, arguments[0], height),
            x=places(right, arguments[1], width),
            runs=_pointer(context, build, runs, arguments[2]),
            first_run=q0,
            last_run=q1,
            length=length,
            g_step=g_step,
            x_step=x_step,
            sums=build.gep(_pointer(context, build, sums, arguments[4]), arguments[5:]),
        )
        tiles.write_inner(_code(context, build, left[0]), of)
        return context.get_dummy_value()

    return signature, write


@intrinsic
def tile_totals(_: Any, sums: Type, at: Type, totals: Type) -> Definition:
    """totals[i] = the sum of the lanes of each vector of a tile of `inner_tile`.

    totals has room for a vector more.
    """
    signature = types.void(sums, at, totals)

    def write(context: Any, build: Builder, signature: Any, arguments: Any) -> Value:
        place = build.gep(_pointer(context, build, sums, arguments[0]), [arguments[1]])
        into = _pointer(context, build, totals, arguments[2])
        count = math.prod(registers().inner)
        tiles.write_totals(_code(context, build, sums), count, place, into)
        return context.get_dummy_value()

    return signature, write


@intrinsic
def slice_sum(_: Any, x: Type, start: Type, count: Type, step: Type) -> Definition:
    """Σ over `count` positions, `step` apart from x[start] on, of SLICE values each."""
    signature = x.dtype(x, start, count, step)

    def write(context: Any, build: Builder, signature: Any, arguments: Any) -> Value:
        place = build.gep(_pointer(context, build, x, arguments[0]), [arguments[1]])
        return tiles.write_slice_sum(_code(context, build, x), place, *arguments[2:])

    return signature, write


@intrinsic
def transpose_tile(
    _: Any, x: Type, start: Type, row: Type, y: Type, y_start: Type, y_row: Type
) -> Definition:
    """y[y_start + y_row · j + i] = x[start + row · i + j] for a square of as many i and j
    as a vector has lanes.
    """
    signature = types.void(x, start, row, y, y_start, y_row)

    def write(context: Any, build: Builder, signature: Any, arguments: Any) -> Value:
        x_, x0, x_row, y_, y0, y_row = arguments
        x_at = build.gep(_pointer(context, build, x, x_), [x0])
        y_at = build.gep(_pointer(context, build, y, y_), [y0])
        tiles.write_transpose(_code(context, build, x), x_at, x_row, y_at, y_row)
        return context.get_dummy_value()

    return signature, write
