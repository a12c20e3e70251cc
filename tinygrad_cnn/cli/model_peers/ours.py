"""A user's model under this package."""

from __future__ import annotations

from ...benchmark.cases import Case
from ...benchmark.peers.base import Program
from ...benchmark.peers.ours import LIBRARY as LIBRARY
from ...benchmark.peers.ours import available as available
from .step import Training, batch_of


def build(case: Case) -> Program:
    """The program of the model."""
    import tinygrad_cnn

    of = batch_of(case)
    return Training(tinygrad_cnn, of.model, of.images, of.labels)
