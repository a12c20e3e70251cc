"""Tables and pictures as Markdown and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..text import format_markdown
from .experiment import Cell, Picture, Table


def markdown(table: Table, heading: str = "###") -> str:
    """A table with its title and its note."""
    marks = ["---" if spec == "" else "---:" for spec in table.columns.values()]
    cells = [_formatted(table, row) for row in table.rows]
    lines = [f"{heading} {table.title}", ""]
    lines += [*format_markdown([*table.columns], cells, marks), ""]
    return "\n".join([*lines, table.note, ""] if table.note else lines)


def blocks(
    tables: Sequence[Table], pictures: Sequence[Picture], heading: str
) -> list[str]:
    """Tables under headings, then pictures with their captions, which may be joined."""
    shown = [f"![{p.caption}]({p.name}.svg)\n\n*{p.caption}*\n" for p in pictures]
    return [*[markdown(table, heading) for table in tables], *shown]


def _formatted(table: Table, row: Sequence[Cell]) -> list[str]:
    return [
        "" if cell is None else cell if isinstance(cell, str) else format(cell, spec)
        for cell, spec in zip(row, table.columns.values(), strict=True)
    ]


def as_json(table: Table) -> dict[str, Any]:
    """A table with its raw values, each under its heading."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return {"title": table.title, "rows": rows, "note": table.note}


def conditions(manifest: Mapping[str, Any]) -> list[str]:
    """What the results were made with, in words."""
    versions = ", ".join([f"{k} {v}" for k, v in manifest["versions"].items()])
    quick = ["A quick run, on little data: to try, not to quote.", ""]
    return [
        *(quick if manifest["quick"] else []),
        f"Made by `tinygrad-cnn reproduce` {manifest['tinygrad_cnn']} with seed "
        f"{manifest['seed']}, networks in {manifest['dtype']}, checks in float64, on "
        f"{manifest['threads']} threads of "
        f"{manifest['processor']}; Python {manifest['python']}, {versions}.",
        "",
    ]
