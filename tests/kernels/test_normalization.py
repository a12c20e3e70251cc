"""Batch normalisation in the kernels, in every layout and however large the values are."""

import numpy as np
import pytest

pytest.importorskip("numba")

from tinygrad_cnn.kernels import fast, reference

DTYPES = np.float32, np.float64
TOLERANCE = {np.float32: 2e-4, np.float64: 1e-11}


def batch_last(x):
    turned = np.ascontiguousarray(x.transpose(*range(1, x.ndim), 0))
    return turned.transpose(-1, *range(x.ndim - 1))


def strided(x):
    return np.repeat(x, 2, axis=0)[::2]


LAYOUTS = np.ascontiguousarray, batch_last, strided
SHAPES = [(5, 3, 4, 4), (7, 3), (1, 4, 9), (3, 5, 2, 2), (4, 3, 1030), (33, 2, 5, 7)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("of_g", LAYOUTS)
@pytest.mark.parametrize("of_x", LAYOUTS)
def test_kernels_agree_with_the_formulas_in_float64(of_x, of_g, shape, dtype, rng):
    x, g = of_x(rng.normal(3, 1, shape).astype(dtype)), rng.normal(size=shape)
    g, gamma, beta = (
        of_g(g.astype(dtype)),
        *rng.normal(size=(2, shape[1])).astype(dtype),
    )
    wide = {k: v.astype(np.float64) for k, v in (("x", x), ("g", g), ("γ", gamma))}
    y, mu, r = reference.batch_norm(wide["x"], wide["γ"], beta.astype(np.float64), 1e-5)
    found = fast.batch_norm(x, gamma, beta, 1e-5)
    given = mu.astype(dtype), r.astype(dtype)
    sizes = wide["g"], wide["x"], wide["γ"], mu, r
    pairs = [
        *zip(found, (y, mu, r), strict=True),
        *zip(fast.moments(x), reference.moments(wide["x"]), strict=True),
        (
            fast.batch_norm_input(g, x, gamma, *given),
            reference.batch_norm_input(*sizes),
        ),
        (
            fast.batch_norm_scale(g, x, *given),
            reference.batch_norm_scale(wide["g"], wide["x"], mu, r),
        ),
        (fast.channel_sums(g), reference.channel_sums(wide["g"])),
    ]
    for got, expected in pairs:
        assert (got.dtype, got.shape) == (dtype, expected.shape)
        size = np.abs(expected).max(initial=1) * TOLERANCE[dtype]
        np.testing.assert_allclose(got, expected, rtol=0, atol=size)


def test_a_gradient_owns_its_memory_so_that_it_need_not_be_copied(rng):
    for layout in LAYOUTS:
        x = layout(rng.normal(size=(4, 3, 5, 5)))
        _, mu, r = fast.batch_norm(x, None, None, 1e-5)
        assert fast.batch_norm_input(x, x, None, mu, r).flags.owndata


@pytest.mark.parametrize("size", [1e25, 1e-25])
def test_variance_of_values_whose_squares_are_no_floats(size):
    x = np.full((2, 1, 3, 700), size, np.float32)
    mean, variance = fast.moments(x)
    np.testing.assert_allclose(mean, size, rtol=1e-6)
    assert np.isfinite(variance).all()
