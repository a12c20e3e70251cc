"""How far each value is from a corner, of every operation that tells it.

The values lie on a coarse grid, so that ties and corners are met all the time, and the
expected distances are written as loops over single values.
"""

import math

import numpy as np
import oracles
import pytest

from tinygrad_cnn import Tensor
from tinygrad_cnn.kernels import Window
from tinygrad_cnn.ops import (
    activation,
    arithmetic,
    classification,
    pooling,
    reduction,
    selection,
)
from tinygrad_cnn.ops.base import registry
from tinygrad_cnn.verify.branches import watch_branches


def grid(rng, *shape):
    """Multiples of 1/4 from -1 to 1: exact in binary, so that distances are."""
    return rng.integers(-4, 5, shape) / 4


def size_of(x):
    return oracles.each(abs)(x)


def nearer_bound(low, high):
    bounds = [b for b in (low, high) if b is not None]
    return oracles.each(lambda v: min(abs(v - b) for b in bounds))


def from_the_best_other(choose, axes):
    """|x[k] - the best of the others|: a loser's way to the front, or the winner's lead."""

    def distances(x):
        found = np.empty(x.shape)
        kept = [a for a in range(x.ndim) if axes is not None and a not in axes]
        for k in np.ndindex(x.shape):
            others = [
                x[j]
                for j in np.ndindex(x.shape)
                if j != k and all(j[a] == k[a] for a in kept)
            ]
            found[k] = abs(x[k] - choose(others)) if others else math.inf
        return found

    return distances


def lead_in_each_window(window):
    """The largest value of each window less the second; values outside take no part."""

    def leads(x):
        _, _, height, width = x.shape
        rows, columns = oracles.positions((height, width), window)
        found = np.empty((*x.shape[:2], rows, columns))
        for n, c, i, j in np.ndindex(found.shape):
            inside = []
            for u, v in np.ndindex(window.kernel):
                row = i * window.stride[0] + u * window.dilation[0] - window.padding[0]
                column = (
                    j * window.stride[1] + v * window.dilation[1] - window.padding[1]
                )
                if 0 <= row < height and 0 <= column < width:
                    inside.append(x[n, c, row, column])
            first, second, *_ = [*sorted(inside, reverse=True), -math.inf]
            found[n, c, i, j] = first - second
        return found

    return leads


def lead_in_each_part(sizes):
    """As above, in windows that cover the last axes."""

    def lead(values):
        first, second, *_ = [*sorted(values, reverse=True), -math.inf]
        return first - second

    return lambda x: oracles.adaptive(lead, x, sizes)


OVERLAPPING = Window((2, 3), (1, 2), (1, 1), (1, 1))
SPREAD = Window((2, 2), (2, 1), (0, 1), (2, 1))

