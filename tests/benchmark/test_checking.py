"""When two peers agree."""

import numpy as np
import pytest
from small_cases import SMALL

from tinygrad_cnn.benchmark.checking import Numbers, disagreement, distance, pack

CASE = SMALL["training"]


def numbers(losses=(2.0, 1.5, 1.0), step=0.01, noise=0.0):
    """Those of a peer that adds so much to each weight."""
    rng = np.random.default_rng(0)
    weights = [
        w + step * (1 + noise * rng.normal(size=w.shape)) for w in CASE.weights()
    ]
    return Numbers({"losses": list(losses), "arrays": [pack(w) for w in weights]})


def test_the_same_numbers_agree_and_so_do_roundings():
    assert disagreement(CASE, numbers(), numbers()) is None
    near = numbers((2.0 + 1e-6, 1.5, 1.0), noise=1e-4)
    assert disagreement(CASE, near, numbers()) is None


def test_another_loss_is_named_with_its_step():
    found = disagreement(CASE, numbers((2.0, 1.5, 1.01)), numbers())
    assert found == "the loss of step 3 is 1.01, not 1"
    nan = disagreement(CASE, numbers((2.0, float("nan"), 1.0)), numbers())
    assert nan == "the loss of step 2 is nan, not 1.5"


def test_weights_are_compared_by_what_the_steps_added():
    # Against the weights themselves one per cent of a small step is nothing.
    found = disagreement(CASE, numbers(step=0.0101), numbers())
    assert found.startswith("array 1 of 8, [3, 2, 3, 3], differs by 0.01")


def test_other_shapes_are_said():
    fewer = numbers()
    fewer.arrays = fewer.arrays[:2]
    assert "shapes" in disagreement(CASE, fewer, numbers())


def test_an_operation_must_be_nearer():
    case, y = SMALL["operation"], np.ones((2, 3), np.float32)
    same, off = (
        Numbers({"losses": [None], "arrays": [pack(y * scale)]}) for scale in (1, 1.001)
    )
    assert disagreement(case, same, same) is None
    assert "0.001 of its norm" in disagreement(case, off, same)


def test_distance_is_relative_to_what_changed():
    a, b = np.float32([3.0, 4.0]), np.float32([3.0, 3.0])
    assert distance(a, b, 3.0) == 1.0  # nothing changed: the distance itself
    assert distance(a, b, 0.0) == pytest.approx(1 / 18**0.5)
    assert distance(b, b) == 0.0


def test_what_rounding_the_sums_explains_is_no_distance():
    start = np.full(4, 8.0, np.float32)
    a, b = start + np.float32(1e-6), start
    assert distance(a, b, start) == 0.0
    assert distance(start + np.float32(1e-4), b, start) > 5e-5
