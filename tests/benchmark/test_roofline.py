"""The rates of the machine, and the least time that follows from them."""

import pytest

from tinygrad_cnn.benchmark.roofline import Roofline, measure


@pytest.mark.parametrize("threads", [1, 2])
def test_rates_are_measured(threads):
    found = measure(threads, side=128, numbers=10_001, runs=2)
    assert found.threads == threads
    assert found.multiply_adds > 1e6
    assert found.bytes > 1e6


def test_the_slower_of_both_is_the_least_time():
    roofline = Roofline(multiply_adds=100.0, bytes=10.0, threads=1)
    assert roofline.seconds(200, 5) == 2
    assert roofline.seconds(200, 50) == 5
    assert roofline.seconds(0, 0) == 0
