"""Calls of compiled kernels, joined to one function without Python between them.

Arguments of a plan's calls never change, so they become constants of the function:
pointers, sizes and numbers. It only calls the kernels where they are, so it is made in
milliseconds and computes the same bits; several threads run such functions without
waiting for each other. This module is imported when the compiled kernels serve.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target
from numba.np.arrayobj import populate_array

from ...errors import OutOfMemoryError
from .calls import Call

names = map("joined_calls_{}".format, itertools.count())


def joined(calls: Sequence[Call]) -> list[Call]:
    """The same calls, those of compiled kernels that follow each other made one."""
    found = list[Call]()
    for of_kernels, group in itertools.groupby(calls, _is_of_kernel):
        some = [*group]
        found += [(_Joined(some), ())] if of_kernels else some
    return found


def _is_of_kernel(call: Call) -> bool:
    """One for a single thread: those for several take their arguments as a tuple."""
    kernel = call[0]
    return isinstance(kernel, Dispatcher) and not kernel.targetoptions.get("parallel")


class _Joined:
    """Does all its calls."""

    @global_compiler_lock
    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls  # they hold the arrays
        context = cpu_target.target_context
        self.code = context.codegen().create_library(name := next(names))
        module = self.code.create_ir_module(name)
        status = ir.IntType(32)
        function = ir.Function(module, ir.FunctionType(status, []), name)
        build = ir.IRBuilder(function.append_basic_block())
        for kernel, arguments in calls:
            failed = _write_call(context, build, kernel, arguments)
            with build.if_then(failed, likely=False):
                build.ret(status(1))
        build.ret(status(0))
        self.code.add_ir_module(module)
        self.code.finalize()
        kind = ctypes.CFUNCTYPE(ctypes.c_int32)
        self.run: Callable[[], int] = kind(self.code.get_pointer_to_function(name))

    def __call__(self) -> None:
        if self.run():  # the one thing that goes wrong in kernels
            raise OutOfMemoryError("there is not enough memory for a step")


def _write_call(
    context: Any, build: ir.IRBuilder, kernel: Any, arguments: Sequence[Any]
) -> Any:
    """Call the kernel as it was compiled for such arguments; returns whether it failed."""
    kinds = tuple(numba.typeof(a) for a in arguments)
    if kinds not in kernel.overloads:
        kernel.compile(kinds)
    match kernel.overloads[kinds]:
        case CompileResult(library=code, fndesc=of):
            place = code.get_pointer_to_function(of.llvm_func_name)
    convention = context.call_conv
    of_kernel = convention.get_function_type(types.none, kinds)
    callee = build.inttoptr(ir.IntType(64)(place), of_kernel.as_pointer())
    values = [
        _constant(context, build, kind, value)
        for kind, value in zip(kinds, arguments, strict=True)
    ]
    status, _ = convention.call_function(build, callee, types.none, kinds, values)
    return status.is_error


def _constant(context: Any, build: ir.IRBuilder, kind: Any, value: Any) -> Any:
    """An argument as LLVM's value: of an array, where it lies."""
    if not isinstance(value, np.ndarray):
        number = value.item() if isinstance(value, np.generic) else value
        return ir.Constant(context.get_value_type(kind), number)
    array = context.make_array(kind)(context, build)
    size = ir.IntType(64)
    data = build.inttoptr(size(value.ctypes.data), array.data.type)
    populate_array(
        array,
        data=data,
        shape=[size(n) for n in value.shape],
        strides=[size(n) for n in value.strides],
        itemsize=size(value.itemsize),
        meminfo=None,
    )
    return array._getvalue()
