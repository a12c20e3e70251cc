"""What every peer's program does, and how one says that it cannot."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Protocol

from ..cases import Case
from ..layers import Array


class Unsupported(Exception):
    """The library has no such thing, or not in bearable time; the message says what."""


class Program(Protocol):
    """A case, built in one library: everything in memory, ready to run."""

    def step(self) -> None:
        """Do once what is timed; all of it is done when this returns."""

    def loss(self) -> float | None:
        """The loss of the last step; None if the case has none."""
        return None

    def arrays(self) -> list[Array]:
        """What must agree: the weights that were trained; else outputs, then gradients.

        Of an operation: the output (unless it is the loss), the gradients of the input
        and of the weights; of a chain the product and the gradients of both factors.
        """

    def checked(self) -> None:
        """The numbers were compared; from now on only the time matters."""
        return None

    def begin(self) -> None:
        """A turn begins, of a few hundred steps.

        Training goes back to its first weights: after some thousand steps on one batch the
        loss is 0, and momenta that fade away slow down each peer to the pace of numbers
        too small to be normal.
        """
        return None


Build = Callable[[Case], Program]


def version(distribution: str) -> str | None:
    """The version of an installed distribution, or None; nothing is imported."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
