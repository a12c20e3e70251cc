"""The results as a picture: a group of bars for each case, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..output import plotting
from ..output.plotting import COLOURS
from .report import milliseconds, timed_peers, times

HATCHES = ("", "//", "", "\\\\", "..", "", "xx", "--")
"""So that bars of a similar grey are told apart."""
LONGEST = 9
"""So many cases stand in one column."""


def save(results: dict[str, Any], path: Path) -> None:
    """Draw the results into an .svg, .png or .pdf file. Raises as `plotting.check`."""
    draw = lambda figure: _draw_columns(figure, results["cases"])
    plotting.save(draw, path, **{"hatch.linewidth": 0.5})


def _draw_columns(figure: Any, cases: Sequence[dict[str, Any]]) -> None:
    """One column of cases, or two where they are many, with one legend above."""
    found = [peer["label"] for case in cases for peer in timed_peers(case)]
    indices = {label: i for i, label in enumerate(dict.fromkeys(found))}
    columns = 1 if len(cases) <= LONGEST else 2
    size = -(-len(cases) // columns)
    parts = [cases[i * size : (i + 1) * size] for i in range(columns)]
    bars = max([sum([len(timed_peers(case)) + 1 for case in part]) for part in parts])
    figure.set_size_inches(8 * columns, 1.5 + 0.19 * bars)
    handles: dict[str, Any] = {}
    places = figure.subplots(1, columns, squeeze=False)[0]
    for axes, part in zip(places, parts, strict=True):
        _draw(axes, part, indices)
        drawn, labels = axes.get_legend_handles_labels()
        handles |= zip(labels, drawn, strict=True)
    if handles:
        where: Any = {"loc": "outside upper center", "ncols": 4 * columns}
        named = [handles[label] for label in indices]
        figure.legend(named, list(indices), frameon=False, **where)


def _draw(axes: Any, cases: Sequence[dict[str, Any]], indices: dict[str, int]) -> None:
    """Bars from the top down: the median, its spread as a line, the ratio beside it."""
    place, ticks, spreads = 0, [], []
    for case in cases:
        peers = timed_peers(case)
        ticks.append(place + (len(peers) - 1) / 2)
        for peer in peers:
            _bar(axes, place, peer, indices[peer["label"]])
            spreads.append(peer["spread"])
            place += 1
        place += 1
    axes.set_xscale("log")
    if spreads:  # a little wider than the bars, with room for the ratios
        least, most = min(s["lower"] for s in spreads), max(s["upper"] for s in spreads)
        axes.set_xlim(1000 * least / 2, 1000 * most * 3)
    axes.set_yticks(ticks, [case["name"] for case in cases])
    axes.set_ylim(place - 0.5, -1)
    axes.set_xlabel("milliseconds per step; times as long as the first")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _bar(axes: Any, place: int, peer: dict[str, Any], index: int) -> None:
    spread = {name: 1000 * seconds for name, seconds in peer["spread"].items()}
    middle = spread["median"]
    look: Any = {"edgecolor": "white", "linewidth": 0.4, "label": peer["label"]}
    look |= {"color": COLOURS[index % len(COLOURS)]}
    look |= {"hatch": HATCHES[index % len(HATCHES)]}
    axes.barh(place, middle, height=0.9, **look)
    axes.plot([spread["lower"], spread["upper"]], [place] * 2, color="#808080", lw=1.5)
    ratio = times(peer["ratio"]["of_medians"]) if peer["ratio"] else ""
    text = f"{ratio}×" if ratio else f"{milliseconds(middle / 1000)} ms"
    where = max(middle, spread["upper"]), place
    beside: Any = {"xytext": (3, 0), "textcoords": "offset points", "va": "center"}
    axes.annotate(text, where, fontsize=7, **beside)
