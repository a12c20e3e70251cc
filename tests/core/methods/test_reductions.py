"""Sums, means and extremes over axes are PyTorch's, and so are their gradients."""

import itertools

import numpy as np
import pytest
from agreement import agree, draw, dtype_of, library
from each import for_each

import tinygrad_cnn
from tinygrad_cnn.verify import verify

DIMS = [None, 0, 1, -1, -3, (0,), (0, 2), (-1, 0), (0, 1, 2), [1, 2]]
ONE_DIM = [0, 1, 2, -1, -3]


@for_each("keepdim", [False, True])
@for_each("dim", DIMS, ids=str)
@for_each("name", ["sum", "mean", "var", "std", "amax", "amin"])
def test_over_any_axes(name, dim, keepdim):
    if dim is None and name in ("amax", "amin"):
        dim = ()
    agree(lambda x: getattr(x, name)(dim=dim, keepdim=keepdim), draw(2, 3, 4))
    agree(lambda x: getattr(x, name)(axis=dim, keepdims=keepdim), draw(2, 3, 4))


@for_each("name", ["sum", "mean", "var", "std", "amax", "amin", "max", "min", "norm"])
def test_over_everything(name):
    for shape in ((2, 3, 4), (5,)):
        agree(lambda x: getattr(x, name)(), draw(*shape))


@for_each("name", ["sum", "mean", "amax", "amin", "max", "min", "norm"])
def test_of_one_value_without_axes(name):
    agree(lambda x: getattr(x, name)(), draw())


@for_each("name", ["sum", "mean", "amax", "amin"])
def test_positional_arguments(name):
    agree(lambda x: getattr(x, name)(1), draw(2, 3))
    agree(lambda x: getattr(x, name)(1, True), draw(2, 3))
    agree(lambda x: getattr(x, name)((0, 1), True), draw(2, 3))


@for_each("keepdim", [False, True])
@for_each("dim", DIMS[1:], ids=str)
def test_logsumexp(dim, keepdim):
    agree(lambda x: x.logsumexp(dim, keepdim), draw(2, 3, 4))
    agree(lambda x: x.logsumexp(dim=dim, keepdim=keepdim), 1e4 * draw(2, 3, 4))


def test_logsumexp_of_infinities():
    inf = np.inf
    for row in ([-inf, -inf], [inf, 1.0], [inf, -inf], [np.nan, 1.0], [-inf, 2.0]):
        agree(lambda x: x.logsumexp(0), np.array(row))


@for_each("keepdim", [False, True])
@for_each("dim", ONE_DIM)
@for_each("name", ["max", "min"])
def test_along_one_axis_values_come_with_indices(name, dim, keepdim):
    agree(lambda x: getattr(x, name)(dim, keepdim), draw(2, 3, 4))
    agree(lambda x: getattr(x, name)(dim=dim, keepdim=keepdim).values, draw(2, 3, 4))
    agree(lambda x: getattr(x, name)(axis=dim, keepdims=keepdim)[1], draw(2, 3, 4))


@for_each("keepdim", [False, True])
@for_each("dim", [None, *ONE_DIM])
@for_each("name", ["argmax", "argmin"])
def test_positions_of_the_extremes(name, dim, keepdim):
    agree(lambda x: getattr(x, name)(dim=dim, keepdim=keepdim), draw(2, 3, 4))
    agree(lambda x: getattr(x, name)(dim), draw(2, 3, 4))


@for_each("keepdim", [False, True])
@for_each("dim", [None, *ONE_DIM])
@for_each("name", ["all", "any"])
def test_all_and_any(name, dim, keepdim):
    masks = draw(2, 3, 4) > 0
    for x in (masks, draw(2, 3, 4), masks.astype(np.int64)):
        agree(lambda x: getattr(x, name)(), x)
        if dim is not None:
            agree(lambda x: getattr(x, name)(dim=dim, keepdim=keepdim), x)


TIED = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [0.0, -1.0, 0.0]])


@for_each("name", ["amax", "amin"])
def test_amax_and_amin_share_the_gradient_among_ties(name):
    for dim in (0, 1, (0, 1)):
        agree(lambda x, d=dim: getattr(x, name)(d), TIED)


