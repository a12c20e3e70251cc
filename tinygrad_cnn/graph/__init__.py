"""The graph of a computation: as data, drawn, summed up, compared, and over time.

`draw` for a picture, `summary` for a table, `diff` for what two graphs or checkpoints
differ in, `memory` for the bytes that a step holds, `explore` for a page that steps through
both passes, `walk` for the graph as plain data.
"""

from .comparing.difference import diff as diff
from .costs.layer_table import summary as summary
from .costs.step_memory import memory as memory
from .data import Graph as Graph
from .drawing.drawing import Drawing as Drawing
from .drawing.drawing import draw as draw
from .exploring.page import Page as Page
from .exploring.page import explore as explore
from .walker import walk as walk

__all__ = [
    "Drawing",
    "Graph",
    "Page",
    "diff",
    "draw",
    "explore",
    "memory",
    "summary",
    "walk",
]
