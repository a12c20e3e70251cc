"""Exponential functions in the kernels: to an ulp or two, inf and NaN included."""

import math

import numpy as np
import pytest

pytest.importorskip("numba")

from tinygrad_cnn.kernels import fast, reference
from tinygrad_cnn.kernels.fast import exponential
from tinygrad_cnn.kernels.fast.elementwise import Map


def exp_of(x):
    return exponential.exp(x)


def expm1_of(x):
    return exponential.expm1(x)


def log1p_of(x):
    return exponential.log1p(x)


DTYPES = np.float32, np.float64
SPECIAL = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 700, -700])
KERNELS = {f.__name__[:-3]: Map(f, 1) for f in (exp_of, expm1_of, log1p_of)}
RANGES = {"exp": (-86, 88, 1.1), "expm1": (-60, 0, 1.3), "log1p": (0, 1, 2)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RANGES)
def test_numbers_are_right_to_an_ulp_or_two(name, dtype, rng):
    low, high, ulps = RANGES[name]
    small = np.geomspace(1e-20, 1, 10_000) * np.sign(low + high + 0.5)
    x = np.concatenate([rng.uniform(low, high, 50_000), small]).astype(dtype)
    expected = getattr(np, name)(x.astype(np.longdouble))
    error = (KERNELS[name](x) - expected) / np.spacing(np.abs(expected).astype(dtype))
    assert np.abs(error).max() < ulps


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_of_what_is_large_small_or_no_number(dtype):
    near_the_ends = np.array([-744, -710, -103, -88, 88, 89, 709, 710])
    x = np.concatenate([SPECIAL, near_the_ends]).astype(dtype)
    with np.errstate(over="ignore", under="ignore"):
        expected = np.exp(x)
    tiny = np.finfo(dtype).smallest_subnormal
    np.testing.assert_allclose(KERNELS["exp"](x), expected, rtol=3e-7, atol=tiny)


@pytest.mark.parametrize("dtype", DTYPES)
def test_expm1_ends_at_minus_one(dtype):
    x = np.array([-np.inf, -1e9, -100, 0, np.nan], dtype)
    np.testing.assert_array_equal(KERNELS["expm1"](x), [-1, -1, -1, 0, np.nan])


def test_erf_of_float32_is_right_to_an_ulp(rng):
    x = np.concatenate([rng.uniform(-5, 5, 50_000), SPECIAL]).astype(np.float32)
    expected = np.array([math.erf(v) for v in x.tolist()])
    found = fast.erf(x)
    error = (found - expected) / np.spacing(np.abs(expected).astype(np.float32))
    assert np.abs(error[~np.isnan(x)]).max() < 1
    np.testing.assert_array_equal(np.isnan(found), np.isnan(x))
    np.testing.assert_array_equal(np.signbit(found), np.signbit(x))


OF_ONE = {"sigmoid": (), "silu": (), "gelu": (), "erf": ()}
OF_ONE |= {"elu": (0.5, 1.5, 2.0), "softplus": (2.0, 1.0)}
OF_TWO = {"sigmoid_input": (), "tanh_input": (), "silu_input": (), "gelu_input": ()}
OF_TWO |= {"elu_input": (0.5, 1.5, 2.0), "softplus_input": (2.0, 1.0)}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*OF_ONE, *OF_TWO])
def test_activations_agree_with_the_readable_ones(name, dtype, for_drawn):
    @for_drawn(10, dtype=dtype)
    def _(d):
        s = d.shape()
        x, g = np.array(d.values(s)), d.values(s)
        x[d.rng.random(s) < 0.3] = d.of(SPECIAL.tolist())
        given = (x, *OF_ONE[name]) if name in OF_ONE else (g, x, *OF_TWO[name])
        found, expected = (getattr(k, name)(*given) for k in (fast, reference))
        assert found.dtype == expected.dtype == dtype
        tolerance = 16 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bend_agrees_to_the_bit(dtype, for_drawn):
    @for_drawn(10, dtype=dtype)
    def _(d):
        s = d.shape()
        x, mask, slope = d.values(s), d.mask(s), d.of((0.25, -0.5, 0.0))
        found, expected = (k.bend(x, mask, slope) for k in (fast, reference))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