@for_each("name", ["max", "min"])
def test_a_full_max_shares_among_ties_and_max_along_an_axis_takes_one(name):
    agree(lambda x: getattr(x, name)(), TIED)
    for dim in (0, 1):
        agree(lambda x, d=dim: getattr(x, name)(d), TIED)
        agree(lambda x, d=dim: getattr(x, name)(d, keepdim=True), TIED)


@for_each("name", ["max", "min", "amax", "amin"])
def test_extremes_of_small_integers_with_many_ties(name):
    for seed in range(20):
        x = np.random.default_rng(seed).integers(0, 3, (3, 4)).astype(float)
        for dim in (0, 1):
            agree(lambda x, d=dim: getattr(x, name)(d), x)


@for_each("name", ["sum", "mean", "var", "amax", "amin", "max", "min"])
def test_nan_in_nan_out(name):
    for position, value in itertools.product(range(3), (np.nan, np.inf, -np.inf)):
        x = np.array([1.0, 2.0, 3.0])
        x[position] = value
        agree(lambda x: getattr(x, name)(), x, gradient=False)
        agree(lambda x: getattr(x, name)(0), x, gradient=False)


@for_each("x", [[1.0, np.nan, 3.0, np.nan], [2.0, 1.0, 2.0, 2.0, 3.0]])
def test_the_gradient_at_nan_and_at_ties_is_pytorchs(x):
    for name in ("max", "min", "amax", "amin", "median", "nansum", "nanmean"):
        agree(lambda x, n=name: getattr(x, n)(), np.array(x))
    for name in ("max", "min", "amax", "amin", "median", "cummax", "cummin"):
        agree(lambda x, n=name: getattr(x, n)(0), np.array(x))
    agree(lambda x: x.quantile(0.3), np.array(x))


@for_each("p", [0.5, 1, 1.5, 3, np.inf, -np.inf])
def test_norms_of_zeros_and_of_ties(p):
    for x in ([[0.0, 0.0], [0.0, 1.0], [-2.0, 2.0]],):
        agree(lambda x: x.norm(p), np.array(x))
        agree(lambda x: x.norm(p, 1), np.array(x))


@for_each("name", ["prod", "cumprod"])
def test_products_with_zeros_have_the_first_and_second_derivatives_of_loops(name):
    for x in ([2.0, 0.0, 3.0, 0.5], [0.0, 2.0, 0.0, 3.0], [0.0, 0.0, 0.0, 1.0]):
        x = tinygrad_cnn.tensor(x).double()
        assert verify(lambda x: getattr(x, name)(0), x, order=2)


def test_the_first_nan_is_the_extreme():
    x = np.array([[1.0, np.nan, 3.0, np.nan]])
    for name in ("argmax", "argmin"):
        agree(lambda x, n=name: getattr(x, n)(1), x)
    for name in ("max", "min"):
        agree(lambda x, n=name: getattr(x, n)(1), x)


def test_infinities_that_cancel_in_a_sum_give_nan_without_a_warning():
    agree(lambda x: x.sum(), np.array([np.inf, -np.inf]))
    agree(lambda x: x.mean(), np.array([np.inf, -np.inf]))
    agree(lambda x: x.sum(), np.array([3e38, 3e38], np.float32))


@for_each("dtype", ["bool", "uint8", "int32", "int64", "float32"])
def test_dtypes_of_sums_and_extremes(dtype):
    x = np.array([[1, 0, 1], [1, 1, 0]], dtype)
    for dim in (None, 0, (0, 1)):
        agree(lambda x, d=dim: x.sum(d), x)
    for name in ("max", "min", "amax", "amin", "argmax", "argmin", "all", "any"):
        if dtype == "bool" and name.startswith("arg"):
            continue  # PyTorch refuses
        agree(lambda x, n=name: getattr(x, n)(), x)
    agree(lambda x: x.max(1), x)


