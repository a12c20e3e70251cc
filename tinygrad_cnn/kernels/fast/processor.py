"""The processor that kernels are compiled for: its vector registers, and what fits them."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from llvmlite import binding
from numba.core.registry import cpu_target


class Registers(NamedTuple):
    """The vector registers of a family of processors, and the tiles of sums they hold.

    Beside its sums, a tile of `outer` needs a register for each of its vectors and one for
    the number that meets them; without fused multiply-adds, one more for the product.
    """

    vector: int
    """Bytes of a register."""
    outer: dict[int, int]
    """Rows of a tile of `outer_rows`: the most vectors that are beside each other in it."""
    inner: tuple[int, int]
    """Rows and columns of a tile of `inner_tile`."""


TILES = {
    "AVX-512": Registers(64, {1: 4, 2: 4, 3: 4, 4: 4, 6: 4}, (3, 5)),  # 32 registers
    "AVX2": Registers(32, {1: 4, 2: 4, 3: 3, 4: 3, 6: 2}, (2, 5)),  # 16
    "NEON": Registers(16, {1: 4, 2: 4, 3: 4, 4: 4, 6: 4}, (3, 5)),  # 32
    "SSE2": Registers(
        16, {1: 4, 2: 4, 3: 3, 4: 2}, (2, 3)
    ),  # 16, no fused multiply-add
}
"""For processors of another kind, those of SSE2: sixteen short registers are common."""

_SUM_OF_VECTORS = """
target triple = "{triple}"
define void @sum(ptr %x, ptr %y) {{
  %a = load <16 x float>, ptr %x
  %b = load <16 x float>, ptr %y
  %c = fadd <16 x float> %a, %b
  store <16 x float> %c, ptr %x
  ret void
}}
"""


def family(machine: Any) -> str:
    """The key in TILES of the processor of an LLVM target machine.

    LLVM knows it by name or by features; which registers it has is seen in what it emits.
    """
    module = binding.parse_assembly(_SUM_OF_VECTORS.format(triple=machine.triple))
    text = machine.emit_assembly(module)
    if machine.triple.startswith(("aarch64", "arm64")):
        return "NEON"
    return "AVX-512" if "%zmm" in text else "AVX2" if "%ymm" in text else "SSE2"


@functools.cache
def registers() -> Registers:
    """Those of this process's kernels (NUMBA_CPU_NAME and NUMBA_CPU_FEATURES choose)."""
    return TILES[family(cpu_target.target_context.codegen()._tm)]


def vector_bytes() -> int:
    """The length of the vectors that kernels compute with."""
    return registers().vector
