"""What the last bits of a training run depend on."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from .. import __version__
from ..nn import Module


def environment(model: Module, batches: int | None) -> dict[str, Any]:
    """Package, NumPy, BLAS with its threads, platform, dtype, batches of an epoch."""
    dtypes = {str(p.dtype) for p in model.parameters()}
    return {
        "tinygrad_cnn": __version__,
        "numpy": np.__version__,
        "blas": _blas(),
        "platform": f"{platform.system()} {platform.machine()}",
        "dtype": " ".join(sorted(dtypes)),
        "batches": batches,
    }


def _blas() -> str | None:
    """NumPy's library of matrix products, and its threads; None: cannot be told."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    keys = ("internal_api", "version", "architecture", "num_threads")
    found = [info for info in threadpool_info() if info["user_api"] == "blas"]
    # Other packages bring libraries of their own, which NumPy does not use.
    own = [info for info in found if "numpy" in info["filepath"]] or found
    rows = [[str(info.get(k)) for k in keys] for info in own]
    return ", ".join(sorted({" ".join(row) for row in rows}))
