"""Plain values as text: tables, counts, sizes, numbers, shapes and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Sequence[str]


def format_columns(rows: Sequence[Row], left: int | None = None) -> list[str]:
    """The rows of a table with their cells below each other.

    The first `left` columns (None: all) are aligned at the left, the others at the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if left is None or i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def format_markdown(headings: Row, rows: Iterable[Row], marks: Row) -> list[str]:
    """The lines of a table in Markdown; marks: how each column is aligned, as "--:"."""
    return [f"| {' | '.join(row)} |" for row in (headings, marks, *rows)]


def encode_json(values: Any) -> str:
    """Plain values as JSON; numbers that are not finite become null."""
    return json.dumps(_replace_not_finite(values), allow_nan=False)


def _replace_not_finite(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {str(key): _replace_not_finite(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [_replace_not_finite(value) for value in x]
    return None if isinstance(x, float) and x - x != 0 else x


def printable(text: str) -> str:
    """The text without control characters, which no terminal, page or XML should get.

    Lines and tabs stay; other space becomes a space, anything else U+FFFD.
    """
    kept = [
        c if c.isprintable() or c in "\n\t" else " " if c.isspace() else "\ufffd"
        for c in text
    ]
    return "".join(kept)


def format_plural(count: int, thing: str) -> str:
    """1 term, 1,200 terms."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def format_shape(shape: Sequence[int], scalar: str = "scalar") -> str:
    """4×6×28×28; scalar: what stands for a shape of no dimensions."""
    return "×".join(map(str, shape)) or scalar


def format_number(x: float | None) -> str:
    """Three digits, with a proper minus; None is what JSON made of inf and NaN."""
    return "not finite" if x is None else f"{x:.3g}".replace("-", "−")


def format_count(count: float) -> str:
    """416 k, 2.35 M."""
    scale, unit = choose_unit(count, 1000, ("", " k", " M", " G", " T"))
    return f"{count / scale:.3g}{unit}"


def format_bytes(count: int) -> str:
    """73.5 KiB."""
    scale, unit = choose_byte_unit(count)
    return f"{count / scale:.3g} {unit}"


def choose_byte_unit(count: int) -> tuple[int, str]:
    """A power of 1024 that leaves at most three digits of the bytes, and its name."""
    return choose_unit(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def choose_unit(count: float, step: int, units: Sequence[str]) -> tuple[int, str]:
    """The power of `step` that leaves at most three digits of the count, and its unit."""
    power = 0
    while abs(count) >= 999.5 * step**power and power < len(units) - 1:
        power += 1
    return step**power, units[power]


def format_seconds(seconds: float) -> str:
    """350 µs."""
    for unit in ("s", "ms", "µs"):
        if seconds >= 1 or unit == "µs":
            break
        seconds *= 1000
    return f"{seconds:.3g} {unit}"
