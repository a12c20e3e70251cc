"""Tables and pictures as Markdown and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..output.text import format_markdown
from .experiment import Cell, Picture, Table


def markdown(table: Table, heading: str = "###") -> str:
    """A table with its title and its note."""
    align = ["---:" if spec else "---" for spec in table.columns.values()]
    rows = [_format(table, row) for row in table.rows]
    lines = format_markdown([*table.columns], rows, align)
    note = [table.note, ""] if table.note else []
    return "\n".join([f"{heading} {table.title}", "", *lines, "", *note])


def blocks(
    tables: Sequence[Table], pictures: Sequence[Picture], folder: str = ""
) -> list[str]:
    """Tables, then pictures with their captions, which may be joined.

    folder: where the pictures lie, with a slash behind.
    """
    shown = [
        f"![{p.caption}]({folder}{p.name}.svg)\n\n*{p.caption}*\n" for p in pictures
    ]
    return [*map(markdown, tables), *shown]


def _format(table: Table, row: Sequence[Cell]) -> list[str]:
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
    lines = ["A quick run, on little data: to try, not to quote.", ""]
    return [
        *(lines if manifest["quick"] else []),
        f"Made by `tinygrad-cnn reproduce` {manifest['tinygrad_cnn']} with seed "
        f"{manifest['seed']}, networks in {manifest['dtype']}, checks in float64, on "
        f"{manifest['threads']} threads of "
        f"{manifest['processor']}; Python {manifest['python']}, {versions}.",
        "",
    ]
