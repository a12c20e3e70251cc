"""Where windows lie, counted one by one, and what does not fit, said in a sentence."""

from types import SimpleNamespace

import numpy as np
import oracles
import pytest

from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_cnn.kernels import Window, pair


@pytest.mark.parametrize("given", [3, (3,), [3], (3, 3), [3, 3]])
def test_a_number_stands_for_both_directions(given):
    assert pair(given, "stride") == (3, 3)


def test_a_pair_is_vertical_then_horizontal():
    assert pair([1, 2], "stride") == (1, 2)


@pytest.mark.parametrize(
    "given",
    [1.5, (1.5, 2), (1, 2, 3), (), "2", "12", ("1", "2"), None, True],
)
def test_what_is_no_pair_of_ints_is_refused_by_name(given):
    with pytest.raises(
        DTypeError, match="stride must be an int or a pair of ints, got"
    ):
        pair(given, "stride")


@pytest.mark.parametrize("given", [np.int64(3), (np.int64(3), 3), [np.uint8(3)]])
def test_integers_of_numpy_are_integers(given):
    assert pair(given, "stride") == (3, 3)


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_positions_are_those_found_by_counting(ceil_mode, for_drawn):
    @for_drawn(100)
    def _(d):
        window, size = d.window(half=ceil_mode)
        expected = oracles.positions(size, window, ceil_mode)
        assert window.output_size(size, ceil_mode) == expected


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_positions_are_those_of_pytorch(ceil_mode, for_drawn):
    torch = pytest.importorskip("torch")

    @for_drawn(60)
    def _(d):
        window, size = d.window(half=True)
        y = torch.nn.functional.max_pool2d(
            torch.zeros(1, 1, *size),
            *(window.kernel, window.stride, window.padding, window.dilation),
            ceil_mode=ceil_mode,
        )
        assert window.output_size(size, ceil_mode) == tuple(y.shape[2:])


def test_the_overhang_is_how_far_the_last_window_reaches_out(for_drawn):
    @for_drawn(60)
    def _(d):
        window, size = d.window(half=True)
        positions = window.output_size(size, ceil_mode=True)
        ends = [
            [i * s + k * g for i in range(o) for k in range(taps)]
            for o, s, taps, g in zip(
                positions, window.stride, window.kernel, window.dilation, strict=True
            )
        ]
        expected = [
            max(0, max(end) + 1 - n - 2 * p)
            for end, n, p in zip(ends, size, window.padding, strict=True)
        ]
        assert window.overhang(size, positions) == tuple(expected)


def test_a_window_spans_its_gaps():
    assert Window((3, 2), dilation=(2, 3)).extent == (5, 4)


@pytest.mark.parametrize("field", ["kernel", "stride", "dilation", "padding"])
@pytest.mark.parametrize("position", [0, 1])
def test_numbers_out_of_range_are_refused_by_name(field, position):
    least = 0 if field == "padding" else 1
    value = [least, least]
    value[position] = least - 1
    given = {"kernel": (1, 1)} | {field: tuple(value)}
    message = rf"{field} must be at least {least}, got \({value[0]}, {value[1]}\)"
    with pytest.raises(ArgumentError, match=message):
        Window(**given)


def test_a_window_larger_than_its_input_is_refused_in_a_sentence():
    window = Window((3, 2), padding=(1, 0), dilation=(3, 1))
    message = (
        "the window spans 7×2, more than the input of 4×9 padded to 6×9: "
        "use a smaller kernel, or more padding"
    )
    with pytest.raises(ShapeError, match=message):
        window.output_size((4, 9))
    assert window.output_size((5, 9)) == (1, 8)


@pytest.mark.parametrize("size", [(0, 4), (4, 0)])
def test_an_input_without_pixels_is_refused(size):
    with pytest.raises(ShapeError, match="more than the input of"):
        Window((2, 2)).output_size(size)


def test_windows_are_values():
    window = Window((2, 3), stride=(2, 1))
    assert window == Window((2, 3), (2, 1)) != Window((2, 3))
    assert hash(window) == hash(Window((2, 3), (2, 1)))
    plain = SimpleNamespace(**vars(window))
    assert oracles.positions((5, 5), plain) == oracles.positions((5, 5), window)
