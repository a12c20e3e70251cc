"""Training: `fit` and `evaluate`, the recipe of a run, and model files.

`fit` is a generator of records, one a batch or epoch; what it writes is a checkpoint and a
log. `recipe` is what a run is made of, `model_file` finds the model in the user's file.
"""

from .fitting import BatchRecord as BatchRecord
from .fitting import EndRecord as EndRecord
from .fitting import EpochRecord as EpochRecord
from .fitting import Progress as Progress
from .fitting import Record as Record
from .fitting import evaluate as evaluate
from .fitting import fit as fit

__all__ = [
    "BatchRecord",
    "EndRecord",
    "EpochRecord",
    "Progress",
    "Record",
    "evaluate",
    "fit",
]
