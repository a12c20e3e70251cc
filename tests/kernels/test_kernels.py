"""Each kernel of each table equals its loops, in both dtypes and any memory layout."""

import numpy as np
import oracles
import pytest
from cases import convolution_shapes, pooling_shapes, taps

from tinygrad_cnn.kernels import Window, reference, threads

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


@pytest.fixture(params=["reference", "fast", "fast on two threads"])
def kernels(request, monkeypatch):
    """The tables of kernels; where two threads serve, they share even the smallest work."""
    if request.param == "reference":
        return reference
    pytest.importorskip("numba")
    from tinygrad_cnn.kernels import fast

    if "two" in request.param:
        monkeypatch.setattr(threads.Pool, "compiled", 2)
        monkeypatch.setattr(threads, "WORTH", 0)
    return fast


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def for_arrays(request, for_drawn):
    """`for_drawn` of this dtype."""
    return lambda count: for_drawn(count, dtype=request.param)


def assert_equal(found, expected, dtype):
    assert found.dtype == dtype
    assert found.shape == expected.shape
    tolerance = TOLERANCE[dtype.name]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def wide(*arrays):
    return [None if x is None else x.astype(np.float64) for x in arrays]


def test_conv2d(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        window, (*_, groups), (x, w, _) = convolution_shapes(d)
        x, w, b = d.values(x), d.values(w), d.maybe(d.values(w[0]))
        y = kernels.conv2d(x, w, b, window, groups)
        assert_equal(y, oracles.conv2d(*wide(x, w, b), window, groups), d.dtype)


def test_conv2d_input(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        window, (*_, groups), (x, w, y) = convolution_shapes(d)
        g, w, size = d.values(y), d.values(w), x[2:]
        dx = kernels.conv2d_input(g, w, size, window, groups)
        expected = oracles.conv2d_input(*wide(g, w, None), size, window, groups)
        assert_equal(dx, expected, d.dtype)


def test_conv2d_weight(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        window, (*_, groups), (x, _, y) = convolution_shapes(d)
        x, g = d.values(x), d.values(y)
        dw = kernels.conv2d_weight(x, g, window, groups)
        expected = oracles.conv2d_weight(*wide(x, g), window, groups)
        assert_equal(dw, expected, d.dtype)


def test_max_pool2d(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        window, ceil_mode, x, _ = pooling_shapes(d)
        x = d.laid(d.rng.integers(-2, 3, x).astype(d.dtype))
        y, tap = kernels.max_pool2d(x, window, ceil_mode)
        maxima, first = oracles.max_pool2d(x, window, ceil_mode)
        assert_equal(y, maxima, d.dtype)
        np.testing.assert_array_equal(tap, first)


@pytest.mark.parametrize("batch", [1, 3])
def test_nan_wins_in_max_pool2d_wherever_it_is_met(kernels, batch, for_arrays):
    @for_arrays(20)
    def _(d):
        window, size = d.window(half=True)
        x = d.rng.integers(-2, 3, (batch, 2, *size)).astype(d.dtype)
        x[d.rng.random(x.shape) < 0.2] = np.nan
        y, tap = kernels.max_pool2d(d.laid(x), window, False)
        maxima, last = oracles.max_pool2d(x, window, False)
        np.testing.assert_array_equal(y, maxima)
        np.testing.assert_array_equal(tap, last)


def test_max_pool2d_put(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        window, _, x, y = pooling_shapes(d)
        g, tap, size = d.values(y), taps(d, window, y), x[2:]
        dx = kernels.max_pool2d_put(g, tap, size, window)
        assert_equal(dx, oracles.max_pool2d_put(g, tap, size, window), d.dtype)


def test_max_pool2d_pick(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        window, _, x, y = pooling_shapes(d)
        x, tap = d.values(x), taps(d, window, y)
        y = kernels.max_pool2d_pick(x, tap, window)
        assert_equal(y, oracles.max_pool2d_pick(x, tap, window), d.dtype)


def test_sum_pool2d(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        window, ceil_mode, x, y = pooling_shapes(d)
        x = d.values(x)
        total = kernels.sum_pool2d(x, window, y[2:])
        assert_equal(total, oracles.sum_pool2d(*wide(x), window, ceil_mode), d.dtype)


def test_sum_pool2d_input(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        window, _, x, y = pooling_shapes(d)
        g, size = d.values(y), x[2:]
        dx = kernels.sum_pool2d_input(g, size, window)
        expected = oracles.sum_pool2d_input(*wide(g), size, window)
        assert_equal(dx, expected, d.dtype)


def test_keep(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        s = d.shape()
        x, mask = np.array(d.values(s)), d.mask(s)
        x[d.rng.random(s) < 0.3] = d.of((np.inf, -np.inf, np.nan, -0.0))
        found = kernels.keep(x, mask)
        expected = np.where(mask, x, 0)
        assert_equal(found, expected, d.dtype)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def test_gate(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        s = d.shape()
        x, by = d.values(s), np.array(d.values(s))
        by[d.rng.random(s) < 0.3] = d.of((np.inf, -np.inf, np.nan, -0.0))
        expected = np.where(by <= 0, 0, x)
        assert_equal(kernels.gate(x, by), expected, d.dtype)


def test_erf(kernels, for_arrays):
    @for_arrays(10)
    def _(d):
        x = d.values(d.shape())
        assert_equal(kernels.erf(x), oracles.each(oracles.erf)(x), d.dtype)


def test_relu(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        x = np.array(d.values(d.shape()))
        x[d.rng.random(x.shape) < 0.3] = d.of((np.inf, -np.inf, np.nan, -0.0))
        assert_equal(kernels.relu(x), np.where(x < 0, 0, x), d.dtype)


def test_matmul(kernels, for_arrays):
    @for_arrays(30)
    def _(d):
        lead, (i, j), k = d.of(((), (2,))), d.pair(1, 40), d.int(1, 40)
        a, b = d.values((*lead, i, j)), d.values((*lead, j, k))
        expected = np.einsum("...ij,...jk->...ik", *wide(a, b))
        assert_equal(kernels.matmul(a, b), expected, d.dtype)


@pytest.mark.parametrize("kernel, dtype", [((16, 16), np.uint8), ((17, 16), np.intp)])
def test_taps_take_one_byte_where_256_suffice(kernels, kernel, dtype, rng):
    x = rng.permutation(20 * 20).reshape(1, 1, 20, 20).astype(float)
    x[0, 0, kernel[0] - 1, kernel[1] - 1] = 1e6  # the last tap of the first window
    window = Window(kernel)
    y, tap = kernels.max_pool2d(x, window, False)
    assert tap.dtype == dtype
    maxima, first = oracles.max_pool2d(x, window, False)
    np.testing.assert_array_equal(y, maxima)
    np.testing.assert_array_equal(tap, first)


def test_max_pool2d_of_integers(kernels, rng):
    x = rng.integers(-5, 5, (2, 2, 5, 5))
    window = Window((3, 3), (2, 2), (1, 1))
    y, tap = kernels.max_pool2d(x, window, False)
    maxima, first = oracles.max_pool2d(x, window, False)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, maxima)
    np.testing.assert_array_equal(tap, first)


def test_the_batch_is_innermost_in_the_memory_of_results(kernels, rng):
    x, w = rng.random((8, 3, 6, 6)), rng.random((4, 3, 3, 3))
    window = Window((3, 3))
    y = kernels.conv2d(x, w, None, window, 1)
    maxima, tap = kernels.max_pool2d(x, window, False)
    results = [
        y,
        maxima,
        tap,
        kernels.conv2d_input(y, w, (6, 6), window, 1),
        kernels.max_pool2d_put(maxima, tap, (6, 6), window),
        kernels.max_pool2d_pick(x, tap, window),
        kernels.sum_pool2d(x, window, (4, 4)),
        kernels.sum_pool2d_input(maxima, (6, 6), window),
    ]
    for result in results:
        assert result.strides[0] == result.itemsize


def test_results_do_not_share_memory_with_their_arguments(kernels, for_drawn):
    """A window of one tap is where a view would be tempting."""

    @for_drawn(10)
    def _(d):
        x, window = d.values((2, 3, 4, 4)), Window((1, 1))
        y, tap = kernels.max_pool2d(x, window, False)
        results = [
            y,
            kernels.max_pool2d_put(x, tap, (4, 4), window),
            kernels.max_pool2d_pick(x, tap, window),
            kernels.sum_pool2d(x, window, (4, 4)),
            kernels.sum_pool2d_input(x, (4, 4), window),
        ]
        assert not any(np.shares_memory(x, result) for result in results)


@pytest.mark.parametrize("batch", [1, 3, 70])
@pytest.mark.parametrize("size", [(2, 2), (4, 6), (5, 7)])
def test_max_pool2d_of_windows_side_by_side(kernels, batch, size, rng):
    """Ties, NaN and inf, and a row and a column that no window reaches."""
    values = [-1, 0, 1, np.nan, np.inf, -np.inf]
    x = rng.choice(values, (batch, 3, *size), p=[0.3, 0.3, 0.2, 0.08, 0.06, 0.06])
    window = Window((2, 2), (2, 2))
    y, tap = kernels.max_pool2d(x.astype(np.float32), window, False)
    maxima, which = oracles.max_pool2d(x, window, False)
    np.testing.assert_array_equal(y, maxima)
    np.testing.assert_array_equal(tap, which)
