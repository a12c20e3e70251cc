"""The tiles stay in the registers of each processor: their loops hold no stack access.

LLVM emits assembly for processors that are not there; the innermost loops with products are
read out of it.
"""

import re

import pytest

pytest.importorskip("numba")

from llvmlite import binding, ir

from tinygrad_cnn.kernels.fast import processor, tiles

PROCESSORS = {
    "x86-64-v2": ("x86_64-unknown-linux-gnu", "SSE2"),
    "haswell": ("x86_64-unknown-linux-gnu", "AVX2"),
    "znver3": ("x86_64-unknown-linux-gnu", "AVX2"),
    "skylake-avx512": ("x86_64-unknown-linux-gnu", "AVX-512"),
    "znver4": ("x86_64-unknown-linux-gnu", "AVX-512"),
    "apple-m1": ("arm64-apple-darwin", "NEON"),
    "neoverse-n1": ("aarch64-unknown-linux-gnu", "NEON"),
}
NUMBERS = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
PRODUCT = re.compile(r"\s(v?mul[ps][sd]|vfn?m\w+|fml[as]|fmul|fmadd)(\.\w+)?\s")
STACK = re.compile(r"%[re]sp|\[sp|, sp\b")


@pytest.fixture(params=PROCESSORS)
def machine(request):
    """The LLVM target machine of a processor, and its family."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    triple, family = PROCESSORS[request.param]
    target = binding.Target.from_triple(triple)
    return target.create_target_machine(cpu=request.param, opt=3), family


def module_with(machine, number, name, pointers, integers, write):
    """A module with a function of pointers to numbers, pointers to indices, and indices."""
    module = ir.Module()
    module.triple = machine.triple
    kinds = [number.as_pointer()] * pointers[0] + [tiles.INDEX.as_pointer()] * pointers[
        1
    ]
    kinds += [number, *[tiles.INDEX] * integers]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    build = ir.IRBuilder(function.append_basic_block())
    write(build, list(function.args))
    build.ret_void()
    return module


def assembly(machine, module):
    """As optimised as Numba does it."""
    parsed = binding.parse_assembly(str(module))
    options = binding.create_pipeline_tuning_options(speed_level=3)
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    return machine.emit_assembly(parsed)


def product_loops(text):
    """The innermost loops that multiply: lists of lines from a label to the jump back."""
    lines = [line for line in text.splitlines() if line.strip()]
    labels = {
        m[1]: i for i, line in enumerate(lines) if (m := re.match(r"(\S+):", line))
    }
    loops = []
    for i, line in enumerate(lines):
        jump = re.match(
            r"\s+(?:j\w+|b\.?\w*|cbn?z\s+\w+,|tbn?z\s+\w+, #\d+,)\s+(\S+)$", line
        )
        if jump and jump[1] in labels and labels[jump[1]] < i:
            loops.append((labels[jump[1]], i))
    innermost = [
        (a, b)
        for a, b in loops
        if not any(a <= c and d <= b and (a, b) != (c, d) for c, d in loops)
    ]
    found = [lines[a : b + 1] for a, b in innermost]
    return [loop for loop in found if any(PRODUCT.search(line) for line in loop)]


def outer_module(machine, number, registers):
    def write(build, arguments):
        w, x, bias, y, taps, floor, *rest = arguments
        w_row, t0, t1, y_row, r0, top, rows, length = rest
        start = w, w_row, x, taps, t0, t1, bias, floor
        of = tiles.Outer(*start, y, y_row, r0, top, length)
        code = tiles.Code(build, number, registers.vector)
        tiles.write_outer(code, registers, rows, of)

    return module_with(machine, number, "outer", (4, 1), 8, write)


def inner_module(machine, number, registers):
    def write(build, arguments):
        g, x, sums, rows, columns, runs, _, q0, q1, *steps = arguments
        height, width = registers.inner

        def places(base, table, count):
            at = [build.load(build.gep(table, [tiles.INDEX(i)])) for i in range(count)]
            return [build.gep(base, [offset]) for offset in at]

        left, right = places(g, rows, height), places(x, columns, width)
        of = tiles.Inner(left, right, runs, q0, q1, *steps, sums)
        tiles.write_inner(tiles.Code(build, number, registers.vector), of)

    return module_with(machine, number, "inner", (3, 3), 5, write)


def test_the_registers_of_each_processor_are_seen(machine):
    found, family = machine
    assert processor.family(found) == family


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_no_sum_of_an_outer_tile_leaves_the_registers(machine, number):
    found, family = machine
    registers = processor.TILES[family]
    loops = product_loops(assembly(found, outer_module(found, number, registers)))
    # One for each number of rows and of vectors, and one with a mask for each of rows.
    assert len(loops) >= sum(registers.outer.values())
    spilled = [loop for loop in loops if any(STACK.search(line) for line in loop)]
    assert not spilled, "\n".join(spilled[0])


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_no_sum_of_an_inner_tile_leaves_the_registers(machine, number):
    found, family = machine
    registers = processor.TILES[family]
    loops = product_loops(assembly(found, inner_module(found, number, registers)))
    assert loops
    spilled = [loop for loop in loops if any(STACK.search(line) for line in loop)]
    assert not spilled, "\n".join(spilled[0])
