"""The results as a picture: a group of bars for each case, on a logarithmic axis."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

from ..checkpoint import replacing
from ..errors import ArgumentError
from .report import milliseconds, times

COLOURS = (
    *("#000000", "#0072b2", "#56b4e9", "#e69f00", "#f0e442", "#009e73", "#cc79a7"),
    "#d55e00",
)
"""Of Okabe and Ito, which the colour-blind can tell apart; the order alternates in grey."""
HATCHES = ("", "//", "", "\\\\", "..", "", "xx", "--")
"""So that bars of a similar grey are told apart."""
FORMATS = ("svg", "png", "pdf")


def check(path: Path) -> None:
    """Raise ArgumentError for a file of another ending, and where matplotlib is missing."""
    if path.suffix[1:] not in FORMATS:
        raise ArgumentError(
            f"{path} is no picture that can be drawn; .{', .'.join(FORMATS)} are"
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise ArgumentError(
            "to draw the picture, `pip install matplotlib` (the extra `plot`)"
        )


def save(results: dict[str, Any], path: Path) -> None:
    """Draw the results into an .svg, .png or .pdf file. Raises as `check`."""
    check(path)
    import matplotlib
    from matplotlib.figure import Figure

    labels = _labels(results)
    bars = sum([len(case["peers"]) + 1 for case in results["cases"]])
    fixed: Any = {
        "svg.hashsalt": "bench",
        "svg.fonttype": "none",
        "hatch.linewidth": 0.5,
    }
    with matplotlib.rc_context(fixed):
        figure = Figure((9, 1.5 + 0.19 * bars), layout="constrained")
        _draw(figure.subplots(), results, labels)
        buffer = io.BytesIO()
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(buffer, format=path.suffix[1:], dpi=150, metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(buffer.getvalue())


def _labels(results: dict[str, Any]) -> list[str]:
    """The peers that were timed anywhere, in their order."""
    found = [p for c in results["cases"] for p in c["peers"] if p["state"] == "timed"]
    return list(dict.fromkeys([p["label"] for p in found]))


def _draw(axes: Any, results: dict[str, Any], labels: list[str]) -> None:
    """Bars from the top down: the median, its spread as a line, the ratio beside it."""
    place, ticks, named = 0, [], set()
    for case in results["cases"]:
        timed = [p for p in case["peers"] if p["state"] == "timed"]
        ticks.append((place + (len(timed) - 1) / 2, case["name"]))
        for peer in timed:
            label = "_" if peer["label"] in named else peer["label"]
            named.add(peer["label"])
            _bar(axes, place, peer, label, labels.index(peer["label"]))
            place += 1
        place += 1
    _set_range(axes, results)
    axes.set_yticks(*zip(*ticks, strict=True)) if ticks else None
    axes.set_ylim(place - 0.5, -1)
    axes.set_xlabel(
        "milliseconds per step; beside the bars: times as long as the first"
    )
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if labels:
        axes.figure.legend(loc="outside upper center", ncols=4, frameon=False)


def _set_range(axes: Any, results: dict[str, Any]) -> None:
    """A logarithmic axis a little wider than the bars, with room for the ratios."""
    spreads = [p["spread"] for c in results["cases"] for p in c["peers"] if p["spread"]]
    axes.set_xscale("log")
    if spreads:
        least, most = min(s["lower"] for s in spreads), max(s["upper"] for s in spreads)
        axes.set_xlim(1000 * least / 2, 1000 * most * 2)


def _bar(axes: Any, place: int, peer: dict[str, Any], label: str, index: int) -> None:
    spread = {name: 1000 * seconds for name, seconds in peer["spread"].items()}
    middle = spread["median"]
    axes.barh(
        place,
        middle,
        height=0.9,
        label=label,
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
