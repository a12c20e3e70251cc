"""The graph of a computation: as data, drawn, summed up, compared, and over time.

`draw` for a picture, `summary` for a table, `diff` for what two graphs or checkpoints
differ in, `memory` for the bytes that a step holds, `walk` for the graph as plain data.
"""

from .data import Graph as Graph
from .diff import diff as diff
from .draw import Drawing as Drawing
from .draw import draw as draw
from .memory import memory as memory
from .summary import summary as summary
from .walk import walk as walk

__all__ = ["Drawing", "Graph", "diff", "draw", "memory", "summary", "walk"]
