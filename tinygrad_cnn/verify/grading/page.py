"""What was found in a class, as a table, as CSV, and as one page of HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape

from ...output.text import format_columns, printable
from ..report import Report
from .grade import Graded, place, summary_of
from .pictures import pictures_of

WIDTH = 80
"""Characters of a line of the table."""

PICTURED = 4
"""Wrong tensors of a file that have pictures."""

HEADINGS = ("file", "outcome", "right", "what")

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 72em; margin: 2em auto;
  padding: 0 1em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25em .8em .25em 0;
  border-bottom: 1px solid var(--line); }
td.number { text-align: right; white-space: nowrap; }
pre { background: var(--soft); padding: .8em; white-space: pre-wrap; font-size: 13px; }
section { border-top: 1px solid var(--line); margin-top: 2em; }
.outcome { white-space: nowrap; font-weight: 600; }
.right { color: light-dark(#00684c, #4fd6ab); }
.wrong, .crashed, .timed-out { color: light-dark(#a33d00, #ff9d5c); }
.could-not-read, .unclear { color: light-dark(#73510d, #f0c94a); }
.maps { display: flex; flex-wrap: wrap; gap: 1.2em; }
figure { margin: 0; }
img { image-rendering: pixelated; background: #8885; border: 1px solid var(--line); }
figcaption, .legend { font-size: 13px; }
.bar { display: inline-block; width: 9em; height: .8em; vertical-align: middle;
  border: 1px solid var(--line);
  background: linear-gradient(to right, #2166ac, #f7f7f7, #b2182b); }
""".strip()

LEGEND = """
<p class="legend">Heat maps: <span>−</span> <span class="bar"></span> <span>+</span>,
white is 0, grey was not measured. The last two axes are an image; images are laid side by
side.</p>
""".strip()


def table_of(graded: Sequence[Graded]) -> str:
    """A line for each file, of at most 80 characters, and one that counts."""
    rows = [HEADINGS, *[_row(one) for one in graded]]
    shortened = [[_cut(row[0], 24), *row[1:]] for row in rows]
    lines = [_cut(line, WIDTH) for line in format_columns(shortened)]
    return "\n".join([*lines, "", summary_of(graded)])


def csv_of(graded: Sequence[Graded]) -> str:
    """The same with all of the text, and the seconds of each file."""
    file = io.StringIO()
    write = csv.writer(file, lineterminator="\n").writerow
    write([*HEADINGS, "seconds"])
    for one in graded:
        # a spreadsheet would compute what begins like a formula
        cells = [f"'{c}" if c[:1] in "=+-@\t" and c else c for c in _row(one)]
        write([*cells, f"{one.seconds:.1f}"])
    return file.getvalue()


def page_of(graded: Sequence[Graded]) -> str:
    """A page that needs nothing else: the table, then each file with pictures."""
    heads = "".join([f"<th>{heading}</th>" for heading in (*HEADINGS, "seconds")])
    rows = "\n".join([_html_row(k, one) for k, one in enumerate(graded)])
    sections = "\n".join([_section(k, one) for k, one in enumerate(graded)])
    title = escape(summary_of(graded))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{STYLE}
</style>
</head>
<body>
<h1>Gradients</h1>
<p>{title}</p>
<table>
<tr>{heads}</tr>
{rows}
</table>
{sections}
</body>
</html>
"""


def text_of(report: Report) -> str:
    """The report, or one line if there was nothing to check."""
    first = report.tensors[0]
    why = first.failure or first.unread
    alone = why and len(report.tensors) == 1 and not first.shape
    return f"{report.title}: {why}" if alone else str(report)


def _row(one: Graded) -> list[str]:
    right, count = one.gradients
    cells = [one.file, one.outcome, f"{right}/{count}", " ".join(one.what.split())]
    return [printable(cell) for cell in cells]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _html_row(k: int, one: Graded) -> str:
    file, outcome, right, what = map(escape, _row(one))
    return (
        f'<tr><td><a href="#file-{k}">{file}</a></td><td>{_outcome(outcome)}</td>'
        f'<td class="number">{right}</td><td>{what}</td>'
        f'<td class="number">{one.seconds:.1f}</td></tr>'
    )


def _outcome(outcome: str) -> str:
    return f'<span class="outcome {outcome.replace(" ", "-")}">{outcome}</span>'


def _section(k: int, one: Graded) -> str:
    """One file: its reports, pictures of what is wrong, and what it printed."""
    head = f"<h2>{escape(printable(one.file))}: {_outcome(one.outcome)}</h2>"
    wrong = [(r, t) for r in one.reports for t in r.tensors if t.values]
    maps = "".join([pictures_of(place(r, t), t) for r, t in wrong[:PICTURED]])
    reports = "\n\n".join([text_of(report) for report in one.reports])
    parts = [head, f"<pre>{escape(printable(reports))}</pre>"]
    parts += [LEGEND, maps] if maps else []
    if one.printed:
        printed = escape(printable(one.printed))
        parts.append(
            f"<details><summary>what it printed</summary><pre>{printed}</pre></details>"
        )
    return f'<section id="file-{k}">\n' + "\n".join(parts) + "\n</section>"
