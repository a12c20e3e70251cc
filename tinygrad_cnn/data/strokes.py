"""How digits are written: pen strokes through a few points, drawn as anti-aliased ink.

Coordinates: x to the right, y down, both 0..1 over the box of the digit. A style is one
way of writing a digit: a list of strokes, each a list of points that the pen passes; a
point that repeats makes a corner. The curve between p₁ and p₂ is a Catmull-Rom spline:

    2 p(t) = 2 p₁ + (p₂ − p₀) t + (2 p₀ − 5 p₁ + 4 p₂ − p₃) t²
             + (3 p₁ − p₀ − 3 p₂ + p₃) t³
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Stroke = list[tuple[float, float]]

POINTS = 64  # pen positions of one digit, shared out among its strokes

# fmt: off
STYLES: dict[int, list[list[Stroke]]] = {
    0: [[[(.52, .00), (.16, .14), (.00, .50), (.14, .86), (.46, 1.0), (.80, .86),
          (.94, .50), (.82, .14), (.50, .00)]],
        [[(.62, .04), (.26, .10), (.06, .42), (.10, .82), (.40, 1.0), (.72, .84),
          (.86, .48), (.80, .14), (.56, .02), (.40, .06)]]],
    1: [[[(.50, .00), (.50, .35), (.49, .70), (.48, 1.0)]],
        [[(.06, .30), (.32, .16), (.56, .00), (.56, .00), (.55, .50), (.54, 1.0)]],
        [[(.10, .30), (.34, .16), (.54, .00), (.54, .00), (.53, .50), (.52, .98)],
         [(.06, 1.0), (.50, .98), (.98, 1.0)]]],
    2: [[[(.04, .24), (.22, .04), (.54, .00), (.80, .16), (.78, .42), (.46, .70),
          (.02, .98), (.02, .98), (.48, .96), (.98, .96)]],
        [[(.06, .20), (.30, .00), (.68, .04), (.80, .30), (.60, .62), (.26, .90),
          (.08, .98), (.02, .84), (.18, .74), (.46, .88), (.70, 1.0), (1.0, .90)]]],
    3: [[[(.06, .14), (.34, .00), (.68, .06), (.76, .26), (.56, .44), (.32, .48),
          (.32, .48), (.66, .54), (.86, .74), (.68, .96), (.34, 1.0), (.02, .86)]],
        [[(.04, .04), (.44, .02), (.86, .02), (.86, .02), (.60, .24), (.40, .42),
          (.40, .42), (.76, .50), (.88, .74), (.64, .98), (.28, .98), (.02, .84)]]],
    4: [[[(.16, .02), (.10, .28), (.08, .54), (.08, .54), (.48, .56), (.90, .52)],
         [(.72, .00), (.70, .50), (.66, 1.0)]],
        [[(.62, .00), (.34, .32), (.04, .64), (.04, .64), (.50, .64), (.98, .62)],
         [(.64, .02), (.66, .50), (.66, 1.0)]],
        [[(.10, .06), (.06, .34), (.20, .50), (.50, .46), (.78, .30), (.84, .04),
          (.84, .04), (.80, .50), (.72, 1.0)]]],
    5: [[[(.88, .02), (.50, .02), (.22, .04), (.22, .04), (.18, .24), (.14, .44),
          (.14, .44), (.44, .36), (.78, .48), (.84, .76), (.58, .98), (.24, .98),
          (.02, .86)]],
        [[(.24, .04), (.20, .24), (.14, .46), (.14, .46), (.48, .38), (.80, .54),
          (.80, .82), (.50, 1.0), (.20, .98), (.04, .86)],
         [(.24, .04), (.56, .05), (.94, .00)]]],
    6: [[[(.70, .00), (.36, .20), (.10, .54), (.08, .84), (.34, 1.0), (.70, .94),
          (.80, .70), (.58, .54), (.28, .62), (.10, .82)]],
        [[(.50, .00), (.24, .28), (.06, .62), (.14, .92), (.48, 1.0), (.78, .84),
          (.72, .60), (.42, .56), (.16, .72)]]],
    7: [[[(.02, .08), (.40, .04), (.84, .02), (.84, .02), (.62, .40), (.44, .72),
          (.36, 1.0)]],
        [[(.04, .18), (.10, .02), (.46, .06), (.90, .02), (.90, .02), (.66, .42),
          (.50, .74), (.42, 1.0)]],
        [[(.02, .06), (.40, .04), (.84, .02), (.84, .02), (.62, .40), (.46, .72),
          (.38, 1.0)], [(.24, .52), (.52, .50), (.80, .48)]]],
    8: [[[(.70, .10), (.44, .00), (.18, .12), (.22, .32), (.50, .48), (.76, .66),
          (.74, .92), (.44, 1.0), (.14, .88), (.18, .66), (.48, .48), (.74, .30),
          (.74, .14), (.66, .06)]],
        [[(.46, .46), (.22, .34), (.20, .10), (.48, .00), (.74, .12), (.72, .34),
          (.46, .46), (.16, .62), (.12, .88), (.44, 1.0), (.78, .88), (.74, .62),
          (.48, .46)]]],
    9: [[[(.78, .16), (.52, .00), (.18, .10), (.08, .34), (.26, .50), (.58, .42),
          (.78, .16), (.78, .16), (.74, .58), (.66, 1.0)]],
        [[(.76, .12), (.46, .00), (.14, .14), (.12, .40), (.42, .50), (.72, .34),
          (.78, .10), (.82, .44), (.72, .80), (.48, .98), (.18, .94)]]],
}
# fmt: on


def _draw_spline(points: Stroke, samples: int = 24) -> Array:
    """The Catmull-Rom spline through `points`, `samples` positions a segment."""
    p = np.array([points[0], *points, points[-1]], np.float32)
    p0, p1, p2, p3 = (p[k : len(p) - 3 + k, None] for k in range(4))
    t = np.linspace(0, 1, samples, dtype=np.float32)[:, None]
    curve = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
    curve = curve + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    halved: Array = curve / 2
    return halved.reshape(-1, 2)


def _space_evenly(curve: Array, count: int) -> Array:
    """`count` positions along the curve at equal distances."""
    steps = np.hypot(*np.diff(curve, axis=0).T)
    distance = np.concatenate([[0], np.cumsum(steps)])
    wanted = np.linspace(0, distance[-1], count)
    return np.stack([np.interp(wanted, distance, axis) for axis in curve.T], 1)


def trace(strokes: list[Stroke]) -> tuple[Array, Array]:
    """A style's pen positions (POINTS, 2), and for each gap whether the pen is down."""
    curves = [_draw_spline(stroke) for stroke in strokes]
    lengths = np.array([np.hypot(*np.diff(c, axis=0).T).sum() for c in curves])
    counts = np.maximum(np.round(POINTS * lengths / lengths.sum()).astype(int), 2)
    counts[0] += POINTS - counts.sum()
    path = np.concatenate(list(map(_space_evenly, curves, counts)))
    down = np.ones(POINTS - 1, np.float32)
    down[np.cumsum(counts)[:-1] - 1] = 0
    return path.astype(np.float32), down


