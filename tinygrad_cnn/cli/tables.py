"""Tables on stdout: drawn by rich on a terminal, or else plain columns."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..metrics import Scores
from ..output.text import format_columns


def show(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    if sys.stdout.isatty():
        try:
            return _draw(headings, rows)
        except ImportError:
            pass
    print("\n".join(format_columns([headings, *rows], 1)))


def figures(scores: Scores, of: str = "") -> dict[str, str]:
    """The figures of an evaluation, with names that begin with `of`."""
    shares = {"accuracy": scores.accuracy, "precision": scores.precision}
    shares |= {"recall": scores.recall, "F1": scores.f1}
    percents = {f"{of}{name}": f"{share:.2%}" for name, share in shares.items()}
    return {f"{of}loss": f"{scores.loss:.4f}"} | percents


def _draw(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)
