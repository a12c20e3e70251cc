"""The compiled kernels against the readable ones, at the sizes that they are made for."""

import itertools

import numpy as np
import pytest
from cases import LAYOUTS

from tinygrad_cnn.kernels import Window, reference, threads

pytest.importorskip("numba")

from tinygrad_cnn.kernels import fast

# (N, C, H, W), (O, C / groups, k_y, k_x), stride, padding, dilation, groups
NETWORKS = {
    "LeNet-5, first": ((64, 1, 32, 32), (6, 1, 5, 5), 1, 0, 1, 1),
    "LeNet-5, second": ((64, 6, 14, 14), (16, 6, 5, 5), 1, 0, 1, 1),
    "LeNet-5, one image": ((1, 6, 14, 14), (16, 6, 5, 5), 1, 0, 1, 1),
    "VGG, first": ((8, 3, 32, 32), (32, 3, 3, 3), 1, 1, 1, 1),
    "VGG, padded": ((16, 32, 16, 16), (64, 32, 3, 3), 1, 1, 1, 1),
    "VGG, one image": ((1, 32, 16, 16), (64, 32, 3, 3), 1, 1, 1, 1),
    "ResNet, halving": ((20, 16, 15, 15), (32, 16, 3, 3), 2, 1, 1, 1),
    "ResNet, projection": ((17, 16, 16, 16), (32, 16, 1, 1), 2, 0, 1, 1),
    "grouped": ((33, 24, 9, 9), (36, 8, 3, 3), 1, 1, 1, 3),
    "depthwise": ((16, 12, 9, 9), (12, 1, 3, 3), 1, 1, 1, 12),
    "dilated": ((5, 4, 20, 20), (7, 4, 3, 3), 1, 2, 2, 1),
    "uneven": ((7, 3, 13, 17), (5, 3, 4, 2), 3, 2, 1, 1),
}


@pytest.fixture(params=[0, 1, 2], ids=["before its pool", "one thread", "two threads"])
def number(request, monkeypatch):
    """The threads of the pool; before it is started, a kernel must not compute nothing."""
    monkeypatch.setattr(threads.Pool, "compiled", request.param)
    return request.param


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def layer(request):
    x, w, stride, padding, dilation, groups = request.param
    window = Window(w[2:], (stride,) * 2, (padding,) * 2, (dilation,) * 2)
    return x, w, window, groups


def assert_agree(found, expected, k, factors):
    """Equal up to 8 √k ε for sums of k products, as large as the factors allow."""
    size = np.prod([np.abs(f).max() for f in factors])
    limit = 8 * np.sqrt(k) * np.finfo(expected.dtype).eps * size
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_convolution_and_its_adjoints_agree(layer, dtype, monkeypatch, rng):
    """In any layout and on any number of threads; the readable kernels are asked once."""
    x_shape, w_shape, window, groups = layer
    x = rng.normal(size=x_shape).astype(dtype)
    w = rng.normal(size=w_shape).astype(dtype)
    b = rng.normal(size=w_shape[0]).astype(dtype)
    y = reference.conv2d(x, w, b, window, groups)
    g = rng.normal(size=y.shape).astype(dtype)
    dx = reference.conv2d_input(g, w, x_shape[2:], window, groups)
    dw = reference.conv2d_weight(x, g, window, groups)
    area = window.kernel[0] * window.kernel[1]
    for layout, number in itertools.product(
        ("row-major", "batch innermost", "negative strides"), (1, 2)
    ):
        monkeypatch.setattr(threads.Pool, "compiled", number)
        x_laid, g_laid = LAYOUTS[layout](x), LAYOUTS[layout](g)
        found = fast.conv2d(x_laid, w, b, window, groups)
        assert_agree(found, y, w_shape[1] * area + 1, (x, w))
        found = fast.conv2d_input(g_laid, w, x_shape[2:], window, groups)
        assert_agree(found, dx, w_shape[0] // groups * area, (g, w))
        found = fast.conv2d_weight(x_laid, g_laid, window, groups)
        assert_agree(found, dw, g[:, 0].size, (x, g))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(64, 400, 120), (48, 90, 1100), (256, 800, 128)])
def test_matrix_products_agree(dtype, shape, number, rng):
    i, j, k = shape
    a, b = rng.normal(size=(i, j)).astype(dtype), rng.normal(size=(j, k)).astype(dtype)
    expected = a @ b
    for orders in ("CC", "CF", "FC", "FF"):
        left, right = np.array(a, order=orders[0]), np.array(b, order=orders[1])
        assert_agree(fast.matmul(left, right), expected, j, (a, b))


