"""`nn.functional` of convolutions, the dense layer and padding, defaults included."""

import numpy as np
import pytest
from agreement import agree, functional, refuses_as_torch
from cases import leaf_on

from tinygrad_cnn import Tensor
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.nn.functional import conv2d, true_conv2d


def images(d, channels, size):
    """(N, C, H, W), or one image without N."""
    return d.values((*[d.int(1, 2)] * d.bool(), channels, *size))


def bias(d, channels):
    return [d.values(channels)] * d.bool()


def test_conv2d(for_drawn):
    @for_drawn(40)
    def _(d):
        window, size = d.window()
        options = d.arguments(window, "stride", "padding", "dilation")
        options |= d.some(groups=(groups := d.int(1, 2)))
        c, o = d.int(1, 2), d.int(1, 2) * groups
        x = images(d, c * options.get("groups", 1), size)
        w = d.values((o, c, *window.kernel))
        agree(functional("conv2d", **options), x, w, *bias(d, o))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_conv2d_with_padding_by_name(padding, for_drawn):
    @for_drawn(20)
    def _(d):
        window, size = d.window()
        size = tuple(n + 2 * p for n, p in zip(size, window.padding, strict=True))
        options = d.arguments(window, "dilation") | d.some(stride=1)
        x, w = images(d, 2, size), d.values((3, 2, *window.kernel))
        agree(functional("conv2d", padding=padding, **options), x, w, *bias(d, 3))


RNG = np.random.default_rng(7)
X, W = RNG.standard_normal((2, 4, 5, 5)), RNG.standard_normal((2, 4, 3, 3))


@pytest.mark.parametrize(
    "options",
    [
        {"groups": 3},
        {"groups": 2},
        {"groups": 0},
        {"stride": 0},
        {"stride": -1},
        {"stride": (1, 2, 3)},
        {"stride": 1.5},
        {"stride": (1.5, 2)},
        {"stride": "12"},
        {"dilation": 0},
        {"dilation": 3},
        {"padding": -1},
        {"padding": "sama"},
        {"padding": None},
        {"padding": "same", "stride": 2},
    ],
    ids=str,
)
def test_conv2d_refuses_the_arguments_that_pytorch_refuses(options):
    refuses_as_torch(functional("conv2d", **options), X, W)


@pytest.mark.parametrize(
    "arrays",
    [
        (X[:, :3], W),
        (X[:, :, :2], W),
        (X[0, :2], W),
        (X[0, 0], W),
        (X[None], W),
        (X, W[0]),
        (X, W, np.ones(3)),
        (X, W, np.ones((2, 1))),
        (X, W.astype(np.float32)),
        (X, W, np.ones(2, np.float32)),
        (X.astype(int), W),
    ],
    ids=lambda arrays: " ".join(f"{x.dtype}{list(x.shape)}" for x in arrays),
)
def test_conv2d_refuses_the_arrays_that_pytorch_refuses(arrays):
    refuses_as_torch(functional("conv2d"), *arrays)


def test_a_convolution_that_does_not_fit_is_explained():
    x, w = leaf_on(np.ones((1, 1, 4, 5))), leaf_on(np.ones((1, 1, 5, 3)))
    with pytest.raises(ShapeError, match=r"spans 5×3, more than the input of 4×5"):
        conv2d(x, w)
    with pytest.raises(ShapeError, match=r"use in_channels=1"):
        conv2d(x, leaf_on(np.ones((1, 2, 3, 3))))
    with pytest.raises(ArgumentError, match=r"stride must be at least 1, got \(0, 1\)"):
        conv2d(x, w, stride=(0, 1))


def test_true_conv2d_is_the_convolution_of_mathematics(for_drawn):
    """y[i, j] = Σ x[i − u, j − v] w[u, v], wherever the kernel lies inside."""

    @for_drawn(15)
    def _(d):
        (ky, kx), size = d.pair(1, 3), d.pair(3, 5)
        x, w = d.values((2, 2, *size)), d.values((3, 2, ky, kx))
        y = true_conv2d(leaf_on(x), leaf_on(w)).detach().numpy()
        for n, o, i, j in np.ndindex(y.shape):
            expected = sum(
                x[n, c, i + ky - 1 - u, j + kx - 1 - v] * w[o, c, u, v]
                for c, u, v in np.ndindex(2, ky, kx)
            )
            np.testing.assert_allclose(y[n, o, i, j], expected, 1e-12, 1e-12)


def test_true_conv2d_takes_the_arguments_of_conv2d_and_flips_the_kernel(for_drawn):
    @for_drawn(15)
    def _(d):
        window, size = d.window()
        options = d.arguments(window, "stride", "padding", "dilation")
        x, w = images(d, 2, size), d.values((3, 2, *window.kernel))

        def program(x, w, *b):
            if isinstance(x, Tensor):
                return true_conv2d(x, w, *b, **options)
            return functional("conv2d", **options)(x, w.flip(2, 3), *b)

        agree(program, x, w, *bias(d, 3))