def ink(path: Array, down: Array, radius: Array, size: int) -> Array:
    """Draw pen paths (N, P, 2), in pixels, as images (N, size, size) of ink in 0..1.

    The field f = Σ_k ℓ_k exp(−|x − m_k|² / 2σ²) / (σ √(2π)), over the gaps of length
    ℓ_k with middle m_k, is 1 on a long straight stroke and ½ at σ √(2 ln 2) beside it,
    where the edge of the ink lies. exp(−|x − m|²) factors into columns and rows, so
    that the sum over the gaps is one matrix product per image.
    radius: (N, P − 1), half the stroke's width; down: (N, P − 1), 0 for a lifted pen.
    """
    sigma = radius / np.float32(np.sqrt(2 * np.log(2)))
    length = np.hypot(*np.moveaxis(np.diff(path, axis=1), -1, 0)) * down
    middle = (path[:, 1:] + path[:, :-1]) / 2
    pixel = np.arange(size, dtype=np.float32)
    offset = (pixel - middle[..., None]) / sigma[..., None, None]
    columns, rows = np.moveaxis(np.exp(-(offset**2) / 2), 2, 0)
    rows = rows * (length / (sigma * np.float32(np.sqrt(2 * np.pi))))[..., None]
    field = np.matmul(rows.transpose(0, 2, 1), columns)
    slope = 1.5 * sigma.mean(1)[:, None, None]  # an edge about one pixel wide
    drawn: Array = np.clip((field - 0.5) * slope + 0.5, 0, 1)
    return drawn
