"""The graph of a computation: as data, drawn, summed up and compared."""

from .data import Graph as Graph
from .walk import walk as walk

__all__ = ["Graph", "walk"]
