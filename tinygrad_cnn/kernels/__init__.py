"""Arrays in, arrays out. Which table of kernels serves is decided here."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError
from . import reference
from .geometry import Pair, Window, pair
from .threads import start_pool, threads_of_blas

__all__ = ["Pair", "Window", "active", "pair", "serving", "use"]


class Active:
    """The kernels of the table that serves, found when the first of them is asked for.

    That is `fast` where Numba is installed (which takes a moment to load), else
    `reference`. TINYGRAD_CNN_KERNELS=reference asks for the readable ones.
    """

    table = ""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self.table or name not in reference.KERNELS:
            raise AttributeError(f"there is no kernel {name}")
        use(os.environ.get("TINYGRAD_CNN_KERNELS") or _best())
        kernel: Callable[..., Any] = getattr(self, name)
        return kernel


active = Active()


def _best() -> str:
    return "fast" if importlib.util.find_spec("numba") else "reference"


def use(table: str) -> None:
    """Compute with the kernels of "fast" or of "reference", in every thread, from now on.

    Raises ArgumentError for another name, and for "fast" where Numba is not installed.
    """
    if table not in ("fast", "reference"):
        raise ArgumentError(
            f"there are no kernels {table!r}; use 'fast' or 'reference' "
            "(TINYGRAD_CNN_KERNELS, or kernels.use)"
        )
    if table == "fast" and _best() != "fast":
        raise ArgumentError(
            "the fast kernels need Numba: pip install 'tinygrad-cnn[fast]'"
        )
    kernels = importlib.import_module(f".{table}", __name__)
    if table == "fast":
        start_pool()
    else:
        threads_of_blas()
    active.table = table
    for name in reference.KERNELS:
        setattr(active, name, getattr(kernels, name))


def serving() -> str:
    """The table of kernels that serves: "fast" or "reference"."""
    _ = active.relu  # the first kernel that is asked for decides
    return active.table
