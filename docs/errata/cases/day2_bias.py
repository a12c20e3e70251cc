"""day2 §3: the text adds a bias to each sum, the listing of the layer has none.

The two are different functions, and only one of them has a bias to learn.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WHERE = "`day2` §3"
STATES = r"text: $y = \sum x w + b$; listing: $y = \sum x w$"
RIGHT = "either, but one of them: a model has to say which it follows"


def stated(image, kernel, bias):
    return np.einsum("ijuv,uv->ij", sliding_window_view(image, kernel.shape), kernel)


def right(image, kernel, bias):
    return stated(image, kernel, bias) + bias


def shows():
    sobel = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    image = np.arange(25.0).reshape(5, 5)
    off = right(image, sobel, 0.5) - stated(image, sobel, 0.5)
    return f"with b = 0.5 all {off.size} outputs of the two differ by {off[0, 0]:g}"
