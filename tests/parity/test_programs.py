"""Random programs with views and changes in place: no step differs from PyTorch's."""

import pytest

from . import programs

MOST = 250


@pytest.mark.parametrize(
    "first",
    [0, *[pytest.param(MOST * k, marks=pytest.mark.slow) for k in range(1, 12)]],
)
def test_no_value_and_no_gradient_differs(first):
    for seed in range(first, first + MOST):
        batch, steps = programs.draw(seed)
        if programs.run(batch, steps).difference:
            batch, steps, why = programs.shrink(batch, steps)
            program = "\n".join([f"  {name} {numbers}" for name, numbers in steps])
            pytest.fail(f"program {seed}, batch of {batch}, {why}\n{program}")


def test_most_programs_are_run_to_their_end():
    outcomes = [programs.run(*programs.draw(seed)) for seed in range(100)]
    assert sum(not outcome.refused for outcome in outcomes) > 70
