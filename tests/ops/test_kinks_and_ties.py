"""Where there is no derivative: the documented choice, which is PyTorch's."""

import numpy as np
import oracles
from agreement import agree, library
from cases import leaf_on
from each import for_each

from tinygrad_cnn import autograd, tensor
from tinygrad_cnn.kernels import Window
from tinygrad_cnn.ops.pooling import MaxPool2d, MaxPoolPut

GRID = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
A, B = (x.copy() for x in np.meshgrid(GRID, GRID))

CORNERS = {
    "relu": lambda x: x.relu(),
    "leaky_relu": lambda x: library(x).nn.functional.leaky_relu(x, 0.3),
    "hardtanh": lambda x: library(x).nn.functional.hardtanh(x),
    "hardtanh with bounds": lambda x: library(x).nn.functional.hardtanh(x, -2, 0.5),
    "abs": lambda x: x.abs(),
    "sign": lambda x: x.sign(),
    "clamp": lambda x: x.clamp(-1, 0.5),
    "clamp from below": lambda x: x.clamp(min=0.0),
    "clamp from above": lambda x: x.clamp(max=0.0),
    "clamp with bounds exchanged": lambda x: x.clamp(1.0, -1.0),
}


@for_each("name", CORNERS)
def test_corners_of_activations(name):
    agree(CORNERS[name], np.array([*GRID, -0.0]))


@for_each("name", CORNERS)
def test_activations_of_infinity(name):
    agree(CORNERS[name], np.array([np.inf, -np.inf]))


@for_each("name", ["maximum", "minimum"])
def test_where_two_inputs_tie_each_gets_half(name):
    agree(lambda a, b: getattr(a, name)(b), A, B)


@for_each("name", ["l1_loss", "mse_loss"])
def test_errors_of_nothing(name):
    agree(lambda a, b: getattr(library(a).nn.functional, name)(a, b), A, B)


@for_each("name", ["sqrt", "log"])
def test_edges_of_the_domain(name):
    agree(lambda x: getattr(x, name)(), GRID)


@for_each("power", [0, 1, 2, 3, -1, 0.5, 0.0, 1.0, 2.0, -0.5, 1.5])
def test_powers_of_zero_and_of_negative_numbers(power):
    agree(lambda x: x**power, GRID)


def test_powers_with_exponents_that_ask_for_gradients():
    agree(lambda a, b: a**b, A, B)


@for_each("base", [0.0, 2.0, 0, 3, 1.0])
def test_powers_of_a_number(base):
    agree(lambda x: base**x, GRID)


def test_powers_of_a_negative_number_have_no_gradient_but_no_error_either():
    agree(lambda x: (-2.0) ** x, GRID)


def test_second_derivatives_of_powers_at_zero():
    for power in (2, 3, 2.0, 4):
        x = tensor(GRID, requires_grad=True)
        (first,) = autograd.grad((x**power).sum(), x, create_graph=True)
        (second,) = autograd.grad(first.sum(), x)
        expected = power * (power - 1) * GRID ** (power - 2)
        np.testing.assert_allclose(second.numpy(), expected)


@for_each("dim", [(), 0, 1, (0, 1), (0, 2), -1])
@for_each("name", ["amax", "amin"])
def test_extremes_share_the_gradient_evenly_among_ties(name, dim, rng):
    x = rng.integers(0, 3, (3, 4, 3)).astype(float)
    agree(lambda x: getattr(x, name)(dim), x)


def test_a_cast_rounds_and_its_gradient_has_the_dtype_of_the_input(rng):
    x = rng.standard_normal(5)
    agree(lambda x: x.to(library(x).float32), x)
    agree(lambda x: x.to(library(x).float64), x.astype(np.float32))


# ------------------------------------------------------------------------ max pooling


def pooled(x, window, ceil_mode, g=None):
    """The result, the tap of each window, and the gradient of ⟨g, result⟩."""
    y, tap = MaxPool2d(window, ceil_mode).forward(x)
    given = leaf_on(x)
    MaxPool2d(window, ceil_mode)(given).backward(tensor(y if g is None else g))
    return y, tap, given.grad.numpy()


@for_each("dtype", [np.float32, np.float64])
def test_ties_of_max_pooling_go_to_the_first_tap(dtype, for_drawn):
    """Few values, so ties everywhere; integers, so that every sum is exact."""

    @for_drawn(40)
    def _(d):
        window, size = d.window(half=True)
        ceil_mode = d.bool()
        x = d.laid(d.rng.integers(0, 3, (2, 2, *size)).astype(dtype))
        maxima, taps = oracles.max_pool2d(x, window, ceil_mode)
        g = d.rng.integers(1, 100, maxima.shape).astype(dtype)
        y, tap, gradient = pooled(x, window, ceil_mode, g)
        np.testing.assert_array_equal(y, maxima)
        np.testing.assert_array_equal(tap, taps)
        expected = oracles.max_pool2d_put(g, taps, size, window)
        np.testing.assert_array_equal(gradient, expected)
        assert gradient.sum() == g.sum()


def test_ties_of_max_pooling_agree_with_pytorch(for_drawn):
    @for_drawn(40)
    def _(d):
        window, size = d.window(half=True)
        x = d.rng.integers(0, 3, (2, 2, *size)).astype(float)
        options = {
            "kernel_size": window.kernel,
            "stride": window.stride,
            "padding": window.padding,
            "dilation": window.dilation,
            "ceil_mode": d.bool(),
            "return_indices": d.bool(),
        }
        agree(lambda x: library(x).nn.functional.max_pool2d(x, **options), x)


@for_each("value", [-np.inf, np.nan, np.inf])
def test_max_pooling_of_one_value_alone_agrees_with_pytorch(value):
    """Of a window that holds only −∞, the winner is still inside the image."""
    options = {"kernel_size": 3, "stride": 2, "padding": 1}
    x = np.full((1, 1, 5, 5), value)
    for indices in (False, True):
        options["return_indices"] = indices
        agree(lambda x: library(x).nn.functional.max_pool2d(x, **options), x)


def test_nan_wins_in_max_pooling(for_drawn):
    @for_drawn(20)
    def _(d):
        window, size = d.window(half=True)
        x = d.rng.integers(0, 3, (1, 2, *size)).astype(float)
        x[d.rng.random(x.shape) < 0.2] = np.nan
        y, tap, _ = pooled(x, window, ceil_mode := d.bool())
        maxima, taps = oracles.max_pool2d(x, window, ceil_mode)
        np.testing.assert_array_equal(y, maxima)
        np.testing.assert_array_equal(tap, taps)


@for_each("value", [np.inf, -np.inf, np.nan])
def test_a_gradient_that_is_not_finite_reaches_only_the_winner(value):
    x = np.array([[[[1.0, 2.0], [4.0, 3.0]]]])
    _, _, gradient = pooled(x, Window((2, 2)), False, np.full((1, 1, 1, 1), value))
    np.testing.assert_array_equal(gradient, [[[[0, 0], [value, 0]]]])


def test_putting_back_adds_where_windows_overlap():
    x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    tap = np.array([[[[4, 3], [1, 0]]]], np.uint8)  # the middle of the image, each
    y = MaxPoolPut(Window((3, 3), (1, 1), (1, 1)), (2, 2))(x, tap)
    np.testing.assert_array_equal(y, [[[[10, 0], [0, 0]]]])