def test_a_sum_of_bytes_does_not_wrap():
    agree(lambda x: x.sum(), np.array([200, 100], np.uint8))
    agree(lambda x: x.sum(0), np.array([[200, 3], [100, 4]], np.uint8))


@for_each("name", ["sum", "mean"])
def test_with_another_dtype(name):
    x = np.array([[1, 2], [3, 5]])
    agree(lambda x: getattr(x, name)(dtype=dtype_of(x, "float64")), x)
    agree(lambda x: getattr(x, name)(1, dtype=dtype_of(x, "float32")), x)
    agree(lambda x: getattr(x, name)(dtype=dtype_of(x, "float64")), draw(3))


VARIANCES = {
    "unbiased by default": lambda x: x.var(0),
    "unbiased=False": lambda x: x.var(0, unbiased=False),
    "a lone bool is `unbiased`": lambda x: x.var(False),
    "a lone True too": lambda x: x.var(True),
    "positional": lambda x: x.var(1, False, True),
    "correction": lambda x: x.var(0, correction=0),
    "correction 2": lambda x: x.var(1, correction=2),
    "std unbiased=False": lambda x: x.std(unbiased=False),
    "std a lone bool": lambda x: x.std(False),
    "std correction": lambda x: x.std((0, 1), correction=0, keepdim=True),
}


@for_each("name", VARIANCES)
def test_variance_and_its_correction(name):
    agree(VARIANCES[name], draw(3, 4))


@pytest.mark.filterwarnings("ignore:var().*degrees of freedom")
def test_variance_without_degrees_of_freedom():
    for n, correction in ((1, 1), (2, 2), (2, 3), (0, 1)):
        x = np.arange(n, dtype=float)
        agree(lambda x, c=correction: x.var(0, correction=c), x, gradient=False)


def test_empty_axes():
    x = draw(0, 3)
    for name in ("sum", "mean", "logsumexp"):
        agree(lambda x, n=name: getattr(x, n)(1), x)
    agree(lambda x: x.sum(), x)
    agree(lambda x: x.sum(0), x)
    agree(lambda x: x.mean(), x)
    agree(lambda x: x.mean(0), x)
    agree(lambda x: x.amax(1), x)
    agree(lambda x: x.max(1), x)
    agree(lambda x: x.argmax(1), x)
    agree(lambda x: x.all(), x)
    agree(lambda x: x.any(), x)
    agree(lambda x: x.all(0), x)


def test_an_empty_logsumexp_is_minus_infinity():
    agree(lambda x: x.logsumexp(0), draw(0, 3))


def test_along_the_axis_that_a_0d_tensor_does_not_have():
    for name in [
        "sum",
        "mean",
        "amax",
        "amin",
        "max",
        "min",
        "argmax",
        "argmin",
        "all",
        "any",
    ]:
        for dim in (0, -1):
            agree(lambda x, n=name, d=dim: getattr(x, n)(d), draw())


def test_the_norm_of_zero_has_gradient_zero():
    agree(lambda x: x.norm(), np.zeros(3))


def test_reductions_are_also_functions():
    x = draw(2, 3)
    for name in [
        "sum",
        "mean",
        "amax",
        "amin",
        "argmax",
        "argmin",
        "var",
        "std",
        "logsumexp",
    ]:
        agree(lambda x, n=name: getattr(library(x), n)(x, 1), x)
        agree(lambda x, n=name: getattr(library(x), n)(x, dim=-1), x)
    for name in ("max", "min", "all", "any"):
        agree(lambda x, n=name: getattr(library(x), n)(x), x)
    agree(lambda x: library(x).max(x, dim=1), x)
    agree(lambda x: library(x).max(x, x + 1), x)


def test_gradients_of_results_that_are_used_partly():
    agree(lambda x: x.max(0).values.sum() + x.min(1).values[0], draw(3, 3))
    agree(lambda x: x.sum(0)[1] * x.mean(1), draw(3, 3))


def test_an_integer_result_asks_for_no_gradient():
    x = tinygrad_cnn.tensor([1.0, 2.0], requires_grad=True)
    for y in (x.argmax(), x.max(0).indices, x.all(), x > 0, x.isnan()):
        assert not y.requires_grad
