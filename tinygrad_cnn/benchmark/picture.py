"""The results as a picture: a group of bars for each case, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import plotting
from ..plotting import COLOURS
from .report import milliseconds, times

HATCHES = ("", "//", "", "\\\\", "..", "", "xx", "--")
"""So that bars of a similar grey are told apart."""
LONGEST = 9
"""So many cases stand in one column."""

Case = dict[str, Any]


def save(results: dict[str, Any], path: Path) -> None:
    """Draw the results into an .svg, .png or .pdf file. Raises as `plotting.check`."""
    plotting.save(
        lambda figure: _draw_columns(figure, results["cases"]),
        path,
        **{"hatch.linewidth": 0.5},
    )


def _draw_columns(figure: Any, cases: Sequence[Case]) -> None:
    """One column of cases, or two where they are many, with one legend above."""
    found = [peer["label"] for case in cases for peer in _timed(case)]
    indices = {label: i for i, label in enumerate(dict.fromkeys(found))}
    columns = 1 if len(cases) <= LONGEST else 2
    size = -(-len(cases) // columns)
    parts = [cases[i * size : (i + 1) * size] for i in range(columns)]
    bars = max([sum([len(_timed(case)) + 1 for case in part]) for part in parts])
    figure.set_size_inches(8 * columns, 1.5 + 0.19 * bars)
    places = figure.subplots(1, columns, squeeze=False)[0]
    for axes, part in zip(places, parts, strict=True):
        _draw(axes, part, indices)
    named = {
        label: handle
        for axes in places
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if named:
        handles, labels = [named[name] for name in indices], list(indices)
        where: Any = {"loc": "outside upper center", "ncols": 4 * columns}
        figure.legend(handles, labels, frameon=False, **where)


def _timed(case: Case) -> list[dict[str, Any]]:
    return [peer for peer in case["peers"] if peer["state"] == "timed"]


def _draw(axes: Any, cases: Sequence[Case], indices: dict[str, int]) -> None:
    """Bars from the top down: the median, its spread as a line, the ratio beside it."""
    place, ticks, names = 0, [], []
    for case in cases:
        timed = _timed(case)
        ticks.append(place + (len(timed) - 1) / 2)
        names.append(case["name"])
        for peer in timed:
            _bar(axes, place, peer, indices[peer["label"]])
            place += 1
        place += 1
    spreads = [peer["spread"] for case in cases for peer in _timed(case)]
    axes.set_xscale("log")
    if spreads:  # a little wider than the bars, with room for the ratios
        least, most = min(s["lower"] for s in spreads), max(s["upper"] for s in spreads)
        axes.set_xlim(1000 * least / 2, 1000 * most * 3)
    axes.set_yticks(ticks, names)
    axes.set_ylim(place - 0.5, -1)
    axes.set_xlabel("milliseconds per step; times as long as the first")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _bar(axes: Any, place: int, peer: dict[str, Any], index: int) -> None:
    spread = {name: 1000 * seconds for name, seconds in peer["spread"].items()}
    middle = spread["median"]
    axes.barh(
        place,
        middle,
        height=0.9,
        label=peer["label"],
        color=COLOURS[index % len(COLOURS)],
        hatch=HATCHES[index % len(HATCHES)],
        edgecolor="white",
        linewidth=0.4,
    )
    axes.plot([spread["lower"], spread["upper"]], [place] * 2, color="#808080", lw=1.5)
    ratio = times(peer["ratio"]["of_medians"]) if peer["ratio"] else ""
    axes.annotate(
        f"{ratio}×" if ratio else f"{milliseconds(middle / 1000)} ms",
        (max(middle, spread["upper"]), place),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=7,
    )
