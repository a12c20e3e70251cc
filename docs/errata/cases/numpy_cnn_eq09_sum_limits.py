"""numpy-cnn eq. (9): the sums of the convolution run to the size of the input Z.

Its later equations have the right array, but the same upper limit: a size, where the last
index is the size − 1.
"""

import numpy as np

WHERE = "`numpy-cnn` eq. (9)"
STATES = (
    r"$\sum_{x', y'} W_{x', y'} Z_{x + x', y + y'}$ over $x', y' = 0 \ldots$ size "
    "of $Z$"
)
RIGHT = r"$x', y' = 0 \ldots$ size of $W - 1$"


def stated(z, w):
    return correlation(z, w, [size + 1 for size in z.shape])


def right(z, w):
    return correlation(z, w, w.shape)


def correlation(z, w, ends):
    sizes = [a - b + 1 for a, b in zip(z.shape, w.shape, strict=True)]
    y = np.zeros(sizes)
    for at in np.ndindex(*sizes):
        for tap in np.ndindex(*ends):
            y[at] += w[tap] * z[at[0] + tap[0], at[1] + tap[1]]
    return y


def shows():
    z, w = np.ones((5, 5)), np.ones((3, 3))
    asked = (z.shape[0] + 1) * (z.shape[1] + 1)
    try:
        stated(z, w)
    except IndexError:
        error = "IndexError"
    return (
        f"on 5×5 pixels each output asks for {asked} weights, of which a kernel of 3×3 has "
        f"{w.size}: {error}; with the right limits {right(z, w)[0, 0]:g} products are added"
    )
