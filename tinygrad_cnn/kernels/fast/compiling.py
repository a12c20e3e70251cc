"""How the kernels are compiled: on first use, then kept on disk.

Numba finds a kept kernel by the time stamp of the one file that defines it, and would miss
a change in a file that it calls. The folder that they are kept in is therefore named by
what all files of this package say.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.event import Listener, register

F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger(__name__)


class _Told(Listener):  # type: ignore[misc]
    """Says which kernel is being compiled, which takes about a second each."""

    def on_start(self, event: Any) -> None:
        function = event.data["dispatcher"].py_func
        if function.__module__.startswith(__package__):
            log.info("compiling %s", function.__name__)

    def on_end(self, event: Any) -> None:
        pass


register("numba:compile", _Told())


def _folder() -> Path | None:
    """Where kernels are kept: NUMBA_CACHE_DIR or the user's cache; None if read-only."""
    digest = hashlib.sha256(numba.__version__.encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR")
    root = Path(base) if base else _user_cache() / "tinygrad_cnn" / "kernels"
    folder = root / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home()))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


FOLDER = _folder()


def compiled(function: F, parallel: bool = False) -> F:
    """The function compiled by Numba when it is first called with such arguments.

    Additions may be regrouped and fused with multiplications, nothing else: inf and NaN
    stay what they are. It runs without the interpreter's lock.
    """
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(FOLDER or "")
    try:
        kernel: F = numba.njit(
            nogil=True,
            parallel=parallel,
            cache=FOLDER is not None,
            error_model="numpy",
            no_cfunc_wrapper=True,
            fastmath={"reassoc", "contract"},
        )(function)
        return kernel
    finally:
        numba.config.CACHE_DIR = before
