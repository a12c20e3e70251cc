"""Log-softmax along any axis, and the loss behind it, in the kernels."""

import numpy as np
import pytest

pytest.importorskip("numba")

from tinygrad_cnn.kernels import fast, reference, threads

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}


def batch_last(x):
    turned = np.ascontiguousarray(x.transpose(*range(1, x.ndim), 0))
    return turned.transpose(-1, *range(x.ndim - 1))


@pytest.fixture(params=[1, 2])
def any_threads(request, monkeypatch):
    monkeypatch.setattr(threads.Pool, "compiled", request.param)
    monkeypatch.setattr(threads, "WORTH", 0)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("layout", [np.ascontiguousarray, batch_last])
@pytest.mark.parametrize(
    "shape", [(64, 10), (1, 7), (700, 3), (5,), (3, 4, 6, 5), (2, 3, 9, 30)]
)
@pytest.mark.usefixtures("any_threads")
def test_log_softmax_and_its_gradient_along_every_axis(shape, layout, dtype, rng):
    for axis in range(-len(shape), len(shape)):
        x, g = 5 * rng.normal(size=(2, *shape))
        wide = reference.log_softmax(x, axis)
        y = fast.log_softmax(layout(x.astype(dtype)), axis)
        back = reference.log_softmax_input(g, wide, axis)
        dx = fast.log_softmax_input(g.astype(dtype), y, axis)
        for found, expected in ((y, wide), (dx, back)):
            assert found.dtype == dtype
            size = TOLERANCE[dtype] * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=size)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("count", [2, 40])
@pytest.mark.parametrize("axis", [0, 1])
def test_log_softmax_of_what_is_no_number(axis, count, rng):
    x = np.zeros((count, count))
    x[0, 0], x[1, 1], x[-1] = np.nan, np.inf, -np.inf
    found, expected = (kernels.log_softmax(x, axis) for kernels in (fast, reference))
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.usefixtures("any_threads")
def test_the_mean_loss_and_where_its_gradient_goes(order, dtype, rng):
    for n, classes in ((1, 1), (64, 10), (7, 3)):
        x = np.asarray(rng.normal(size=(n, classes)), dtype, order)
        target = rng.integers(0, classes, n)
        y, scale, label = fast.mean_nll(x, target)
        expected = -np.mean([x[i, k] for i, k in enumerate(target)])
        np.testing.assert_allclose(y, expected, rtol=TOLERANCE[dtype])
        np.testing.assert_allclose(scale, [-1 / n] * n, rtol=TOLERANCE[dtype])
        np.testing.assert_array_equal(label, target)
        assert label is not target
        assert {y.dtype, scale.dtype} == {np.dtype(dtype)}
        placed = fast.place(scale, label, classes)
        onehot = np.eye(classes, dtype=dtype)[target]
        np.testing.assert_array_equal(placed, onehot * scale[:, None])


def test_targets_that_are_no_class_have_no_mean_loss(rng):
    x = rng.normal(size=(4, 3))
    for kernels in (fast, reference):
        assert kernels.mean_nll(x[:0], np.zeros(0, np.int64)) is None
        for wrong in (-1, 3):
            assert kernels.mean_nll(x, np.array([0, 2, wrong, 1])) is None
        x[1, 1] = np.nan
        y, *_ = kernels.mean_nll(x, np.array([0, 1, 2, 1]))
        assert np.isnan(y)
        x[1, 1] = 0
