"""lenet, layer.py: Python's `random` is seeded, the weights come from NumPy's generator.

The two know nothing of each other: a run cannot be repeated. (Each has a generator for the
whole process; here each run makes the two anew, as a new process does.)
"""

import random

import numpy as np

WHERE = "`lenet` listing `layer.py`, seed"
STATES = "random.seed(2400), then np.random.randn"
RIGHT = "seed the generator that draws: np.random.default_rng(2400).normal"
SHAPE = (401, 120)


def stated():
    random.Random(2400)
    return np.random.default_rng().normal(size=SHAPE)


def right():
    return np.random.default_rng(2400).normal(size=SHAPE)


def shows():
    moved = [np.mean(run() != run()) for run in (stated, right)]
    return (
        f"of {SHAPE[0]} × {SHAPE[1]} weights {100 * moved[0]:.0f} % differ from one run to "
        f"the next, {100 * moved[1]:.0f} % with NumPy's generator seeded"
    )
