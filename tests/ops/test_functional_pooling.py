"""`nn.functional` of pooling, defaults included."""

import numpy as np
import pytest
from agreement import agree, functional, library, refuses_as_torch, torch

from tinygrad_cnn import tensor
from tinygrad_cnn.errors import ArgumentError, ShapeError, TinygradError
from tinygrad_cnn.nn.functional import adaptive_avg_pool2d, avg_pool2d, max_pool2d


def images(d, size):
    """Distinct values, (N, C, H, W) or (C, H, W)."""
    return d.distinct((*[d.int(1, 2)] * d.bool(), 2, *size))


def test_max_pool2d(for_drawn):
    @for_drawn(40)
    def _(d):
        window, size = d.window(half=True)
        names = "stride", "padding", "dilation"
        options = d.arguments(window, *names, stride=window.kernel)
        options |= d.some(ceil_mode=d.bool(), return_indices=d.bool())
        program = functional("max_pool2d", kernel_size=window.kernel, **options)
        agree(program, images(d, size))


def test_avg_pool2d(for_drawn):
    @for_drawn(40)
    def _(d):
        window, size = d.window(half=True)
        options = d.arguments(window, "stride", "padding", stride=window.kernel)
        options |= d.some(
            ceil_mode=d.bool(),
            count_include_pad=d.bool(),
            divisor_override=d.of((None, 1, 3, -2)),
        )
        program = functional("avg_pool2d", kernel_size=window.kernel, **options)
        agree(program, images(d, size))


def test_adaptive_avg_pool2d(for_drawn):
    @for_drawn(30)
    def _(d):
        size = d.of((1, 2, 4, (2, 3), (None, 1), [3, None], (None, None), (6, 7)))
        program = functional("adaptive_avg_pool2d", output_size=size)
        agree(program, images(d, d.pair(1, 6)))


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_pooling_accepts_the_padding_that_pytorch_accepts(name, for_drawn):
    @for_drawn(40)
    def _(d):
        kernel, padding = d.pair(1, 5), d.pair(0, 3)
        options = {"kernel_size": kernel, "padding": padding, "stride": 1}
        if name == "max_pool2d":
            options["dilation"] = d.int(1, 3)
        x = np.array(d.distinct((1, 1, 9, 9)), order="C")
        try:
            functional(name, **options)(torch.tensor(x))
        except RuntimeError:
            with pytest.raises(TinygradError):
                functional(name, **options)(tensor(x))
        else:
            agree(functional(name, **options), x)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 5},
        {"kernel_size": 0},
        {"kernel_size": 2, "stride": 0},
        {"kernel_size": (2, 2, 2)},
        {"kernel_size": 2, "padding": -1},
        {"kernel_size": 2, "padding": 2},
        {"kernel_size": 1.5},
    ],
    ids=str,
)
def test_pooling_refuses_the_arguments_that_pytorch_refuses(name, options):
    refuses_as_torch(functional(name, **options), np.ones((1, 2, 4, 4)))


@pytest.mark.parametrize("function", [max_pool2d, avg_pool2d])
@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 2, 4, 4)])
def test_pooling_refuses_what_is_no_image(function, shape):
    with pytest.raises(ShapeError, match=f"takes images .N, C, H, W., got .{shape[0]}"):
        function(tensor(np.ones(shape)), 2)


def test_messages_name_the_sizes():
    x = tensor(np.ones((1, 1, 4, 4)))
    with pytest.raises(ShapeError, match=r"spans 5×5, more than the input of 4×4"):
        max_pool2d(x, 5)
    with pytest.raises(ArgumentError, match=r"half of effective kernel size"):
        avg_pool2d(x, 2, padding=2)
    with pytest.raises(ArgumentError, match="divisor must be not zero"):
        avg_pool2d(x, 2, divisor_override=0)
    with pytest.raises(ArgumentError, match="to 0 windows"):
        adaptive_avg_pool2d(x, 0)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_the_windows_over_it(name, value, rng):
    x = rng.standard_normal((1, 2, 6, 6))
    x[0, 0, 1, 4] = value
    agree(lambda x: getattr(library(x).nn.functional, name)(x, 2), x)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"])
def test_pooling_of_no_images(name):
    agree(
        lambda x: getattr(library(x).nn.functional, name)(x, 2), np.zeros((0, 2, 4, 4))
    )
