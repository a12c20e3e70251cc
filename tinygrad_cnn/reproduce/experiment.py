"""What an experiment is made of."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Results = Mapping[str, Any]
"""From the name of a part to what its work returned."""

Work = Generator[float, None, dict[str, Any]]
"""Yields the share that is done, 0 to 1, and returns plain JSON values."""

Cell = str | int | float | None


@dataclass(frozen=True)
class Setup:
    """What the work is told.

    models: the directory of the model files. seed: of the first run. quick: a smoke run, on
    little data. state: a directory for what an interrupted part needs to go on.
    """

    models: Path
    seed: int
    quick: bool
    state: Path

    def model(self, name: str) -> str:
        """Where `load_class` finds a model: "lenet5", or "rnn:ManyToOne"."""
        file, colon, kind = name.partition(":")
        return f"{self.models / file}.py{colon}{kind}"


@dataclass(frozen=True)
class Part:
    """Work whose result is kept under a name; seconds: about how long it takes."""

    name: str
    run: Callable[[Setup], Work]
    seconds: float = 1.0


@dataclass(frozen=True)
class Table:
    """columns: from each heading to the format of its cells, as ".2%"; "" for text.

    A cell that is None stays empty, and text is written as it is in any column.
    """

    title: str
    columns: Mapping[str, str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """name: of its file, without the ending. draw: draws it on an empty Figure."""

    name: str
    caption: str
    draw: Callable[[Any], None]


def row_of_numbers(values: Iterable[float]) -> str:
    """The numbers with spaces between, as a cell."""
    return " ".join([f"{value:g}" for value in values])


class Experiment(Protocol):
    """A module of this package."""

    TITLE: str
    PARTS: Sequence[Part]

    @staticmethod
    def tables(results: Results) -> list[Table]:
        """The tables, from the results of all parts."""

    @staticmethod
    def pictures(results: Results) -> list[Picture]:
        """The pictures, from the results of all parts."""
