"""Medians, quartiles and ratios, against NumPy's percentiles and by hand."""

import numpy as np
import pytest

from tinygrad_cnn.benchmark.spread import Ratio, Spread


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 10, 11])
def test_quartiles_are_numpys_percentiles(count):
    values = np.random.default_rng(count).exponential(size=count).tolist()
    expected = np.percentile(values, [0, 25, 50, 75, 100])
    assert list(vars(Spread.of(values)).values()) == pytest.approx(list(expected))


def test_the_spread_of_numbers_in_a_row():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert Spread.of(values) == Spread(1, 2, 3, 4, 5)
    assert Spread.of([7.0]) == Spread(7, 7, 7, 7, 7)


def test_both_ratios_are_what_they_say():
    ours, other = [1.0, 2.0, 30.0], [2.0, 8.0, 3.0]
    found = Ratio.of(other, ours)
    assert found.of_medians == 3 / 2  # of 3 and 2
    assert found.median == 2.0  # of 2, 4 and 0.1
    assert (found.lower, found.upper) == pytest.approx((1.05, 3.0))


def test_a_slow_machine_that_slows_both_leaves_the_ratio_by_round():
    slow = np.array([1.0, 1.0, 50.0, 1.0, 9.0])
    found = Ratio.of(list(2 * slow), list(slow))
    assert found == Ratio(2, 2, 2, 2)


def test_a_peer_beside_itself_is_one():
    assert Ratio.of([0.5, 0.7], [0.5, 0.7]) == Ratio(1, 1, 1, 1)
