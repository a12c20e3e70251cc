"""How cost grows, as tables and as a picture of a panel for each axis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..output import plotting
from ..output.plotting import COLOURS
from ..output.text import format_markdown
from .report import conditions, milliseconds, notes, timed_peers, times
from .scale import BASE, WHAT

MARKERS = "os^"

EXPLAINED = (
    "Milliseconds of a training step (the median of the rounds), and in brackets how many "
    "times as long as tinygrad_cnn, recorded. What is not varied: "
    + ", ".join([f"{name} {value}" for name, value in BASE.items()])
    + "."
)


def labels(results: dict[str, Any]) -> list[str]:
    """Of the peers that were timed anywhere, in order."""
    found = [
        p["label"] for points in results["axes"].values() for p in points[0]["peers"]
    ]
    return list(dict.fromkeys(found))


def rows(points: list[dict[str, Any]], columns: list[str]) -> list[list[str]]:
    """A row for each value of an axis: the value, and a cell for each peer."""
    found = []
    for point in points:
        cells = {peer["label"]: _cell(peer) for peer in timed_peers(point)}
        found.append([f"{point['value']:,}", *[cells.get(c, "–") for c in columns]])
    return found


def _cell(peer: dict[str, Any]) -> str:
    ratio = f" ({times(peer['ratio']['of_medians'])})" if peer["ratio"] else ""
    return f"{milliseconds(peer['spread']['median'])}{ratio}"


def to_markdown(results: dict[str, Any], picture: str | None = None) -> str:
    """The page's generated part: conditions, picture, and a table for each axis."""
    lines = [f"`{results['command']}`", ""]
    lines += [f"- {line}" for line in conditions(results)]
    lines += ["", EXPLAINED, ""]
    if picture:
        lines += [f"![Time of a step along five axes.]({picture})", ""]
    columns = labels(results)
    align = ["--:"] * (len(columns) + 1)
    for axis, points in results["axes"].items():
        table = format_markdown([WHAT[axis], *columns], rows(points, columns), align)
        lines += [*table, ""]
        lines += [f"- {point['what']}: {n}" for point in points for n in notes(point)]
        lines += [""] if lines[-1] else []
    return "\n".join(lines).rstrip() + "\n"


def save(results: dict[str, Any], path: Path) -> None:
    """Draw the results into an .svg, .png or .pdf file. Raises as `plotting.check`."""
    plotting.save(lambda figure: _draw(figure, results), path)


def _draw(figure: Any, results: dict[str, Any]) -> None:
    """A panel for each axis, both scales logarithmic, and one legend above."""
    names = labels(results)
    axes = list(results["axes"].items())
    figure.set_size_inches(11, 5.5)
    places = figure.subplots(2, 3, sharey=True).flatten()
    for place, (axis, points) in zip(places, axes, strict=False):
        for index, name in enumerate(names):
            _line(place, points, name, index)
        _label(place, axis, [point["value"] for point in points])
    for place in places[len(axes) :]:
        place.set_axis_off()
    for place in (places[0], places[3]):
        place.set_ylabel("milliseconds per step")
    handles, found = places[0].get_legend_handles_labels()
    where: Any = {"loc": "outside upper center", "ncols": len(names)}
    figure.legend(handles, found, frameon=False, **where)


def _line(place: Any, points: list[dict[str, Any]], name: str, index: int) -> None:
    """The medians of a peer, with the quartiles as a band."""
    timed = [(point["value"], peer) for point in points for peer in timed_peers(point)]
    own = [(value, peer["spread"]) for value, peer in timed if peer["label"] == name]
    values = [value for value, _ in own]
    lower, middle, upper = (
        [1000 * spread[part] for _, spread in own]
        for part in ("lower", "median", "upper")
    )
    look: Any = {"color": COLOURS[index % len(COLOURS)]}
    place.plot(
        values, middle, marker=MARKERS[index % 3], ms=4, lw=1.4, label=name, **look
    )
    place.fill_between(values, lower, upper, alpha=0.2, lw=0, **look)


def _label(place: Any, axis: str, values: list[int]) -> None:
    place.set_xscale("log")
    place.set_yscale("log")
    place.yaxis.set_major_formatter(lambda ms, _: f"{ms:,g}")
    place.set_xticks(values, [f"{value:,}" for value in values])
    place.set_xticks([], minor=True)
    place.set_xlabel(WHAT[axis])
    place.grid(alpha=0.3)
    place.spines[["top", "right"]].set_visible(False)
