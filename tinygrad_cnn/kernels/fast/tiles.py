"""The two inner loops of all convolutions and matrix products, tile by tile in registers.

They keep a tile of sums in vector registers while they run over the terms. A loop that the
compiler vectorises by itself loads and stores a sum for each product instead, and is five
times slower. They are written in LLVM's language, by way of Numba's `intrinsic`: the Python
loops here run while compiling, and unroll.

    outer_tile   y[r, p] = max(b[r] + Σ_t w[r, tap t] · x[offset t + p], floor)
                 for R rows and V vectors of p: numbers of w meet vectors of x
    inner_tile   s[r, c] = Σ_p g[r, p] · x[c, p]
                 for R × C sums: vectors meet vectors

and `transpose_tile`, which turns rows into columns.

A vector has 64 bytes; where the processor's are shorter, LLVM takes several.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from llvmlite.ir import IRBuilder as Builder
from llvmlite.ir import Value
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.types import Type

CONTRACT = ("contract",)  # a product and a sum may become one instruction
Definition = tuple[Any, Callable[..., Value]]
"""Of an intrinsic: its signature, and the function that writes its instructions."""

INT32, INDEX = ir.IntType(32), ir.IntType(64)

ROWS, COLUMNS = 3, 5
"""The tile of `inner_tile`: 15 sums, for which 8 vectors are loaded."""


class Code:
    """Writes instructions on vectors of one element type."""

    def __init__(self, context: Any, builder: Builder, dtype: Type) -> None:
        self.context, self.build = context, builder
        self.bytes = dtype.bitwidth // 8
        self.lanes = 64 // self.bytes
        self.number = context.get_value_type(dtype)
        self.vector = ir.VectorType(self.number, self.lanes)
        self.zero = ir.Constant(self.vector, None)

    def pointer(self, kind: Type, array: Value, start: Value) -> Value:
        """Where array[start] lies."""
        data = self.context.make_array(kind)(self.context, self.build, array).data
        return self.build.gep(data, [start])

    def spread(self, number: Value) -> Value:
        """A vector of one number."""
        kind = ir.VectorType(number.type, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        one = self.build.insert_element(nothing, number, INT32(0))
        zeros = ir.Constant(ir.VectorType(INT32, self.lanes), None)
        return self.build.shuffle_vector(one, nothing, zeros)

    def first(self, count: Value) -> Value:
        """The mask of the first `count` lanes."""
        numbers = ir.Constant(ir.VectorType(INT32, self.lanes), list(range(self.lanes)))
        limit = self.spread(self.build.trunc(count, INT32))
        return self.build.icmp_signed("<", numbers, limit)

    def least(self, a: Value, b: Value) -> Value:
        """The smaller of two integers."""
        return self.build.select(self.build.icmp_signed("<", a, b), a, b)

    def load(self, pointer: Value, offset: Value, mask: Value | None = None) -> Value:
        """The vector at pointer + offset; outside the mask 0, and nothing is read."""
        place = self._place(pointer, offset)
        if mask is None:
            return self.build.load(place, align=self.bytes)
        arguments = [place, INT32(self.bytes), mask, self.zero]
        return self._masked("load", self.vector, arguments)

    def store(
        self, value: Value, pointer: Value, offset: Value, mask: Value | None = None
    ) -> None:
        """Write the vector at pointer + offset; nothing outside the mask."""
        place = self._place(pointer, offset)
        if mask is None:
            self.build.store(value, place, align=self.bytes)
        else:
            arguments = [value, place, INT32(self.bytes), mask]
            self._masked("store", ir.VoidType(), arguments)

    def variables(self, values: list[Value]) -> list[Value]:
        """Variables that begin with these vectors; LLVM keeps them in registers."""
        places = [cgutils.alloca_once(self.build, self.vector) for _ in values]
        for place, value in zip(places, values, strict=True):
            self.build.store(value, place)
        return places

    def add_product(self, place: Value, a: Value, b: Value) -> None:
        """place ← place + a · b."""
        product = self.build.fmul(a, b, flags=CONTRACT)
        total = self.build.fadd(self.build.load(place), product, flags=CONTRACT)
        self.build.store(total, place)

    def totals(self, vectors: list[Value]) -> Value:
        """The vector whose lane i is the total of vectors[i]."""
        vectors = vectors + [self.zero] * (self.lanes - len(vectors))
        step = 1
        while len(vectors) > 1:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            squares = [self._exchanged(a, b, step) for a, b in pairs]
            vectors = [self.build.fadd(one, other) for one, other in squares]
            step *= 2
        return vectors[0]

    def transposed(self, rows: list[Value]) -> list[Value]:
        """A square of as many vectors as lanes: squares of 2, then of 4, … change sides."""
        step = 1
        while step < self.lanes:
            for i in [i for i in range(self.lanes) if not i & step]:
                rows[i], rows[i + step] = self._exchanged(rows[i], rows[i + step], step)
            step *= 2
        return rows

    def _exchanged(self, a: Value, b: Value, step: int) -> tuple[Value, Value]:
        """The lanes of a whose number has `step` change with those of b whose has not."""
        kind, lanes = ir.VectorType(INT32, self.lanes), range(self.lanes)
        upper = [self.lanes + i - step if i & step else i for i in lanes]
        lower = [self.lanes + i if i & step else i + step for i in lanes]
        one, other = (
            self.build.shuffle_vector(a, b, ir.Constant(kind, part))
            for part in (upper, lower)
        )
        return one, other

    def _place(self, pointer: Value, offset: Value) -> Value:
        place = self.build.gep(pointer, [offset])
        return self.build.bitcast(place, self.vector.as_pointer())

    def _masked(self, what: str, result: ir.Type, arguments: list[Value]) -> Value:
        kind = ir.FunctionType(result, [value.type for value in arguments])
        name = f"llvm.masked.{what}.v{self.lanes}f{8 * self.bytes}.p0"
        function = cgutils.get_or_insert_function(self.build.module, kind, name)
        return self.build.call(function, arguments)


def _unpacked(build: Builder, values: Value) -> list[Value]:
    return [build.extract_value(values, i) for i in range(len(values.type))]


@intrinsic(prefer_literal=True)
def outer_tile(
    _: Any, rows: Type, vectors: Type, source: Type, target: Type
) -> Definition | None:
    """Write y[y_start + y_row · r + p] for the rows from r0 on and one tile's values of p.

    source: w, w_row (the distance of its rows), x, x_start, taps, the first and the last of
    them, bias, floor; taps are flat pairs (offset in x, offset in w).
    target: y, y_start, y_row, r0, the height of y, count. Rows beyond the height are left
    out; a single vector is cut off at `count` values.
    """
    if not isinstance(rows, types.IntegerLiteral):
        return None
    height, width = rows.literal_value, vectors.literal_value
    w, _, x, _, taps, _, _, bias, _ = source
    y = target[0]
    signature = types.void(rows, vectors, source, target)

    def write(context: Any, build: Builder, signature: Any, arguments: Any) -> Value:
        w_, w_row, x_, x0, taps_, t0, t1, bias_, low = _unpacked(build, arguments[2])
        y_, y0, y_row, r0, top, count = _unpacked(build, arguments[3])
        code = Code(context, build, x.dtype)
        x_at, zero = code.pointer(x, x_, x0), INDEX(0)
        t_at, b_at = code.pointer(taps, taps_, zero), code.pointer(bias, bias_, zero)
        mask = code.first(count) if width == 1 else None
        last = build.sub(top, INDEX(1))
        numbers = [build.add(r0, INDEX(r)) for r in range(height)]
        clamped = [code.least(r, last) for r in numbers]
        w_rows = [code.pointer(w, w_, build.mul(r, w_row)) for r in clamped]
        starts = [code.spread(build.load(build.gep(b_at, [r]))) for r in clamped]
        cells = [(r, v) for r in range(height) for v in range(width)]
        held = code.variables([starts[r] for r, _ in cells])
        sums = dict(zip(cells, held, strict=True))
        with cgutils.for_range_slice(build, t0, t1, INDEX(1)) as (t, _):
            pair = build.gep(t_at, [build.mul(t, INDEX(2))])
            x_tap, w_tap = build.load(pair), build.load(build.gep(pair, [INDEX(1)]))
            values = [
                code.load(x_at, build.add(x_tap, INDEX(v * code.lanes)), mask)
                for v in range(width)
            ]
            for r in range(height):
                number = code.spread(build.load(build.gep(w_rows[r], [w_tap])))
                for v in range(width):
                    code.add_product(sums[r, v], number, values[v])
        lowest = code.spread(low)
        for r in range(height):
            y_at = code.pointer(y, y_, build.add(y0, build.mul(numbers[r], y_row)))
            with build.if_then(build.icmp_signed("<", numbers[r], top)):
                for v in range(width):
                    total = build.load(sums[r, v])
                    under = build.fcmp_ordered("<", total, lowest)
                    total = build.select(under, lowest, total)
                    code.store(total, y_at, INDEX(v * code.lanes), mask)
        return context.get_dummy_value()

    return signature, write


@intrinsic
def inner_tile(
    _: Any,
    g: Type,
    g_starts: Type,
    x: Type,
    x_starts: Type,
    runs: Type,
    first_run: Type,
    last_run: Type,
    sums: Type,
) -> Definition:
    """Write sums[r · COLUMNS + c] = Σ over runs and p of g[…] · x[…].

    runs: flat triples (offset in g, offset in x, length), of which those from first_run to
    last_run are summed over p < length; g_starts has ROWS more offsets, x_starts COLUMNS.
    sums has room for 16 values.
    """
    signature = types.void(g, g_starts, x, x_starts, runs, first_run, last_run, sums)

    def write(context: Any, build: Builder, signature: Any, arguments: Any) -> Value:
        g_, g_starts_, x_, x_starts_, runs_, q0, q1, sums_ = arguments
        code = Code(context, build, x.dtype)
        zero = INDEX(0)

        def places(
            kind: Type, array: Value, starts: Type, many: Value, count: int
        ) -> list[Value]:
            at = code.pointer(starts, many, zero)
            offsets = [build.load(build.gep(at, [INDEX(i)])) for i in range(count)]
            return [code.pointer(kind, array, offset) for offset in offsets]

        rows = places(g, g_, g_starts, g_starts_, ROWS)
        columns = places(x, x_, x_starts, x_starts_, COLUMNS)
        run_at = code.pointer(runs, runs_, zero)
        cells = [(r, c) for r in range(ROWS) for c in range(COLUMNS)]
        held = code.variables([code.zero] * len(cells))
        variables = dict(zip(cells, held, strict=True))

        def add(g_at: Value, x_at: Value, mask: Value | None) -> None:
            left = [code.load(row, g_at, mask) for row in rows]
            right = [code.load(column, x_at, mask) for column in columns]
            for r, c in cells:
                code.add_product(variables[r, c], left[r], right[c])

        with cgutils.for_range_slice(build, q0, q1, INDEX(1)) as (q, _):
            run = build.gep(run_at, [build.mul(q, INDEX(3))])
            g0, x0, length = [build.load(build.gep(run, [INDEX(i)])) for i in range(3)]
            whole = build.and_(length, INDEX(-code.lanes))
            with cgutils.for_range_slice(build, zero, whole, INDEX(code.lanes)) as (
                p,
                _,
            ):
                add(build.add(g0, p), build.add(x0, p), None)
            rest = build.sub(length, whole)
            with build.if_then(build.icmp_signed(">", rest, zero)):
                add(build.add(g0, whole), build.add(x0, whole), code.first(rest))
        ended = [build.load(variables[cell]) for cell in cells]
        for i in range(0, len(ended), code.lanes):
            totals = code.totals(ended[i : i + code.lanes])
            code.store(totals, code.pointer(sums, sums_, INDEX(i)), zero)
        return context.get_dummy_value()

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
        code = Code(context, build, x.dtype)
        x_at, y_at = code.pointer(x, x_, x0), code.pointer(y, y_, y0)
        numbers = [INDEX(i) for i in range(code.lanes)]
        rows = [code.load(x_at, build.mul(x_row, i)) for i in numbers]
        for i, column in zip(numbers, code.transposed(rows), strict=True):
            code.store(column, y_at, build.mul(y_row, i))
        return context.get_dummy_value()

    return signature, write