@pytest.mark.parametrize(
    "window", [Window((2, 2), (2, 2)), Window((3, 3), (2, 2), (1, 1))]
)
@pytest.mark.parametrize("batch", [1, 64])
def test_pooling_is_equal_to_the_bit(window, batch, number, rng):
    x = rng.integers(-3, 4, (batch, 6, 28, 28)).astype(np.float32)
    (y, tap), (maxima, first) = (
        table.max_pool2d(x, window, False) for table in (fast, reference)
    )
    np.testing.assert_array_equal(y, maxima)
    np.testing.assert_array_equal(tap, first)
    g = rng.integers(-9, 9, y.shape).astype(np.float32)
    found = fast.max_pool2d_put(g, tap, (28, 28), window)
    expected = reference.max_pool2d_put(g, tap, (28, 28), window)
    np.testing.assert_array_equal(found, expected)


def test_the_number_of_threads_changes_no_bit(layer, monkeypatch, rng):
    x_shape, w_shape, window, groups = layer
    x = rng.normal(size=x_shape).astype(np.float32)
    w = rng.normal(size=w_shape).astype(np.float32)
    bits = []
    for number in (1, 2):
        monkeypatch.setattr(threads.Pool, "compiled", number)
        monkeypatch.setattr(threads, "WORTH", 0)
        y = fast.conv2d(x, w, None, window, groups)
        dx = fast.conv2d_input(y, w, x_shape[2:], window, groups)
        dw = fast.conv2d_weight(x, y, window, groups)
        bits.append([np.ascontiguousarray(v).tobytes() for v in (y, dx, dw)])
    assert bits[0] == bits[1]


@np.errstate(invalid="ignore")
def test_a_weight_that_is_not_finite_meets_the_border_as_in_the_reference(number, rng):
    """Zeros around the image are terms of the sum; those between gradients are none."""
    window = Window((3, 3), (1, 1), (1, 1))
    for batch in (2, 32):
        x = rng.normal(size=(batch, 20, 6, 6)).astype(np.float32)
        w = rng.normal(size=(18, 20, 3, 3)).astype(np.float32)
        w[3, 2, 0, 0] = np.nan
        pairs = [
            [table.conv2d(x, w, None, window, 1) for table in (fast, reference)],
            [
                table.conv2d_input(x[:, :18], w, (6, 6), window, 1)
                for table in (fast, reference)
            ],
        ]
        g = np.array(x[:, :18])
        g[0, 3, 0, 0] = np.inf
        pairs.append(
            [table.conv2d_weight(x, g, window, 1) for table in (fast, reference)]
        )
        for found, expected in pairs:
            np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


@pytest.mark.parametrize("layout", ["row-major", "batch innermost", "column-major"])
def test_large_arrays_are_mapped_to_the_bit(layout, number, rng):
    x, by = (LAYOUTS[layout](rng.normal(size=(64, 6, 28, 28))) for _ in range(2))
    x[0, 0, :2], by[:, 3, 3] = np.nan, np.nan
    x[1], x[2], by[:, 1], by[:, 2] = 0.0, -0.0, 0.0, -0.0
    for name, arguments in (("relu", (x,)), ("gate", (x, by)), ("keep", (x, by > 0))):
        found, expected = (
            getattr(table, name)(*arguments) for table in (fast, reference)
        )
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(fast.erf(x), reference.erf(x), rtol=1e-15)


def test_large_arrays_that_lie_otherwise_are_mapped_element_by_element(number, rng):
    x, by = rng.normal(size=(2, 64, 6, 28, 28))
    turned = LAYOUTS["batch innermost"](by)
    np.testing.assert_array_equal(fast.gate(x, turned), np.where(by > 0, x, 0))
    np.testing.assert_array_equal(fast.keep(x, turned > 0), np.where(by > 0, x, 0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_window_wholly_in_the_padding_has_no_maximum(dtype):
    """Its value is −∞ and not what lay in memory: taps 3 apart pass over two rows."""
    window = Window((2, 1), (6, 3), (1, 0), (3, 1))
    x = np.arange(14.0, dtype=dtype).reshape(1, 1, 2, 7)
    for _ in range(5):
        np.full((1, 1, 1, 3), 7, dtype)  # memory to be found again
        y, tap = fast.max_pool2d(x, window, False)
        assert y.tolist() == [[[[-np.inf] * 3]]]
        assert tap.tolist() == [[[[0] * 3]]]


def test_what_is_not_finite_in_the_padding_alone_reaches_the_weights(rng):
    """0 · ∞ is NaN: a window that meets no pixel sums the zeros around the image."""
    window = Window((3, 3), (1, 1), (3, 3), (1, 1))
    x, g = rng.standard_normal((1, 16, 3, 3)), rng.standard_normal((1, 4, 7, 7))
    g[0, 0, 0, 0] = np.inf
    dw = fast.conv2d_weight(x, g, window, 1)
    assert np.isnan(dw[0]).all()
    assert np.isfinite(dw[1:]).all()
