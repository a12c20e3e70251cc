"""How a compiled kernel is shared by threads: it hands its parts to them by itself.

A kernel is a function of the number of a part, how many parts there are, and more. Where
the number is ALL, its first instructions let the threads call it again, once for each part,
with what else it was given. So it is compiled once, whether one thread runs it or several.
The one loop over threads, which takes Numba far longer than a kernel, serves all kernels;
it is compiled or loaded when a kernel is first shared.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering
from numba.extending import intrinsic

from .compiling import address_of, compiled

ALL = -1
"""In the place of the number of a part: all of them, by the threads that there are."""

INT32, INT64 = ir.IntType(32), ir.IntType(64)

THREE = types.int64, types.int64, types.int64

LOOP = "tinygrad_cnn_loop_over_threads"
"""By this name compiled kernels find where the address of the loop is written."""

loop_address = ctypes.c_int64()
binding.add_symbol(LOOP, ctypes.addressof(loop_address))


class SharedLower(Lower):  # type: ignore[misc]
    """Numba's step from a function to LLVM's instructions, with more at its head."""

    def pre_lower(self) -> None:
        """Before the instructions of the kernel itself."""
        super().pre_lower()
        build, kernel = self.builder, self.builder.function
        part, parts, *_ = self.call_conv.get_arguments(kernel)
        with build.if_then(build.icmp_signed("<", part, INT64(0)), likely=False):
            kinds = [INT32, *(a.type for a in kernel.args)]
            block = cgutils.alloca_once(build, ir.LiteralStructType(kinds))
            for i, value in enumerate([INT32(0), *kernel.args]):
                build.store(value, cgutils.gep_inbounds(build, block, 0, i))
            given = _write_part(kernel, part, block.type), block
            addresses = [build.ptrtoint(pointer, INT64) for pointer in given]
            self._call_loop([*addresses, parts])
            build.ret(build.load(cgutils.gep_inbounds(build, block, 0, 0)))

    def _call_loop(self, arguments: list[ir.Value]) -> None:
        place = ir.GlobalVariable(self.builder.module, INT64, LOOP)
        kind = self.call_conv.get_function_type(types.none, THREE).as_pointer()
        loop = self.builder.inttoptr(self.builder.load(place), kind)
        self.call_conv.call_function(self.builder, loop, types.none, THREE, arguments)


def _write_part(kernel: ir.Function, part: ir.Value, block: ir.Type) -> ir.Function:
    """The function that calls the kernel for one part.

    It is given where a block of memory lies and the number of the part. In the block are
    the kernel's status, which stays 0 if no part fails, and its arguments.
    """
    kind = ir.FunctionType(ir.VoidType(), [INT64, INT64])
    function = ir.Function(kernel.module, kind, f"{kernel.name}.part")
    function.linkage = "internal"
    build = ir.IRBuilder(function.append_basic_block())
    address, number = function.args
    places = build.inttoptr(address, block)
    status, *given = [
        cgutils.gep_inbounds(build, places, 0, i) for i in range(len(kernel.args) + 1)
    ]
    arguments = [build.load(place) for place in given]
    arguments[kernel.args.index(part)] = number
    found = build.call(kernel, arguments, attrs=("noinline",))
    with build.if_then(build.icmp_signed("!=", found, INT32(0)), likely=False):
        build.store(found, status)
    build.ret_void()
    return function


@register_pass(mutates_CFG=True, analysis_only=False)
class SharedLowering(NativeLowering):  # type: ignore[misc]
    """Numba's pass that makes LLVM's instructions, by `SharedLower`."""

    _name = "shared_lowering"

    @property
    def lowering_class(self) -> type[Lower]:
        """What makes them."""
        return SharedLower


class SharedCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's passes, of which one is `SharedLowering`."""

    def define_pipelines(self) -> list[Any]:
        """The list of passes."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [
            (SharedLowering if step is NativeLowering else step, description)
            for step, description in passes.passes
        ]
        return [passes]


@intrinsic
def call_part(_: Any, function: Any, block: Any, part: Any) -> Any:
    """Call what `_write_part` made."""

    def write(context: Any, build: ir.IRBuilder, _: Any, arguments: Any) -> ir.Value:
        kind = ir.FunctionType(ir.VoidType(), [INT64, INT64]).as_pointer()
        build.call(build.inttoptr(arguments[0], kind), arguments[1:])
        return context.get_dummy_value()

    return types.void(function, block, part), write


@functools.partial(compiled, parallel=True)
def loop_over_threads(function: int, block: int, parts: int) -> None:
    """Every part, one to a thread."""
    for part in numba.prange(parts):
        call_part(function, block, np.int64(part))  # the loop's own number is unsigned


def find_loop() -> None:
    """Let kernels find the loop, before one is called for ALL parts."""
    if not loop_address:
        loop_address.value = address_of(loop_over_threads, THREE)
