"""Whoever watches operations sees those of the model, also while a plan exists."""

import numpy as np
import pytest

import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import autograd, planned
from tinygrad_cnn.core.recording import observer
from tinygrad_cnn.graph.costs.layer_table import summary
from tinygrad_cnn.graph.drawing.drawing import draw
from tinygrad_cnn.verify import verify


@pytest.fixture
def model():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    )


@pytest.fixture
def step(model, images, labels):
    """A plan that was replayed already."""
    step = planned(model, F.cross_entropy)
    for _ in range(2):
        step(images(2, 1, 6, 6), labels(2, 3))
    assert step.why is None
    return step


def seen(call):
    names = []
    token = observer.set(lambda op, *_: names.append(type(op).__name__))
    try:
        call()
    finally:
        observer.reset(token)
    return names


def test_an_observer_sees_the_operations_of_the_model(step, model, images, labels):
    x, y = images(2, 1, 6, 6), labels(2, 3)
    expected = seen(lambda: F.cross_entropy(model(x), y).backward())
    assert "Conv2d" in expected
    assert seen(lambda: step(x, y)) == expected
    assert step.why == "operations are being watched"
    step(x, y)
    assert step.why is None


def test_the_model_is_drawn_summarised_and_verified_as_ever(
    step, model, images, labels
):
    fresh = nn.Sequential(*model)
    x, y = images(2, 1, 6, 6), labels(2, 3)
    found, expected = (draw(F.cross_entropy(m(x), y)).dot for m in (model, fresh))
    assert found == expected and "Conv2d" in found
    rows = [
        [(row.path, row.output, row.saved) for row in summary(m, x).rows]
        for m in (model, fresh)
    ]
    assert rows[0] == rows[1]
    assert verify(model, x, loss=F.cross_entropy, labels=y)


def test_anomalies_are_detected_where_a_plan_exists(images):
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(np.ones(3, np.float32))

        def forward(self, x):
            return (self.w * x).sqrt()

    def loss(output, labels):
        return (output * 0).sum()

    step = planned(Root(), loss)
    x = images(1, 3)
    x._array[...] = 1
    for _ in range(2):
        step(x, x)
    assert step.why is None
    x._array[...] = 0
    with (
        autograd.detect_anomaly(),
        pytest.raises(Exception, match="became NaN"),
    ):
        step(x, x)
    assert step.why == "operations are being watched"
