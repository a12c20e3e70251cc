"""What pictures of several experiments have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def plain(axes: Any, title: str, x: str = "", y: str = "") -> None:
    """A title, names of the axes, a faint grid and no frame."""
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def curve(
    axes: Any,
    values: Sequence[float],
    look: Mapping[str, Any],
    factor: int = 100,
    shift: float = 0,
) -> None:
    """A value after each epoch, in percent or by another factor; look: as for `plot`.

    shift: how many epochs it is moved to the right.
    """
    epochs = [epoch + shift for epoch in range(1, len(values) + 1)]
    axes.plot(epochs, [factor * value for value in values], **look)


def image(axes: Any, pixels: Any, title: str, centred: bool = False) -> None:
    """Pixels (H, W); centred: grey is 0, black and white are half of the extremes."""
    limit = abs(pixels).max() / 2
    limits = {"vmin": -limit, "vmax": limit} if centred else {}
    axes.imshow(pixels, cmap="gray", interpolation="none", **limits)
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])


def confusion(axes: Any, counts: Any, names: Sequence[str], title: str) -> None:
    """A confusion matrix: a row for each label, as shares of it; the counts are written."""
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    middle: Any = {"ha": "center", "va": "center", "fontsize": 6}
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            colour = "white" if shares[i][j] > 0.5 else "black"
            if count:
                axes.text(j, i, str(count), color=colour, **middle)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("taken for")
    axes.set_ylabel("is")
    axes.set_title(title, fontsize=10)
