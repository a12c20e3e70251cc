"""How the kernels are compiled: on first use, then kept on disk (see `keeping`)."""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import NullCache
from numba.core.compiler import Compiler, CompilerBase, CompileResult
from numba.core.event import Listener, register
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from . import keeping

F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger(__name__)

WIDTH = 79
"""Of the line; a longer one could not be rewritten on every terminal."""


class Told(Listener):  # type: ignore[misc]
    """Says which kernel is being compiled, on a terminal in a line that is rewritten.

    A kernel takes up to a second; others that it calls are compiled meanwhile.
    """

    def __init__(self) -> None:
        self.kernels, self.depth, self.seconds, self.start = 0, 0, 0.0, 0.0

    def on_start(self, event: Any) -> None:
        """Called with the function of each that is compiled, ours or not."""
        self.depth += 1
        if self.depth == 1:
            self.start = time.perf_counter()
        function = event.data["dispatcher"].py_func
        if function.__module__.startswith(__package__):
            self.kernels += 1
            log.info("compiling %s", function.__name__)
            self.show(function.__name__)

    def on_end(self, event: Any) -> None:
        """The line goes when there is something else to do."""
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.start
            self.write("")

    def show(self, name: str) -> None:
        """How many there were, how long all took, and which is next."""
        seconds = self.seconds + time.perf_counter() - self.start
        self.write(f"compiling kernel {self.kernels} after {seconds:.1f} s: {name}")

    def write(self, line: str) -> None:
        """Rewrite the line, unless somebody else draws on the terminal (a bar does)."""
        if sys.stderr and sys.stderr.isatty() and sys.stderr is sys.__stderr__:
            text = f"\r{line:{WIDTH}.{WIDTH}}\r{line:.{WIDTH}}"  # spaces, then the end
            print(text, end="", file=sys.stderr, flush=True)


register("numba:compile", Told())

FOLDER = keeping.find_folder()


class Kept(NullCache):  # type: ignore[misc]
    """A kernel's files, one for each choice of types and processor.

    Numba's own cache loads what it finds: a damaged file ends the run, or the process. It
    also has an index, which two processes at once overwrite for each other.
    """

    def __init__(self, folder: Path, function: Callable[..., Any]) -> None:
        self.folder = folder
        self.name = f"{function.__module__}.{function.__qualname__}"

    def file(self, signature: Any, codegen: Any) -> Path:
        """The file of this kernel for these types, on this processor, by this Python."""
        of = signature, codegen.magic_tuple(), sys.implementation.cache_tag
        digest = hashlib.sha256(repr((self.name, of)).encode())
        return self.folder / f"{self.name.rpartition('.')[2]}-{digest.hexdigest()[:32]}"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kept result of compiling, or None."""
        # All that loaded code calls. `refresh`, which is there for compiling, would take as
        # long again as the rest of a start: it imports each function that Numba knows.
        rtsys.initialize(target_context)
        state = keeping.load(self.file(sig, target_context.codegen()))
        return None if state is None else CompileResult._rebuild(target_context, *state)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the result of compiling, unless addresses of this process are in it."""
        match data:
            case CompileResult(library=code) if not code.has_dynamic_globals:
                keeping.save(self.file(sig, data.codegen), dumps(data._reduce()))


def compiled(
    function: F, parallel: bool = False, compiler: type[CompilerBase] = Compiler
) -> F:
    """The function compiled by Numba when it is first called with such arguments.

    Additions may be regrouped and fused with multiplications, nothing else: inf and NaN
    stay what they are. It runs without the interpreter's lock.
    """
    kernel = numba.njit(
        nogil=True,
        parallel=parallel,
        error_model="numpy",
        no_cfunc_wrapper=True,
        fastmath={"reassoc", "contract"},
        pipeline_class=compiler,
    )(function)
    if FOLDER is not None:
        kernel._cache = Kept(FOLDER, function)
    return kernel


def address_of(kernel: Any, kinds: tuple[Any, ...]) -> int:
    """Where the instructions lie that are compiled of it for arguments of such types."""
    if kinds not in kernel.overloads:
        kernel.compile(kinds)
    match kernel.overloads[kinds]:
        case CompileResult(library=code, fndesc=of):
            place: int = code.get_pointer_to_function(of.llvm_func_name)
    return place
