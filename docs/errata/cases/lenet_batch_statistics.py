"""lenet §6.1: an image is normalised with the others of its batch at test time too.

What the net says of an image then depends on which others it is shown with.
"""

import numpy as np

WHERE = "`lenet` §6.1"
STATES = (
    r"$(x - \mathrm{mean}) / (\mathrm{std} + 10^{-8})$ of the batch, in testing "
    "as in training"
)
RIGHT = "in testing with running averages of the means and variances of training"


def stated(batch):
    return (batch - batch.mean(axis=0)) / (batch.std(axis=0) + 1e-8)


def right(batch, running_mean, running_std):
    return (batch - running_mean) / (running_std + 1e-8)


def shows():
    rng = np.random.default_rng(0)
    image, *others = rng.normal(3, 2, size=(8, 5))
    batches = [np.array([image, *others[:3]]), np.array([image, *others[3:]])]
    first, second = (stated(batch)[0] for batch in batches)
    steady, same = (right(batch, 3, 2)[0] for batch in batches)
    alone = stated(image[None])
    off, still = np.abs(first - second).max(), np.abs(steady - same).max()
    return (
        f"the outputs for one image in two batches differ by {off:.2f}, and alone in its "
        f"batch it gives {np.abs(alone).max():g} everywhere; with running statistics they "
        f"differ by {still:g}"
    )
