"""The results as tables, for the terminal and in Markdown, and as files."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

from ..output.files import replacing
from ..output.text import format_markdown

HEADINGS = ["", "ratio", "by round", "median, ms", "min", "quartiles", "max"]
HEADINGS += ["matrix rate", "memory, MiB"]

EXPLAINED = """\
ratio: the median time over that of {first}; more than 1 is slower. by round: the median of
the ratios of each round. min, quartiles, max: of the times of the rounds, in ms. matrix
rate: the share of the machine's rate of single-precision matrix products, {rate:.3g}
multiply-adds per second, that those of a step reach. memory: the peak above what the
process held before the model was built, of the peak in total."""


def marks(of: str = "bench") -> tuple[str, str]:
    """What stands between these lines of a page is replaced; the rest of it stays."""
    return f"<!-- {of}: begin -->", f"<!-- {of}: end -->"


def title(case: dict[str, Any]) -> str:
    """What a case is, in a line."""
    text = f"{case['name']}: {case['kind']}, {case['what']}"
    count = case["multiply_adds"]
    return f"{text}, {count / 1e6:,.3g} million multiply-adds" if count else text


def timed_peers(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The peers that were."""
    return [peer for peer in case["peers"] if peer["state"] == "timed"]


def rows(case: dict[str, Any]) -> list[list[str]]:
    """The cells of each peer that was timed."""
    return [_cells(peer) for peer in timed_peers(case)]


def notes(case: dict[str, Any]) -> list[str]:
    """Why each of the others was not."""
    verbs = {"unsupported": "cannot do this"}
    return [
        f"{p['label']} {verbs.get(p['state'], p['state'])}: {p['reason']}; not timed"
        for p in case["peers"]
        if p["state"] != "timed"
    ]


def _cells(peer: dict[str, Any]) -> list[str]:
    spread = {name: milliseconds(s) for name, s in peer["spread"].items()}
    ratio, share = peer["ratio"], peer["matrix_share"]
    growth, total = peer["memory_growth"] / 2**20, peer["memory_total"] / 2**20
    return [
        peer["label"],
        times(ratio["of_medians"]) if ratio else "",
        times(ratio["median"]) if ratio else "",
        spread["median"],
        spread["min"],
        f"{spread['lower']} to {spread['upper']}",
        spread["max"],
        f"{share:.1%}" if share is not None else "",
        f"{growth:,.0f} of {total:,.0f}",
    ]


def times(ratio: float) -> str:
    """A ratio with two decimals, or with two digits where it is small."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def milliseconds(seconds: float) -> str:
    """A time in milliseconds, three digits of it or all before the point."""
    ms = 1000 * seconds
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"


def conditions(results: dict[str, Any]) -> list[str]:
    """What was measured on what, in a few lines."""
    machine, rates = results["machine"], results["roofline"]
    versions = ", ".join([f"{k} {v}" for k, v in machine["versions"].items()])
    target = machine["compiled_for"]
    name = machine["processor"]
    if target:
        length = f"vectors of {target['vector_bytes']} bytes"
        name += f" (kernels for {target['processor']}, {length})"
    return [
        f"{name}, {machine['cores']} cores, threads of each peer: "
        f"{machine['threads']}, {machine['system']}, Python {machine['python']}",
        versions,
        f"{rates['multiply_adds']:.3g} multiply-adds and {rates['bytes']:.3g} bytes per "
        f"second at most; {results['rounds']} rounds; {machine['date']}",
    ]


def explanation(results: dict[str, Any]) -> str:
    """What the columns are."""
    first = results["cases"][0]["peers"][0]["label"] if results["cases"] else ""
    rate = results["roofline"]["multiply_adds"]
    return textwrap.fill(EXPLAINED.format(first=first, rate=rate), 88)


def to_markdown(results: dict[str, Any], picture: str | None = None) -> str:
    """The page's generated part: conditions, picture, and a table for each case."""
    lines = [f"`{results['command']}`", ""]
    lines += [f"- {line}" for line in conditions(results)] + [""]
    lines += [explanation(results), ""]
    if picture:
        lines += [f"![Time of a step of each library.]({picture})", ""]
    align = [":--", *["--:"] * (len(HEADINGS) - 1)]
    for case in results["cases"]:
        lines += [
            f"### {title(case)}",
            "",
            *format_markdown(HEADINGS, rows(case), align),
            "",
        ]
        lines += [f"- {note}" for note in notes(case)]
        lines += [""] if lines[-1] else []
    return "\n".join(lines).rstrip() + "\n"


def write_markdown(text: str, path: Path, of: str = "bench") -> None:
    """Write the text: between the marks of a page that has them, else as the page."""
    page = path.read_text("utf-8") if path.exists() else ""
    begin, end = marks(of)
    between = re.compile(f"(?<={begin}\n).*(?=^{end}$)", re.DOTALL | re.MULTILINE)
    if between.search(page):
        text = between.sub(lambda _: f"\n{text}\n", page)
    write(text, path)


def write_json(results: dict[str, Any], path: Path) -> None:
    """Write the results."""
    write(json.dumps(results, indent=1) + "\n", path)


def write(text: str, path: Path) -> None:
    """Write a text file, whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.encode())
