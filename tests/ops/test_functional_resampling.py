"""`nn.functional` of images made larger or smaller, and taken apart."""

import numpy as np
import pytest
from agreement import agree, draw, functional, refuses_as_torch

import tinygrad_cnn as tg
from tinygrad_cnn.errors import TinygradError
from tinygrad_cnn.nn import functional as F

AXES = {
    **dict.fromkeys(("nearest", "nearest-exact", "area"), (1, 2, 3)),
    **{"linear": (1,), "bilinear": (2,), "bicubic": (2,), "trilinear": (3,)},
}


@pytest.mark.parametrize("mode", AXES)
def test_interpolate(mode, for_drawn):
    @for_drawn(60)
    def _(d):
        axes = d.of(AXES[mode])
        lengths = [d.int(1, 6) for _ in range(axes)]
        options = {"mode": mode}
        if d.bool():
            options["size"] = tuple(d.int(1, 9) for _ in lengths)
        else:  # among them what leaves a length as it is, and what doubles it
            scales = [d.of((1, 1.1, 1.7, 2, 2.3, 0.7, 3)) for _ in lengths]
            options["scale_factor"] = [
                max(s, 1) if n == 1 else s for s, n in zip(scales, lengths, strict=True)
            ]
            options |= d.some(recompute_scale_factor=d.bool())
        if "linear" in mode or mode == "bicubic":
            options |= d.some(align_corners=d.bool())
        # By a factor, PyTorch's gradient takes other places than its result now and then.
        odd = mode == "bicubic" or (mode == "nearest" and axes != 2)
        right = "size" in options or not odd
        x = d.values((2, 1, *lengths))
        agree(functional("interpolate", **options), x, gradient=right)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": 3, "scale_factor": 2},
        {"size": (3, 3, 3)},
        {"size": 0},
        {"scale_factor": 0.1},
        {"scale_factor": (2,)},
        {"size": 3, "mode": "linear"},
        {"size": 3, "mode": "trilinear"},
        {"size": 3, "mode": "cubic"},
        {"size": 3, "align_corners": True},
        {"size": 3, "recompute_scale_factor": True},
    ],
    ids=str,
)
def test_interpolate_refuses_what_pytorch_refuses(options):
    program = functional("interpolate", **options)
    refuses_as_torch(program, draw(1, 2, 4, 4), kind=RuntimeError)


def test_interpolate_refuses_antialias():
    with pytest.raises(TinygradError, match="mode='area'"):
        F.interpolate(tg.ones(1, 1, 4, 4), 2, mode="bilinear", antialias=True)


def test_what_is_not_finite_stays_at_the_pixels_that_it_is_nearest_to():
    x = np.array([[[1.0, np.inf, np.nan, 2.0]]])
    agree(functional("interpolate", scale_factor=2), x)
    y = F.pad(tg.tensor(x), (1, 3), "reflect")
    expected = [np.inf, 1, np.inf, np.nan, 2, np.nan, np.inf, 1]
    np.testing.assert_array_equal(y.numpy()[0, 0], expected)


def test_unfold_and_fold(for_drawn):
    @for_drawn(30)
    def _(d):
        window, size = d.window()
        options = d.arguments(window, "stride", "padding", "dilation")
        lead = d.of(((2, 2), (3,)))
        program = functional("unfold", kernel_size=window.kernel, **options)
        agree(program, d.values((*lead, *size)))
        columns = program(tg.ones(*lead, *size))
        options |= {"output_size": size, "kernel_size": window.kernel}
        agree(functional("fold", **options), d.values(tuple(columns.shape)))


