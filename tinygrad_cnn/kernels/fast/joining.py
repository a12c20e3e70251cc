"""Calls of compiled kernels, joined to one function without Python between them.

Arguments of a plan's calls never change, so they become constants of the function:
pointers, sizes and numbers. It only calls the kernels where they are, so it is made in
milliseconds and computes the same bits; several threads run such functions without
waiting for each other. This module is imported when the compiled kernels serve.
"""

from __future__ import annotations

import ctypes
import itertools
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import binding
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target

from ...errors import OutOfMemoryError
from .calls import Call
from .compiling import address_of

names = map("joined_calls_{}".format, itertools.count())

_FUNCTION = """
define i32 @{name}() {{
  %result = alloca ptr
  %error = alloca ptr
  {calls}
  ret i32 0
failed:
  ret i32 1
}}
"""

_CALL = """
  %status{i} = call i32 inttoptr (i64 {place} to ptr)({arguments})
  %done{i} = icmp eq i32 %status{i}, 0
  br i1 %done{i}, label %next{i}, label %failed
next{i}:"""


def joined(calls: Sequence[Call]) -> list[Call]:
    """The same calls, those of compiled kernels that follow each other made one."""
    found = list[Call]()
    for of_kernels, group in itertools.groupby(calls, _is_of_kernel):
        some = [*group]
        found += [(_Joined(some), ())] if of_kernels else some
    return found


def _is_of_kernel(call: Call) -> bool:
    return isinstance(call[0], Dispatcher)


class _Joined:
    """Does all its calls."""

    @global_compiler_lock
    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls  # they hold the arrays
        written = [_write_call(i, *call) for i, call in enumerate(calls)]
        text = _FUNCTION.format(name=(name := next(names)), calls="".join(written))
        self.code = cpu_target.target_context.codegen().create_library(name)
        # As text: llvmlite's objects for so many constants take ten times as long.
        self.code.add_llvm_module(binding.parse_assembly(text))
        kind = ctypes.CFUNCTYPE(ctypes.c_int32)
        self.run: Callable[[], int] = kind(self.code.get_pointer_to_function(name))

    def __call__(self) -> None:
        if self.run():  # the one thing that goes wrong in kernels
            raise OutOfMemoryError("there is not enough memory for a step")


def _write_call(i: int, kernel: Any, arguments: Sequence[Any]) -> str:
    """Call the kernel as it was compiled for such arguments."""
    kinds = tuple(numba.typeof(a) for a in arguments)
    place = address_of(kernel, kinds)
    convention = cpu_target.target_context.call_conv
    values = ["%result", "%error", *(text for a in arguments for text in _constants(a))]
    accepted = convention.get_function_type(types.none, kinds).args
    given = [
        f"{'ptr' if kind.is_pointer else kind} {value}"
        for kind, value in zip(accepted, values, strict=True)
    ]
    return _CALL.format(i=i, place=place, arguments=", ".join(given))


def _constants(value: Any) -> list[str]:
    """An argument as LLVM writes it: of an array, where and how it lies."""
    if isinstance(value, np.ndarray):
        data = f"inttoptr (i64 {value.ctypes.data} to ptr)"
        numbers = [value.size, value.itemsize, data, *value.shape, *value.strides]
        return ["null", "null", *map(str, numbers)]  # nobody counts who refers to it
    if isinstance(value, float | np.floating):
        return ["0x" + struct.pack(">d", value).hex()]
    return [str(int(value))]