def test_conv_transpose2d(for_drawn):
    @for_drawn(40)
    def _(d):
        window, _ = d.window()
        options = d.arguments(window, "stride", "padding", "dilation")
        groups, c, o = d.int(1, 2), d.int(1, 2), d.int(1, 2)
        if groups > 1 or d.bool():
            options["groups"] = groups
        extra = tuple(
            d.int(0, max(s, g) - 1)
            for s, g in zip(window.stride, window.dilation, strict=True)
        )
        if any(extra) or d.bool():
            options["output_padding"] = extra
        geometry = zip(window.stride, window.padding, window.extent, strict=True)
        size = (max(-(-(2 * p - e + 1) // s), 0) + d.int(1, 3) for s, p, e in geometry)
        x = images(d, groups * c, size)
        w = d.values((groups * c, o, *window.kernel))
        program = functional("conv_transpose2d", **options)
        agree(program, x, w, *bias(d, o * groups))


def test_conv_transpose2d_with_output_padding_of_a_stride_or_more():
    """Allowed where the dilation is larger still; no input reaches those pixels."""
    options = {"stride": (1, 2), "dilation": (2, 4), "output_padding": (1, 3)}
    program = functional("conv_transpose2d", **options)
    agree(program, X[:1], W.swapaxes(0, 1), np.ones(2))


@pytest.mark.parametrize(
    "options",
    [
        {"output_padding": 1},
        {"output_padding": 2, "stride": 2},
        {"output_padding": -1},
        {"groups": 3},
        {"groups": 0},
        {"stride": 0},
        {"padding": -1},
        {"padding": 4},
    ],
    ids=str,
)
def test_conv_transpose2d_refuses_the_arguments_that_pytorch_refuses(options):
    refuses_as_torch(functional("conv_transpose2d", **options), X, W.swapaxes(0, 1))


@pytest.mark.parametrize(
    "arrays",
    [
        (X, W),
        (X, W[:1].swapaxes(0, 1), np.ones(3)),
        (X, W.swapaxes(0, 1), np.ones(4)),
        (X, W.swapaxes(0, 1).astype(np.float32)),
        (X[0, 0], W.swapaxes(0, 1)),
    ],
    ids=lambda arrays: " ".join(f"{x.dtype}{list(x.shape)}" for x in arrays),
)
def test_conv_transpose2d_refuses_the_arrays_that_pytorch_refuses(arrays):
    refuses_as_torch(functional("conv_transpose2d"), *arrays)


def test_linear(for_drawn):
    @for_drawn(20)
    def _(d):
        features, units = d.int(1, 4), d.int(1, 4)
        x, w = d.values((*d.shape(0, 3), features)), d.values((units, features))
        agree(functional("linear"), x, w, *bias(d, units))


@pytest.mark.parametrize(
    "arrays",
    [
        (np.ones((3, 3)), np.ones((2, 4))),
        (np.ones((3, 4)), np.ones((2, 4)), np.ones(3)),
        (np.ones((3, 4)), np.ones((2, 4), np.float32)),
        (np.ones((3, 4)), np.ones((2, 4)), np.ones(2, np.float32)),
    ],
    ids=lambda arrays: " ".join(f"{x.dtype}{list(x.shape)}" for x in arrays),
)
def test_linear_refuses_what_pytorch_refuses(arrays):
    refuses_as_torch(functional("linear"), *arrays)


def test_constant_padding_and_cropping(for_drawn):
    @for_drawn(30)
    def _(d):
        s = tuple(d.int(3, 4) for _ in range(d.int(1, 4)))
        pad = [d.int(-1, 2) for _ in range(2 * d.int(0, len(s)))]
        options = d.some(mode="constant") | d.some(value=d.of((0.0, 2.5, -1, None)))
        agree(functional("pad", pad=pad, **options), d.values(s))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_with_values_of_the_image(mode, for_drawn):
    @for_drawn(20)
    def _(d):
        axes = d.int(1, 2)
        lead = [2, 3][: d.int(1, 2)] if mode != "circular" else [2, 3]
        s = (*lead, *(d.int(3, 4) for _ in range(axes)))
        pad = tuple(d.int(0, 2) for _ in range(2 * axes))
        agree(functional("pad", pad=pad, mode=mode), d.values(s))


@pytest.mark.parametrize(
    "options",
    [
        {"pad": (1,)},
        {"pad": (1, 1, 1)},
        {"pad": (1,) * 10},
        {"pad": (1, 1), "mode": "mirror"},
        {"pad": (5, 5, 5, 5), "mode": "reflect"},
        {"pad": (6, 6, 6, 6), "mode": "circular"},
        {"pad": (-3, -3)},
        {"pad": (-6, 2)},
        {"pad": (1, 1, 1, 1), "mode": "reflect", "value": 1.0},
    ],
    ids=str,
)
def test_padding_refuses_what_pytorch_refuses(options):
    refuses_as_torch(functional("pad", **options), X)
