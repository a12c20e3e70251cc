"""Kernels whose parts have their own images: together the parts write each value once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_cnn.kernels import Window, reference

pytest.importorskip("numba")

from tinygrad_cnn.kernels.fast import elementwise, pooling
from tinygrad_cnn.kernels.fast.sums import block_of

HALVES = Window((2, 2), (2, 2))
FLOATS = st.sampled_from([np.float32, np.float64])
BATCHES = st.sampled_from([1, 2, 31, 33, 64, 70, 97, 130])
PARTS = st.integers(1, 7)


@st.composite
def images(draw, least=1):
    """(C, H, W, N), few numbers, NaN and an infinity among them."""
    sides = st.integers(least, least + 4)
    shape = draw(st.integers(1, 3)), draw(sides), draw(sides), draw(BATCHES)
    some = np.array([0.0, 1.0, -2.0, 3.0, np.nan, -np.inf])
    chosen = draw(hnp.arrays(np.uint8, (61,), elements=st.integers(0, 5)))
    return some[np.resize(chosen, shape)].astype(draw(FLOATS))


def run_in_parts(call, parts):
    """What all parts of a call write, one after the other; nothing but their own."""
    kernel, (_, _, *arguments) = call
    for part in range(parts):
        kernel(part, parts, *arguments)


@given(rows=st.integers(0, 9), n=st.integers(0, 200), parts=st.integers(1, 9))
def test_each_row_of_each_image_is_in_one_part(rows, n, parts):
    count = np.zeros((rows, n), int)
    for part in range(parts):
        top, bottom, first, last = block_of(part, parts, rows, n)
        assert 0 <= top <= bottom <= rows
        count[top:bottom, first:last] += 1
    assert (count == 1).all()


@given(x=images(), parts=PARTS, name=st.sampled_from(["relu", "gate", "keep"]))
def test_masks(x, parts, name):
    x = x.transpose(3, 0, 1, 2)
    by = np.roll(x, 1, axis=1)
    others = {"relu": [], "gate": [by], "keep": [by > 0]}[name]
    y = np.full_like(x, 7)
    call = elementwise.map_call(getattr(elementwise, name), x, *others, y)
    run_in_parts(call, parts)
    np.testing.assert_array_equal(y, getattr(reference, name)(x, *others))


@given(x=images(), parts=PARTS)
def test_a_map_with_numbers(x, parts):
    x = np.where(np.isfinite(x), x, 0).transpose(3, 0, 1, 2)
    y = np.full_like(x, 7)
    run_in_parts(elementwise.map_call(elementwise.bend, x, x > 0, y, 0.5), parts)
    np.testing.assert_array_equal(y, np.where(x > 0, x, x * x.dtype.type(0.5)))


@given(x=images(least=2), parts=PARTS)
def test_pooling_there_and_back(x, parts):
    c, h, w, n = x.shape
    y = np.full((c, h // 2, w // 2, n), 7, x.dtype)
    tap, back = np.full(y.shape, 9, np.uint8), np.full_like(x, 7)
    run_in_parts(pooling.pool_call(x, HALVES, y, tap), parts)
    expected = reference.max_pool2d(x.transpose(3, 0, 1, 2), HALVES, False)
    np.testing.assert_array_equal(y.transpose(3, 0, 1, 2), expected[0])
    np.testing.assert_array_equal(tap.transpose(3, 0, 1, 2), expected[1])
    run_in_parts(pooling.put_call(y, tap, HALVES, back), parts)
    given = y.transpose(3, 0, 1, 2), tap.transpose(3, 0, 1, 2)
    np.testing.assert_array_equal(
        back.transpose(3, 0, 1, 2), reference.max_pool2d_put(*given, (h, w), HALVES)
    )
