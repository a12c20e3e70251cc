"""The two inner loops of all convolutions and matrix products, tile by tile in registers.

They keep a tile of sums in vector registers while they run over the terms. A loop that the
compiler vectorises by itself loads and stores a sum for each product instead, and is five
times slower. They are written in LLVM's language: the Python loops here run while
compiling, and unroll. `processor` says which tiles fit; `intrinsics` are what kernels call.

    write_outer    y[r, p] = max(b[r] + Σ_t w[r, tap t] · x[offset t + p], floor)
                   for R rows and V vectors of p: numbers of w meet vectors of x
    write_inner    s[r, c] += Σ_p g[r, p] · x[c, p]
                   for R × C sums, each a vector of p modulo its lanes: vectors meet vectors

`write_totals`, which adds such lanes up, and `write_transpose`, which turns rows into
columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from llvmlite import ir
from llvmlite.ir import IRBuilder as Builder
from llvmlite.ir import Value
from numba.core import cgutils

from .processor import Registers

CONTRACT = ("contract",)  # a product and a sum may become one instruction

INT32, INDEX = ir.IntType(32), ir.IntType(64)

SLICE = 32
"""Images of a slice of a batch (see `sums`): two of the longest vectors of float32."""


class Code:
    """Writes instructions on vectors of one type of number and of so many bytes."""

    def __init__(self, build: Builder, number: ir.Type, vector: int) -> None:
        self.build, self.number = build, number
        self.bytes = 4 if isinstance(number, ir.FloatType) else 8
        self.lanes = vector // self.bytes
        self.vector = ir.VectorType(number, self.lanes)
        self.zero = ir.Constant(self.vector, None)
        self.masks = vector > 16
        """Whether a part of a vector is loaded and stored at once."""

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

    def number_at(self, pointer: Value, offset: Value) -> Value:
        """The number at pointer + offset."""
        return self.build.load(self.build.gep(pointer, [offset]))

    def load(self, pointer: Value, offset: Value, mask: Value | None = None) -> Value:
        """The vector at pointer + offset; outside the mask 0, and nothing is read."""
        place = self._place(pointer, offset)
        if mask is None:
            return self.build.load(place, align=self.bytes)
        arguments = [place, INT32(self.bytes), mask, self.zero]
        return self._masked("load", self.vector, arguments)

    def load_one(self, pointer: Value, offset: Value) -> Value:
        """The number at pointer + offset in the first lane, 0 in the others."""
        number = self.number_at(pointer, offset)
        return self.build.insert_element(self.zero, number, INT32(0))

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


@contextmanager
def _repeat(build: Builder, first: Value, last: Value, step: Value) -> Iterator[Value]:
    """A loop from `first`, done at least once, while what follows is below `last`.

    Of pointers as of numbers; those take one register less.
    """
    before, loop = build.basic_block, build.append_basic_block("repeat")
    build.branch(loop)
    build.position_at_end(loop)
    current = build.phi(first.type)
    current.add_incoming(first, before)
    yield current
    if first.type.is_pointer:
        following = build.gep(current, [step])
    else:
        following = build.add(current, step)
    current.add_incoming(following, build.basic_block)
    end = build.append_basic_block("repeated")
    build.cbranch(build.icmp_unsigned("<", following, last), loop, end)
    build.position_at_end(end)


class Outer(NamedTuple):
    """What `write_outer` works on: pointers, and integers."""

    w: Value
    w_row: Value
    """The distance of two rows of w."""
    x: Value
    taps: Value
    """Pairs of offsets in x and w."""
    first_tap: Value
    last_tap: Value
    bias: Value
    floor: Value
    y: Value
    y_row: Value
    r0: Value
    """The first row."""
    height: Value
    """How many rows there are; those beyond are left out."""
    length: Value
    """How many values p of each row are written."""


def write_outer(code: Code, registers: Registers, rows: Value, of: Outer) -> None:
    """Write `length` values of `rows` rows of y, for a number of rows that tiles have."""
    end = code.build.append_basic_block("written")
    choice = code.build.switch(rows, end)
    for height, width in registers.outer.items():
        block = code.build.append_basic_block(f"rows{height}")
        choice.add_case(INDEX(height), block)
        code.build.position_at_end(block)
        _write_rows(code, height, width, of)
        code.build.branch(end)
    code.build.position_at_end(end)


def _write_rows(code: Code, height: int, most: int, of: Outer) -> None:
    """Tile by tile, of `most` vectors or less, as even as can be.

    The last vector of a row that no vectors fill ends where the row does: some values are
    computed twice, and are the same. Rows shorter than a vector are cut off by a mask.
    """
    build, lanes, one = code.build, code.lanes, INDEX(1)
    tile = _Tile(code, height, of)
    long = build.icmp_signed(">=", of.length, INDEX(lanes))
    with build.if_else(long) as (vectors, masked):
        with vectors:
            place = cgutils.alloca_once_value(build, INDEX(0))
            start = build.append_basic_block("tile")
            ready = build.append_basic_block("tiled")
            build.branch(start)
            build.position_at_end(start)
            p = build.load(place)
            rest = build.sub(of.length, p)
            left = build.sdiv(build.add(rest, INDEX(lanes - 1)), INDEX(lanes))
            tiles = build.sdiv(build.add(left, INDEX(most - 1)), INDEX(most))
            width = build.sdiv(build.sub(build.add(left, tiles), one), tiles)
            full = build.mul(build.sub(width, one), INDEX(lanes))
            last = code.least(full, build.sub(rest, INDEX(lanes)))
            behind = build.append_basic_block("behind")
            choice = build.switch(width, behind)
            for count in range(1, most + 1):
                block = build.append_basic_block(f"vectors{count}")
                choice.add_case(INDEX(count), block)
                build.position_at_end(block)
                offsets = [INDEX(v * lanes) for v in range(count - 1)]
                tile.write(p, [*offsets, last])
                build.branch(behind)
            build.position_at_end(behind)
            p = build.add(p, build.mul(width, INDEX(lanes)))
            build.store(p, place)
            more = build.icmp_signed("<", p, of.length)
            build.cbranch(more, start, ready)
            build.position_at_end(ready)
        with masked:
            if code.masks:
                tile.write(INDEX(0), [INDEX(0)], code.first(of.length))
            else:
                alone = _Tile(Code(build, code.number, code.bytes), height, of)
                with cgutils.for_range_slice(build, INDEX(0), of.length, one) as (p, _):
                    alone.write(p, [INDEX(0)])


class _Tile:
    """The rows of one tile: where their weights and results lie."""

    def __init__(self, code: Code, height: int, of: Outer) -> None:
        build = code.build
        self.code, self.of = code, of
        last = build.sub(of.height, INDEX(1))
        self.numbers = [build.add(of.r0, INDEX(r)) for r in range(height)]
        clamped = [code.least(r, last) for r in self.numbers]
        self.weights = [build.gep(of.w, [build.mul(r, of.w_row)]) for r in clamped]
        self.biases = [code.spread(code.number_at(of.bias, r)) for r in clamped]
        rows = [build.mul(r, of.y_row) for r in self.numbers]
        self.targets = [build.gep(of.y, [row]) for row in rows]

    def write(self, p: Value, offsets: list[Value], mask: Value | None = None) -> None:
        """The vectors at these offsets behind p."""
        code, build, of = self.code, self.code.build, self.of
        sources = [build.gep(of.x, [build.add(p, offset)]) for offset in offsets]
        sums = [code.variables([bias] * len(offsets)) for bias in self.biases]
        ends = of.first_tap, of.last_tap
        first, last = (build.gep(of.taps, [build.mul(t, INDEX(2))]) for t in ends)
        some = build.icmp_unsigned("<", first, last)
        with build.if_then(some), _repeat(build, first, last, INDEX(2)) as pair:
            x_tap, w_tap = build.load(pair), code.number_at(pair, INDEX(1))
            values = [code.load(source, x_tap, mask) for source in sources]
            for weights, row in zip(self.weights, sums, strict=True):
                number = code.spread(code.number_at(weights, w_tap))
                for place, value in zip(row, values, strict=True):
                    code.add_product(place, number, value)
        lowest = code.spread(of.floor)
        for r, target, row in zip(self.numbers, self.targets, sums, strict=True):
            with build.if_then(build.icmp_signed("<", r, of.height)):
                for offset, place in zip(offsets, row, strict=True):
                    total = build.load(place)
                    under = build.fcmp_ordered("<", total, lowest)
                    total = build.select(under, lowest, total)
                    code.store(total, target, build.add(p, offset), mask)


class Inner(NamedTuple):
    """What `write_inner` works on: pointers to rows, and integers."""

    g: Sequence[Value]
    x: Sequence[Value]
    runs: Value
    """Triples: positions in g and x, and how many follow each other there."""
    first_run: Value
    last_run: Value
    length: Value
    """How many values of a position are summed, at least SLICE where there are gaps."""
    g_step: Value
    x_step: Value
    """From a position to the next: `length` in both where there are no gaps."""
    sums: Value


def write_inner(code: Code, of: Inner) -> None:
    """sums[r · C + c] += Σ over runs and their values of g[r, …] · x[c, …], by lanes."""
    build, zero, one, lanes = code.build, INDEX(0), INDEX(1), INDEX(code.lanes)
    cells = [(r, c) for r in range(len(of.g)) for c in range(len(of.x))]
    places = [INDEX(i * code.lanes) for i in range(len(cells))]
    held = code.variables([code.load(of.sums, place) for place in places])

    def add(load: Callable[..., Value], at: list[Value], *mask: Value) -> None:
        left = [load(row, at[0], *mask) for row in of.g]
        right = [load(column, at[1], *mask) for column in of.x]
        for total, (r, c) in zip(held, cells, strict=True):
            code.add_product(total, left[r], right[c])

    def add_vector(starts: list[Value], p: Value) -> None:
        add(code.load, [build.add(start, p) for start in starts])

    def add_rest(starts: list[Value], whole: Value, size: Value) -> None:
        if code.masks:
            rest = build.sub(size, whole)
            with build.if_then(build.icmp_signed(">", rest, zero)):
                ends = [build.add(start, whole) for start in starts]
                add(code.load, ends, code.first(rest))
        else:
            with cgutils.for_range_slice(build, whole, size, one) as (p, _):
                add(code.load_one, [build.add(start, p) for start in starts])

    with cgutils.for_range_slice(build, of.first_run, of.last_run, one) as (q, _):
        run = build.gep(of.runs, [build.mul(q, INDEX(3))])
        g1, x1, count = [code.number_at(run, INDEX(i)) for i in range(3)]
        starts = [build.mul(g1, of.g_step), build.mul(x1, of.x_step)]
        gap = build.or_(
            build.xor(of.g_step, of.length), build.xor(of.x_step, of.length)
        )
        # What does not fill vectors is summed apart at each position, gaps or not.
        uneven = build.and_(of.length, INDEX(code.lanes - 1))
        few = build.icmp_signed("<", of.length, INDEX(SLICE))
        even = build.icmp_signed("==", build.or_(gap, uneven), zero)
        closed = build.icmp_signed("==", gap, zero)
        joined = build.or_(even, build.and_(closed, few))
        with build.if_else(joined) as (at_once, apart):
            with at_once:
                size = build.mul(count, of.length)
                whole = build.and_(size, INDEX(-code.lanes))
                with cgutils.for_range_slice(build, zero, whole, lanes) as (p, _):
                    add_vector(starts, p)
                add_rest(starts, whole, size)
            with apart, cgutils.for_range_slice(build, zero, count, one) as (i, _):
                steps = [build.mul(i, step) for step in (of.g_step, of.x_step)]
                moved = [
                    build.add(at, step) for at, step in zip(starts, steps, strict=True)
                ]
                for p in range(0, SLICE, code.lanes):
                    add_vector(moved, INDEX(p))
                whole = build.and_(of.length, INDEX(-code.lanes))
                with cgutils.for_range_slice(build, INDEX(SLICE), whole, lanes) as (
                    p,
                    _,
                ):
                    add_vector(moved, p)
                add_rest(moved, whole, of.length)
    for total, place in zip(held, places, strict=True):
        code.store(build.load(total), of.sums, place)


def write_totals(code: Code, count: int, sums: Value, totals: Value) -> None:
    """totals[i] = the sum of the lanes of sums[i]; `totals` has room for whole vectors."""
    lanes = code.lanes
    vectors = [code.load(sums, INDEX(i * lanes)) for i in range(count)]
    for i in range(0, count, lanes):
        code.store(code.totals(vectors[i : i + lanes]), totals, INDEX(i))


def write_slice_sum(code: Code, x: Value, count: Value, step: Value) -> Value:
    """Σ over `count` positions, `step` apart, of SLICE values each."""
    build, offsets = code.build, range(0, SLICE, code.lanes)
    held = code.variables([code.zero] * len(offsets))
    with cgutils.for_range_slice(build, INDEX(0), count, INDEX(1)) as (i, _):
        at = build.mul(i, step)
        for place, offset in zip(held, offsets, strict=True):
            values = code.load(x, build.add(at, INDEX(offset)))
            build.store(build.fadd(build.load(place), values), place)
    total = code.zero
    for place in held:
        total = build.fadd(total, build.load(place))
    return build.extract_element(code.totals([total]), INT32(0))


def write_transpose(code: Code, x: Value, x_row: Value, y: Value, y_row: Value) -> None:
    """y[y_row · j + i] = x[x_row · i + j] for a square of as many i and j as lanes."""
    numbers = [INDEX(i) for i in range(code.lanes)]
    rows = [code.load(x, code.build.mul(x_row, i)) for i in numbers]
    for i, column in zip(numbers, code.transposed(rows), strict=True):
        code.store(column, y, code.build.mul(y_row, i))
