"""Is a gradient right? If not, which operation is wrong, and how?

`verify` for functions, modules and results of this package, `verify_pair` for gradients
that somebody wrote in NumPy.
"""

from .explain import explain as explain
from .report import Report as Report
from .report import TensorReport as TensorReport
from .verifier import verify as verify
from .verifier import verify_pair as verify_pair

__all__ = ["Report", "TensorReport", "explain", "verify", "verify_pair"]