# An operation, the shapes of its inputs, and the distances.
EXPECTED = [
    (activation.ReLU(), [(3, 4)], size_of),
    (activation.LeakyReLU(0.3), [(3, 4)], size_of),
    (activation.PReLU(), [(3, 4), (4,)], lambda x, w: size_of(x)),
    (activation.ELU(), [(3, 4)], size_of),
    (activation.Threshold(0.25, 3.0), [(3, 4)], lambda x: size_of(x - 0.25)),
    (activation.Hardshrink(0.25), [(3, 4)], nearer_bound(-0.25, 0.25)),
    (activation.Softshrink(0.5), [(3, 4)], nearer_bound(-0.5, 0.5)),
    (activation.Softplus(2.0, 0.5), [(3, 4)], lambda x: size_of(x - 0.25)),
    (activation.Hardtanh(-0.5, 0.75), [(3, 4)], nearer_bound(-0.5, 0.75)),
    (activation.Gate(), [(3, 4), (3, 4)], lambda x, by: size_of(by)),
    (
        arithmetic.Remainder(),
        [(3, 4), (1,)],
        oracles.each(lambda a, b: abs(a - b * round(a / b)) if b else math.nan),
    ),
    (
        arithmetic.Remainder(to_zero=True),
        [(3, 4), (1,)],
        oracles.each(
            lambda a, b: (
                min(abs(abs(a) - k * abs(b)) for k in range(1, 10)) if b else math.nan
            )
        ),
    ),
    (selection.Sign(), [(3, 4)], size_of),
    (selection.Abs(), [(3, 4)], size_of),
    (selection.Round("below"), [(3, 4)], lambda x: size_of(x - np.round(x))),
    (selection.Round("above"), [(3, 4)], lambda x: size_of(x - np.round(x))),
    (
        selection.Round("zero"),
        [(3, 4)],
        oracles.each(lambda v: 1 - abs(v)),  # no jump at 0
    ),
    (
        selection.Round("nearest"),
        [(3, 4)],
        lambda x: size_of(x + 0.5 - np.round(x + 0.5)),
    ),
    (selection.Clip(-0.5, 0.75), [(3, 4)], nearer_bound(-0.5, 0.75)),
    (selection.Clip(None, 0.25), [(3, 4)], nearer_bound(None, 0.25)),
    (selection.Clip(0.25, None), [(3, 4)], nearer_bound(0.25, None)),
    (selection.Maximum(), [(3, 1), (4,)], lambda a, b: size_of(a - b)),
    (selection.Minimum(), [(3, 1), (4,)], lambda a, b: size_of(a - b)),
    (classification.AbsoluteError(), [(3, 1), (4,)], lambda a, b: size_of(a - b)),
    (
        classification.Huber(0.5),
        [(3, 1), (4,)],
        lambda a, b: nearer_bound(-0.5, 0.5)(a - b),
    ),
    *[
        (op(axes, keepdims), [(2, 3, 4)], from_the_best_other(choose, axes))
        for op, choose in ((reduction.Max, max), (reduction.Min, min))
        for axes, keepdims in (
            (None, False),
            ((1,), False),
            ((1,), True),
            ((0, 2), False),
        )
    ],
    (reduction.Max((0,)), [(1, 3)], from_the_best_other(max, (0,))),
    (reduction.Norm(), [(3, 4)], lambda x: math.sqrt(math.fsum((x * x).flat))),
    (reduction.PNorm(), [(3, 4)], size_of),
    (reduction.Std(), [(3, 4)], lambda x: np.std(x, ddof=1)),
    *[
        (pooling.MaxPool2d(window), [(2, 2, 4, 5)], lead_in_each_window(window))
        for window in (Window((2, 2), (2, 2)), OVERLAPPING, SPREAD)
    ],
    *[
        (
            pooling.AdaptiveMaxPool(sizes),
            [(2, 1, 4, 5)],
            lead_in_each_part(sizes),
        )
        for sizes in ((2, 3), (1, 1), (4, 5))
    ],
]


def told_by(op, *arrays):
    with watch_branches(margins=True) as path:
        op(*[Tensor(x) for x in arrays])
    (branch,) = path.branches
    return branch.margin


def test_the_margin_of_every_operation_that_has_one_is_expected_here():
    having = {name for name, op in registry.items() if hasattr(op, "margin")}
    assert {type(op).__name__ for op, _, _ in EXPECTED} == having


@pytest.mark.parametrize(
    ("op", "shapes", "expected"), EXPECTED, ids=[str(op) for op, _, _ in EXPECTED]
)
def test_the_margin_is_the_distance_from_the_nearest_corner(op, shapes, expected, rng):
    for _ in range(10):
        arrays = [grid(rng, *shape) for shape in shapes]
        found = told_by(op, *arrays)
        np.testing.assert_array_equal(
            found, np.broadcast_to(expected(*arrays), found.shape)
        )


@pytest.mark.parametrize("op", [reduction.Max((1,)), reduction.Min((1,))], ids=str)
def test_only_the_extremes_that_tie_have_no_lead(op):
    sign = 1 if isinstance(op, reduction.Max) else -1
    x = sign * np.array([[3.0, 3.0, 1.0], [3.0, 2.0, 0.5], [4.0, 4.0, 4.0]])
    assert told_by(op, x).tolist() == [[0, 0, 2], [1, 1, 2.5], [0, 0, 0]]
