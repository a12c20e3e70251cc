"""How many examples the tests draw: few by default, many with the slow tests.

The words that all tests use are explained in README.md beside this file.
"""

import gc
import os
import signal

# Ctrl-C is tested, and a shell that starts the tests in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# One BLAS thread for each of the processes that pytest-xdist starts. PyTorch has as many as
# OpenMP: several would wait for each other, actively, for most of the time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TINYGRAD_CNN_THREADS", "1")

import pytest

pytest.register_assert_rewrite("agreement")

import numpy as np
from cases import Draw
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

# The same examples in every run, so that a failure is repeated by running again; they are
# small from the start, so there is nothing to shrink.
settings.register_profile(
    "repeatable",
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    phases=[Phase.generate],
)
settings.register_profile(
    "thorough", settings.get_profile("repeatable"), max_examples=200
)
settings.load_profile("repeatable")


def slow_ones_run(config):
    return "slow" in config.option.markexpr.replace("not slow", "", 1)


def pytest_configure(config):
    if slow_ones_run(config):
        settings.load_profile("thorough")


def pytest_generate_tests(metafunc):
    if "for_drawn" in metafunc.fixturenames:
        many = pytest.param("many", marks=pytest.mark.slow)
        chosen = many if slow_ones_run(metafunc.config) else "few"
        metafunc.parametrize("for_drawn", [chosen], indirect=True)


def pytest_collection_finish():
    """The collector need not look, in each test, at what all modules have made by now."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng():
    return np.random.default_rng(7)


AT_ONCE = 10
"""Examples that are drawn from one seed."""


@pytest.fixture
def for_drawn(request):
    """Runs a property on drawn examples, at once.

    `@for_drawn(9, dtype=…, empty=…)` above a function of a `cases.Draw` calls it on 3 of
    them, "few"; on 90, "many", where the slow tests run. Hypothesis draws seeds, and NumPy
    what comes of them: each number drawn by Hypothesis would take most of the time.
    """
    times = {"few": 1, "many": 30}[request.param]

    def run(count, **options):
        def decorate(property_of):
            wanted = max(2, count * times // 3)
            at_once = min(wanted, AT_ONCE)

            @settings(max_examples=-(-wanted // at_once))
            @given(seed=st.integers(0, 2**32 - 1))
            def drawn(seed):
                for number in range(at_once):
                    property_of(Draw((seed, number), **options))

            drawn()

        return decorate

    return run
