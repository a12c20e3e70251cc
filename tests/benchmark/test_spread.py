"""Medians, quartiles and ratios, against the standard library's and by hand."""

import statistics

import numpy as np
import pytest

from tinygrad_cnn.benchmark.results import ratio, spread

NAMES = ["min", "lower", "median", "upper", "max"]


@pytest.mark.parametrize("count", [2, 3, 4, 7, 10, 11])
def test_quartiles_are_those_of_the_standard_library(count):
    values = np.random.default_rng(count).exponential(size=count).tolist()
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    expected = [min(values), *quartiles, max(values)]
    found = spread(values)
    assert list(found) == NAMES
    assert list(found.values()) == pytest.approx(expected)


def test_the_spread_of_numbers_in_a_row():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert list(spread(values).values()) == [1, 2, 3, 4, 5]
    assert spread([7.0]) == dict.fromkeys(NAMES, 7)


def test_both_ratios_are_what_they_say():
    ours, other = [1.0, 2.0, 30.0], [2.0, 8.0, 3.0]
    found = ratio(other, ours)
    assert found["of_medians"] == 3 / 2  # of 3 and 2
    assert found["median"] == 2.0  # of 2, 4 and 0.1
    assert (found["lower"], found["upper"]) == pytest.approx((1.05, 3.0))


def test_a_slow_machine_that_slows_both_leaves_the_ratio_by_round():
    slow = np.array([1.0, 1.0, 50.0, 1.0, 9.0])
    assert set(ratio(list(2 * slow), list(slow)).values()) == {2}


def test_a_peer_beside_itself_is_one():
    assert set(ratio([0.5, 0.7], [0.5, 0.7]).values()) == {1}
