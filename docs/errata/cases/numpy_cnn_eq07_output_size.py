"""numpy-cnn eq. (7): the size of the output, with kernel and input exchanged."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WHERE = "`numpy-cnn` eq. (7)"
STATES = "output size = kernel − input + 1"
RIGHT = "input − kernel + 1"


def stated(size, kernel):
    return kernel - size + 1


def right(size, kernel):
    return size - kernel + 1


def shows():
    windows = sliding_window_view(np.zeros(28), 5)
    return (
        f"a kernel of 5 finds {len(windows)} places on 28 pixels; eq. (7) says "
        f"{stated(28, 5):d}, input − kernel + 1 is {right(28, 5)}"
    ).replace("-", "−")
