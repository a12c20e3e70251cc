"""Images and kernels with their axes in another order, or without some of them."""

from __future__ import annotations

from typing import NamedTuple

from ..subject import Array

IMAGES = {4: ("nchw", "nhwc"), 3: ("chw", "hwc", "nhw"), 2: ("hw",)}
KERNELS = {4: ("oihw", "hwio", "ohwi", "iohw"), 3: ("ohw", "hwo", "ihw"), 2: ("hw",)}
"""Orders in which people have the axes of images and of kernels, by their number."""


class Layout(NamedTuple):
    """The axes that an array has, and all axes in the order that operations take."""

    axes: str
    full: str = "nchw"

    def raised(self, x: Array) -> Array:
        """The array with all axes, in their order."""
        there = [axis for axis in self.full if axis in self.axes]
        turned = x.transpose([self.axes.index(axis) for axis in there])
        return turned[tuple([slice(None) if a in there else None for a in self.full])]

    def lowered(self, x: Array) -> Array:
        """The array as it was, without the axes that were added."""
        there = [axis for axis in self.full if axis in self.axes]
        few = x[tuple([slice(None) if a in there else 0 for a in self.full])]
        return few.transpose([there.index(axis) for axis in self.axes])


def layouts_of_images(x: Array) -> list[Layout]:
    """The layouts that an array of images may have."""
    return [Layout(axes) for axes in IMAGES.get(x.ndim, ())]


def layouts_of_kernels(w: Array) -> list[Layout]:
    """The layouts that an array of kernels may have."""
    return [Layout(axes, "oihw") for axes in KERNELS.get(w.ndim, ())]
