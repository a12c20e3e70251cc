"""Arrays in, arrays out. Which table of kernels serves is decided here."""

from . import reference as active
from .geometry import Pair, Window, pair

__all__ = ["Pair", "Window", "active", "pair"]
