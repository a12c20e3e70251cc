"""Which piece of each switching operation a run took, to tell a kink from a mistake.

Two runs whose branches are the same at every operation lie on one smooth piece of the
function; a difference quotient between them means something. No tolerance is involved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..core.recording import module_path, observer, setting
from ..ops.base import Op, Value


@dataclass(frozen=True)
class Corner:
    """A value on the edge between two pieces: "relu at features.1, element (0, 5): …"."""

    operation: str
    module: str
    element: tuple[int, ...]
    distance: float
    """How far the value is from the corner; NaN where the operation cannot tell."""

    def __str__(self) -> str:
        inside = f" at {self.module}" if self.module else ""
        far = "on the corner" if self.distance == 0 else f"{self.distance:.1e} from it"
        element = f", element {self.element}" if self.element else ""
        text = "" if np.isnan(self.distance) else f": {far}"
        return f"{self.operation}{inside}{element}{text}"


class Branch(NamedTuple):
    """The pieces that a switching operation took, one for each of its values."""

    operation: str
    module: str
    piece: Any
    margin: Any
    """How far each value is from another piece; None where that is not known."""


@dataclass
class Path:
    """The operations of one run, in order, and the branches that they took."""

    operations: list[str] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)

    def note(
        self,
        op: Op,
        inputs: list[Value],
        y: Value,
        kept: Sequence[Value],
        margins: bool = False,
    ) -> bool:
        """Add an operation as it was applied; whether it has branches."""
        self.operations.append(type(op).__name__)
        piece = op.piece("branch", inputs, y, kept)
        if piece is None:
            return False
        name = getattr(op, "name", type(op).__name__.lower())
        margin = op.piece("margin", inputs, y, kept) if margins else None
        if margin is not None:
            margin = np.broadcast_to(margin, np.shape(piece))
        self.branches.append(Branch(name, module_path.get(), np.array(piece), margin))
        return True

    def same_as(self, other: Path) -> bool:
        """Whether both took the same branches everywhere."""
        return self.operations == other.operations and all(
            a.piece is b.piece or np.array_equal(a.piece, b.piece)
            for a, b in zip(self.branches, other.branches, strict=True)
        )

    def corners(self, *others: Path) -> list[Corner]:
        """Where the others differ from this path, which must know its margins."""
        found = {}
        for other in others:
            if other.operations != self.operations:
                return [Corner("the program itself takes another way", "", (), np.nan)]
            pairs = zip(self.branches, other.branches, strict=True)
            for at, (here, there) in enumerate(pairs):
                for element in np.argwhere(np.asarray(here.piece != there.piece)):
                    index = tuple(element.tolist())
                    distance = np.nan if here.margin is None else here.margin[index]
                    corner = Corner(here.operation, here.module, index, float(distance))
                    found[at, index] = corner
        return sorted(found.values(), key=lambda corner: corner.distance)


@contextmanager
def watch_branches(margins: bool = False) -> Iterator[Path]:
    """Note the operations and branches of what runs inside; their margins, if asked."""
    path = Path()

    def observe(op: Op, inputs: list[Value], y: Value, kept: Sequence[Value]) -> None:
        path.note(op, inputs, y, kept, margins)

    with setting(observer, observe):
        yield path
