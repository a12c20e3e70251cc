"""Lower precision inside of somebody's code, and other last digits, are no mistakes."""

import itertools

import numpy as np
import pytest

from tinygrad_cnn.verify import verify_pair

rng = np.random.default_rng(0)
X, W = rng.normal(size=(4, 5)), rng.normal(size=(5, 3))


def stored(x, w, dtype):
    """tanh(x w), kept in an array of this dtype."""
    y = np.zeros((len(x), w.shape[1]), dtype)
    y[...] = np.tanh(x @ w)
    return y


def cast(x, w, dtype):
    return np.tanh(x.astype(dtype).astype(float) @ w)


def one_branch(x, w, dtype):
    """Half of the outputs' terms pass through the dtype."""
    return 0.5 * np.tanh(x @ w) + 0.5 * np.tanh(x @ w).astype(dtype)


def one_output(x, w, dtype):
    y = np.tanh(x @ w)
    y[0] = y[0].astype(dtype)
    return y


def inside(x, w, dtype):
    return np.tanh((x @ w).astype(dtype)).astype(float)


def as_loss(x, w, dtype):
    return np.array([np.sum(stored(x, w, dtype), dtype=dtype)])


def derivative(g, x, w):
    d = g * (1 - np.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


FORWARDS = stored, cast, one_branch, one_output, inside, as_loss


@pytest.mark.parametrize("forward", FORWARDS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("scale", [1.0, 1e-3, 30.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_lower_precision_is_no_mistake_and_said(forward, scale, dtype):
    x, w = X * scale, W / max(scale, 1)
    report = verify_pair(lambda x, w: forward(x, w, dtype), derivative, (x, w))
    assert not any(t.is_wrong for t in report.tensors), report
    if dtype == np.float32:
        assert report, report
    assert any(
        "in steps: forward computes in float32 or less" in n for n in report.notes
    )


@pytest.mark.parametrize("forward", FORWARDS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("factor", [0.0, -1.0, 1.01, 2.0])
def test_a_mistake_is_found_through_float32(forward, factor):
    def backward(g, x, w):
        dx, dw = derivative(g, x, w)
        return dx, factor * dw

    report = verify_pair(lambda x, w: forward(x, w, np.float32), backward, (X, W))
    assert report["x"].verdict == "right", report
    assert report["w"].verdict == "wrong", report


def test_constants_of_float32_lower_no_precision():
    half = np.float32(0.5)
    report = verify_pair(lambda x: half * x**2, lambda g, x: g * x, X)
    assert report and not report.notes
    report = verify_pair(lambda x: half * x**2, lambda g, x: 1.00001 * g * x, X)
    assert report["x"].verdict == "nearly right"


def test_a_gradient_stored_in_float32_is_right():
    table = np.tanh(X @ W)

    def backward(g, x, w):
        return [d.astype(np.float32) for d in derivative(g, x, w)]

    assert verify_pair(lambda x, w: np.tanh(x @ w), backward, (X, W))
    # One that only looks like it: the other digits are wrong in truth.
    report = verify_pair(
        lambda x, w: np.tanh(x @ w),
        lambda g, x, w: [
            d * (1 + 1e-5 * np.cos(d / g[0, 0])) for d in derivative(g, x, w)
        ],
        (X, W),
    )
    assert not report
    assert table.dtype == float


def test_a_large_offset_in_float32_leaves_it_open_and_is_not_wrong():
    for offset in (1e2, 1e4, 1e6):

        def forward(x, offset=offset):
            return (x + offset).astype(np.float32)

        assert not verify_pair(forward, lambda g, x: g, {"x": X})["x"].is_wrong


def test_a_step_function_is_no_float32():
    report = verify_pair(np.round, lambda g, x: 0 * g, X)
    assert report and not any("float32" in note for note in report.notes)
    report = verify_pair(lambda x: np.round(x), lambda g, x: g, X)
    assert report["x"].verdict == "wrong"


@pytest.mark.parametrize("bend", [0.0, 1e-12, 1e-8, 1e-6, 1e-4, 1e-3, 5e-3])
def test_a_kink_near_by_is_no_float32(bend):
    x = np.array([bend, 1.0, -0.5, 2.0])
    for function in (lambda x: np.maximum(x, 0), lambda x: np.maximum(x - 1 - bend, 0)):
        report = verify_pair(
            lambda x, f=function: f(x) ** 1.0,
            lambda g, x, f=function: g * (f(x) > 0),
            x,
        )
        assert not report["x"].is_wrong, report
        assert not any("float32" in note for note in report.notes), report


# ----------------------------------------------------------------------- other last digits


TURNS = itertools.count()


def shuffled(values):
    """Their sum, from one end or the other in turns."""
    return sum(values[:: 1 if next(TURNS) % 2 else -1])


def test_another_order_of_a_sum_is_rounding_and_said():
    x = np.random.default_rng(0).normal(size=400)
    assert shuffled(x) != shuffled(x) and shuffled(x**2) != shuffled(x**2)
    report = verify_pair(
        lambda x: np.array([shuffled(x**2)]), lambda g, x: 2 * g[0] * x, x
    )
    assert report, report
    assert "forward pass gives other last digits" in report.notes[0]
    report = verify_pair(
        lambda x: np.array([x.sum() ** 2]),
        lambda g, x: np.full_like(x, 2 * shuffled(x) * g[0]),
        x,
    )
    assert report, report
    assert "backward pass gives x other last digits" in report.notes[0]


@pytest.mark.parametrize("share", [1e-10, 1e-3])
def test_what_differs_by_more_is_not_deterministic(share):
    def noise(x):
        return x * (1 + share * np.random.default_rng().normal(size=x.shape))

    assert "forward pass is not det" in str(verify_pair(noise, lambda g, x: g, X))
    report = verify_pair(lambda x: x * 1, lambda g, x: noise(g), X)
    assert "backward pass is not det" in str(report)


# ------------------------------------------------------------------------- what it says


def test_a_tensor_that_the_output_does_not_depend_on_is_named():
    def forward(x, unused):
        return x**2

    report = verify_pair(forward, lambda g, x, unused: (2 * g * x, 0 * unused), (X, W))
    assert report
    assert report.notes == ["the output does not depend on unused"]
    report = verify_pair(forward, lambda g, x, unused: (2 * g * x, unused), (X, W))
    assert report["unused"].verdict == "wrong"
    assert "the output does not depend on unused" in report.notes
    report = verify_pair(lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0), -abs(X))
    assert report and not report.notes  # here it does not move, elsewhere it does


def test_a_tiny_error_is_called_tiny():
    def forward(x):
        return np.log(x + 1e-5)

    x = np.linspace(1.2, 2, 20)
    report = verify_pair(forward, lambda g, x: g / x, x)
    assert not report
    assert (
        "the error of x is tiny: 8e-06 of its largest entry at most" in report.notes[0]
    )
    report = verify_pair(forward, lambda g, x: 1.01 * g / x, x)
    assert not report and not report.notes