def test_a_convolution_is_a_product_with_the_windows_as_columns():
    x, w = tg.tensor(draw(2, 3, 6, 5)), tg.tensor(draw(4, 3, 3, 2))
    columns = F.unfold(x, (3, 2), padding=1)
    y = (w.flatten(1) @ columns).reshape(2, 4, 6, 6)
    assert tg.allclose(y, F.conv2d(x, w, padding=1))


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("fold", {"output_size": 4, "kernel_size": 2}, (2, 7, 9)),
        ("fold", {"output_size": 4, "kernel_size": 2}, (2, 8, 8)),
        ("fold", {"output_size": 4, "kernel_size": 5}, (2, 25, 1)),
        ("unfold", {"kernel_size": 5}, (1, 1, 4, 4)),
        ("unfold", {"kernel_size": 2}, (4, 4)),
        ("pixel_shuffle", {"upscale_factor": 2}, (1, 6, 2, 2)),
        ("pixel_shuffle", {"upscale_factor": 2}, (4, 4)),
        ("pixel_shuffle", {"upscale_factor": 0}, (1, 4, 4, 4)),
        ("pixel_unshuffle", {"downscale_factor": 3}, (1, 6, 3, 2)),
        ("channel_shuffle", {"groups": 4}, (1, 6, 3, 2)),
        ("channel_shuffle", {"groups": 0}, (1, 6, 3, 2)),
        ("adaptive_avg_pool2d", {"output_size": ()}, (1, 1, 4, 4)),
        ("adaptive_avg_pool2d", {"output_size": (1, 2, 3)}, (1, 1, 4, 4)),
        ("adaptive_avg_pool2d", {"output_size": "2"}, (1, 1, 4, 4)),
        ("adaptive_avg_pool2d", {"output_size": 2}, (4, 4)),
        ("adaptive_avg_pool2d", {"output_size": -1}, (1, 1, 4, 4)),
        ("adaptive_avg_pool2d", {"output_size": 2.5}, (1, 1, 4, 4)),
        ("adaptive_max_pool2d", {"output_size": ()}, (1, 1, 4, 4)),
        ("adaptive_max_pool1d", {"output_size": (2, 2)}, (1, 1, 4)),
        ("max_pool1d", {"kernel_size": (2, 2)}, (1, 1, 4)),
        ("max_pool1d", {"kernel_size": 2}, (1, 1, 4, 4)),
        ("avg_pool3d", {"kernel_size": 2}, (1, 4, 4)),
        ("pad", {"pad": (1, 1), "mode": "reflect"}, (4,)),
        ("pad", {"pad": (1, 1), "mode": "reflect"}, (1, 1, 4, 4)),
        ("pad", {"pad": (1, 1), "mode": "reflect"}, (1, 0, 4)),
        ("pad", {"pad": (-2, -2), "mode": "replicate"}, (1, 1, 4)),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_as_by_pytorch(name, options, shape):
    refuses_as_torch(functional(name, **options), np.ones(shape), kind=RuntimeError)


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({"stride": (0, 1, 1)}, [(1, 1, 3, 3, 3), (1, 1, 2, 2, 2)]),
        ({"padding": (-1, 0, 0)}, [(1, 1, 3, 3, 3), (1, 1, 2, 2, 2)]),
        ({"padding": (1, 1)}, [(1, 1, 3, 3, 3), (1, 1, 2, 2, 2)]),
        ({}, [(1, 1, 3, 3, 3), (1, 1, 0, 2, 2)]),
        ({}, [(1, 1, 3, 3, 3), (1, 1, 4, 2, 2)]),
        ({}, [(1, 2, 3, 3, 3), (1, 1, 2, 2, 2)]),
        ({}, [(3, 3, 3), (1, 1, 2, 2, 2)]),
    ],
    ids=str,
)
def test_conv3d_refuses_what_pytorch_refuses(options, shapes):
    refuses_as_torch(functional("conv3d", **options), *map(np.ones, shapes))


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
def test_grid_sample(mode, padding_mode, for_drawn):
    @for_drawn(20)
    def _(d):
        n, size, places = d.batch(), d.pair(1, 4), d.pair(1, 3)
        options = {"mode": mode, "padding_mode": padding_mode}
        program = functional("grid_sample", align_corners=d.bool(), **options)
        agree(program, d.values((n, 2, *size)), d.values((n, *places, 2), -1.4, 1.4))


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid")
@pytest.mark.parametrize("size", [(2, 1, 3, 4), (1, 2, 1, 5), (2, 1, 2, 3, 1)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_affine_grid(size, align_corners):
    axes = len(size) - 2
    program = functional("affine_grid", size=size, align_corners=align_corners)
    agree(program, draw(size[0], axes, axes + 1))


def test_the_grid_of_the_identity_reads_the_image_itself():
    x = tg.tensor(draw(2, 3, 4, 5))
    identity = tg.eye(3)[:2].double().expand(2, 2, 3)
    with pytest.warns(UserWarning, match="align_corners"):
        grid = F.affine_grid(identity, x.shape)
    assert tg.allclose(F.grid_sample(x, grid, align_corners=False), x)


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({"mode": "cubic"}, [(1, 1, 2, 2), (1, 1, 1, 2)]),
        ({"padding_mode": "edge"}, [(1, 1, 2, 2), (1, 1, 1, 2)]),
        ({}, [(1, 1, 2, 2), (1, 1, 1, 3)]),
        ({}, [(1, 1, 2, 2), (2, 1, 1, 2)]),
        ({}, [(1, 1, 0, 2), (1, 1, 1, 2)]),
        ({}, [(1, 2, 2), (1, 1, 1, 2)]),
    ],
    ids=str,
)
def test_grid_sample_refuses_what_pytorch_refuses(options, shapes):
    program = functional("grid_sample", align_corners=False, **options)
    refuses_as_torch(program, *map(np.ones, shapes), kind=RuntimeError)
