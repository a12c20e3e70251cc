"""Is a gradient right? If not, which operation is wrong, and how?

`verify` for functions, modules and results of this package, of PyTorch and of JAX,
`verify_pair` for gradients that somebody wrote in NumPy; `assert_gradients` is both in a
test. `explain` takes one number of a gradient apart; `lint` and
`watch` look for mistakes in a graph and in a training loop.
"""

from .asserting import assert_gradients as assert_gradients
from .explaining.computation import explain as explain
from .linting import lint as lint
from .linting import watch as watch
from .report import Report as Report
from .report import TensorReport as TensorReport
from .verifier import verify as verify
from .verifier import verify_pair as verify_pair

__all__ = [
    "Report",
    "TensorReport",
    "assert_gradients",
    "explain",
    "lint",
    "verify",
    "verify_pair",
    "watch",
]
