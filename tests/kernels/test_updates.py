"""The compiled updates, at the limits of what a number can hold."""

import numpy as np
import pytest

pytest.importorskip("numba")

from tinygrad_cnn.kernels import fast

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def momentum_step(p, g, b):
    fast.momentum_step(p, g, b, np.empty_like(p), 0.5, 0.9, 1.0, False)


def adam_step(p, g, m):
    numbers = 0.001, (0.9, 0.999), 1e-8, 1.0, None
    fast.adam_step(p, g, m, np.ones_like(p), *np.empty((2, *p.shape)), *numbers)


@DTYPES
@pytest.mark.parametrize("step", [momentum_step, adam_step])
def test_a_momentum_without_gradient_ends(step, dtype):
    """Rounding would hold it at a few of the smallest numbers for ever."""
    p, g, least = np.ones(37, dtype), np.zeros(37, dtype), np.finfo(dtype)
    moved = np.full(37, 4 * least.smallest_subnormal, dtype)
    step(p, g, moved)
    assert not moved.any()
    assert (p == 1).all()
    moved[:] = 2 * least.smallest_normal
    step(p, g, moved)
    np.testing.assert_allclose(moved, 1.8 * least.smallest_normal, rtol=1e-6)


@DTYPES
@pytest.mark.parametrize("step", [momentum_step, adam_step])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays(step, dtype, value):
    p, moved = np.ones(37, dtype), np.zeros(37, dtype)
    g = np.zeros(37, dtype)
    g[5] = value
    with np.errstate(invalid="ignore"):
        step(p, g, moved)
    np.testing.assert_array_equal(moved[5], value)
    assert not np.isfinite(p[5])
    assert np.isfinite(np.delete(p, 5)).all()
