"""Optimisers and learning rate schedules, with the names and semantics of `torch.optim`."""

from ..missing import teach
from . import lr_scheduler, swa_utils
from .lbfgs import LBFGS
from .optimizer import Optimizer
from .optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop
from .variants import ASGD, Adamax, NAdam, RAdam, Rprop

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "swa_utils",
]

teach(__name__)
