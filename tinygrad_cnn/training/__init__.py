"""Training: `fit` and `evaluate`, the recipe of a run, and model files.

`fit` is a generator of records, one a batch or epoch; what it writes is a checkpoint and a
log. `recipe` is what a run is made of, `model_file` finds the model in the user's file.
"""

from .fitting import evaluate as evaluate
from .fitting import fit as fit
from .records import BatchRecord as BatchRecord
from .records import EndRecord as EndRecord
from .records import EpochRecord as EpochRecord
from .records import Progress as Progress
from .records import Record as Record

__all__ = [
    "BatchRecord",
    "EndRecord",
    "EpochRecord",
    "Progress",
    "Record",
    "evaluate",
    "fit",
]
