"""DeZero, imported so that it runs: version 0.0.13 uses a name that NumPy 1.24 removed.

Only in the process of this peer; importing it is what makes the change.
"""

from __future__ import annotations

import importlib

import numpy as np

np.int = int  # type: ignore[attr-defined]
importlib.import_module("dezero")
