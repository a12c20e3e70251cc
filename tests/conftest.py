"""How many examples the tests draw: few by default, many with the slow tests.

The words that all tests use are explained in README.md beside this file.
"""

import os
import signal

# Ctrl-C is tested, and a shell that starts the tests in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# One BLAS thread for each of the processes that pytest-xdist starts.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
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


def pytest_configure(config):
    if "slow" in config.option.markexpr.replace("not slow", "", 1):
        settings.load_profile("thorough")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(
    params=[1, pytest.param(30, marks=pytest.mark.slow)], ids=["few", "many"]
)
def for_drawn(request):
    """Runs a property on drawn examples, at once.

    `@for_drawn(9, dtype=…, empty=…)` above a function of a `cases.Draw` calls it on 3 of
    them; on 90 in the slow run.
    """

    def run(count, **options):
        def decorate(property_of):
            @settings(max_examples=max(2, count * request.param // 3))
            @given(st.data())
            def drawn(data):
                property_of(Draw(data.draw, **options))

            drawn()

        return decorate

    return run
