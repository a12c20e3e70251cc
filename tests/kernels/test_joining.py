"""Bits of compiled kernels: when joined, on any number of threads, wherever arrays lie."""

import functools
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("numba")

from tinygrad_cnn.errors import OutOfMemoryError
from tinygrad_cnn.kernels import fast, reference, threads
from tinygrad_cnn.kernels.fast.calls import run, transpose_call
from tinygrad_cnn.kernels.fast.joining import joined
from tinygrad_cnn.kernels.fast.reduction import (
    log_softmax_call,
    log_softmax_input_call,
    mean_nll_call,
)
from tinygrad_cnn.kernels.fast.sums import add_slices
from tinygrad_cnn.kernels.geometry import Window

DTYPES = np.float32, np.float64


@pytest.fixture
def one_thread(monkeypatch):
    monkeypatch.setattr(threads.Pool, "compiled", 1)


# ------------------------------------------------------------------- joined calls


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("one_thread")
def test_joined_calls_give_what_they_give_one_after_the_other(dtype, rng):
    x, y = rng.normal(size=(3, 40)).astype(dtype), np.zeros(40, dtype)
    turned, back = np.zeros(120, dtype), np.zeros(120, dtype)
    calls = [
        add_slices.call(1, x, y),
        transpose_call(x.reshape(-1), 3, turned),
        transpose_call(turned, 40, back),  # which needs the call before it
    ]
    one = joined(calls)
    assert len(one) == 1
    run(*one)
    np.testing.assert_array_equal(y, x[0] + x[1] + x[2])
    np.testing.assert_array_equal(turned.reshape(40, 3), x.T)
    np.testing.assert_array_equal(back.reshape(3, 40), x)


@pytest.mark.usefixtures("one_thread")
def test_they_read_the_values_that_are_there_when_they_are_called(rng):
    x, y = np.zeros((2, 5)), np.zeros(5)
    call = joined([add_slices.call(1, x, y)])
    for _ in range(3):
        x[...] = rng.normal(size=x.shape)
        run(*call)
        np.testing.assert_array_equal(y, x[0] + x[1])


@pytest.mark.usefixtures("one_thread")
def test_other_calls_between_stay_where_they_are():
    a, b, c = (np.zeros(4) for _ in "abc")
    seen = []
    look = lambda: seen.append((b.sum(), c.sum()))
    calls = [
        (look, ()),
        (np.copyto, (a, 1.0)),
        add_slices.call(1, a.reshape(1, 4), b),
        (look, ()),
        add_slices.call(1, b.reshape(1, 4), c),
        (look, ()),
    ]
    found = joined(calls)
    assert [f is look for f, _ in found] == [True, False, False, True, False, True]
    run(*found)
    assert seen == [(0, 0), (4, 0), (4, 4)]


def test_no_calls_are_joined_to_none():
    assert joined([]) == []


def test_calls_for_several_threads_are_joined_to_those_of_one(rng, monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 0)
    x, y, z = rng.normal(size=(3, 2000)), np.zeros(2000), np.zeros(2000)
    calls = []
    for number, given, result in (1, x, y), (2, y.reshape(1, -1), z):
        monkeypatch.setattr(threads.Pool, "compiled", number)
        calls.append(add_slices.call(1, given, result))
    one = joined(calls)
    assert len(one) == 1
    run(*one)
    np.testing.assert_array_equal(z, x[0] + x[1] + x[2])


@pytest.mark.usefixtures("one_thread")
def test_numbers_that_are_constants_arrive_as_they_are(rng):
    x = rng.normal(size=(70, 3)).astype("f")
    target, scale = rng.integers(0, 3, 70), np.empty(70, "f")
    losses = np.empty((2, 1), "f")
    label = np.empty_like(target)
    given = [(x, target, 210, y.reshape(()), scale, label) for y in losses]
    run(mean_nll_call(*given[0]), *joined([mean_nll_call(*given[1])]))
    assert losses[0].tobytes() == losses[1].tobytes()
    wide = x.astype(np.float64)[np.arange(70), target]
    np.testing.assert_allclose(losses[1], [-wide.sum() / 210], rtol=1e-5)


@pytest.mark.usefixtures("one_thread")
def test_arrays_live_as_long_as_the_joined_call():
    y = np.zeros(1000)
    call = joined([add_slices.call(1, np.full((2, 1000), 3.0), y)])
    others = [np.zeros((2, 1000)) for _ in range(50)]
    run(*call)
    np.testing.assert_array_equal(y, 6.0)
    assert len(others) == 50


@pytest.mark.usefixtures("one_thread")
def test_a_call_that_fails_raises(monkeypatch):
    (call,) = joined([add_slices.call(1, np.ones((1, 2)), np.ones(2))])
    monkeypatch.setattr(call[0], "run", lambda: 1)
    with pytest.raises(OutOfMemoryError, match="memory"):
        run(call)


# --------------------------------------------------- however many threads there are


def batch_last(x):
    """The same values with the batch innermost in memory."""
    turned = np.ascontiguousarray(x.transpose(*range(1, x.ndim), 0))
    return turned.transpose(-1, *range(x.ndim - 1))


WINDOWS = {
    "3x3": Window((3, 3), (1, 1), (1, 1), (1, 1)),
    "strided": Window((3, 2), (2, 2), (0, 1), (1, 1)),
    "dilated": Window((2, 2), (1, 1), (2, 0), (2, 1)),
    "1x1": Window((1, 1), (1, 1), (0, 0), (1, 1)),
}


def for_one_and_two(monkeypatch, function):
    found = []
    for number in (1, 2):
        monkeypatch.setattr(threads.Pool, "compiled", number)
        monkeypatch.setattr(threads, "WORTH", 0)
        found.append(function())
    return found


@pytest.fixture(params=[64, 70, 100])
def n(request):
    return request.param


@pytest.fixture(params=DTYPES)
def of(request, n, rng):
    """Draws n images, or rows, with the batch innermost."""
    dtype = request.param
    return lambda *shape: batch_last(rng.normal(size=(n, *shape)).astype(dtype))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_threads_change_no_bit_of_a_weight_gradient(window, groups, of, monkeypatch):
    x, g = of(4, 9, 8), of(6, *window.output_size((9, 8)))
    gradient = functools.partial(fast.conv2d_weight, x, g, window, groups)
    one, two = for_one_and_two(monkeypatch, gradient)
    assert one.tobytes() == two.tobytes()
    wide = (a.astype(np.float64) for a in (x, g))
    expected = reference.conv2d_weight(*wide, window, groups)
    rounding = 50 * np.finfo(x.dtype).eps * np.abs(expected).max()
    np.testing.assert_allclose(one, expected, rtol=0, atol=rounding)


def test_nor_of_that_of_a_linear_layer(of, monkeypatch):
    g, x = of(7), of(33)
    one, two = for_one_and_two(monkeypatch, lambda: fast.matmul(g.T, x))
    assert one.tobytes() == two.tobytes()
    expected = g.T.astype(np.float64) @ x.astype(np.float64)
    rounding = 50 * np.finfo(x.dtype).eps * np.abs(expected).max()
    np.testing.assert_allclose(one, expected, rtol=0, atol=rounding)


def test_nor_of_sums_of_channels(of, monkeypatch):
    x = of(5, 6, 7)
    one, two = for_one_and_two(monkeypatch, lambda: fast.channel_sums(x))
    assert one.tobytes() == two.tobytes()
    expected = x.sum((0, 2, 3), np.float64)
    rounding = 5 * np.finfo(x.dtype).eps * np.abs(x).sum((0, 2, 3)).max()
    np.testing.assert_allclose(one, expected, rtol=0, atol=rounding)


def test_nor_of_the_loss(of, n, rng, monkeypatch):
    x, target = of(10), rng.integers(0, 10, n)
    one, two = for_one_and_two(monkeypatch, lambda: fast.mean_nll(x, target))
    for a, b in zip(one, two, strict=True):
        assert a.tobytes() == b.tobytes()


# ------------------------------------------------------- whether slices are together


def sum_of_slices(function, *arrays):
    """What `function` gives for each slice, one added to the other."""
    n = len(arrays[0])
    starts = [*range(0, n - n % 32 - 31, 32), n]
    parts = [
        function(*(batch_last(a[i:j]) for a in arrays)) for i, j in pairwise(starts)
    ]
    return functools.reduce(np.add, parts)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.usefixtures("one_thread")
def test_a_weight_gradient_is_the_sum_of_those_of_slices(window, groups, of):
    x, g = of(4, 9, 8), of(6, *window.output_size((9, 8)))
    gradient = lambda x, g: fast.conv2d_weight(x, g, window, groups)
    assert gradient(x, g).tobytes() == sum_of_slices(gradient, x, g).tobytes()


@pytest.mark.usefixtures("one_thread")
def test_so_is_that_of_a_linear_layer_and_so_are_sums_of_channels(of):
    g, x, maps = of(7), of(33), of(5, 6, 7)
    product = lambda g, x: fast.matmul(g.T, x)
    assert product(g, x).tobytes() == sum_of_slices(product, g, x).tobytes()
    sums = fast.channel_sums
    assert sums(maps).tobytes() == sum_of_slices(sums, maps).tobytes()


# ------------------------------------------------------------- wherever arrays lie


def views(size, dtype, count):
    """Lists of `count` flat arrays in one buffer, at many distances from each other."""
    buffer = np.zeros(count * (size + 40), dtype)
    for gap in (0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 32):
        for start in (0, 1, 5):
            for back in (False, True):  # the result before what it is made of
                step = size + gap
                found = [buffer[start + i * step :][:size] for i in range(count)]
                yield found[::-1] if back else found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(1, 10), (5, 3), (70, 10), (64, 33)])
@pytest.mark.usefixtures("one_thread")
def test_log_softmax_and_its_gradient(shape, order, dtype, rng):
    size, laid = np.prod(shape), functools.partial(np.reshape, shape=shape, order=order)
    values, above = rng.normal(size=(2, size)).astype(dtype)
    found = set()
    for flat in views(size, dtype, 4):
        x, y, g, dx = map(laid, flat)
        flat[0][:], flat[2][:] = values, above
        run(log_softmax_call(x, y), log_softmax_input_call(g, y, dx))
        found.add((y.tobytes(), dx.tobytes()))
    assert len(found) == 1
    wide = laid(values.astype(np.float64))
    expected = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    np.testing.assert_allclose(y, expected, rtol=0, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(1, 10), (5, 3), (70, 10), (100, 4)])
@pytest.mark.usefixtures("one_thread")
def test_the_mean_loss(shape, order, dtype, rng):
    n, classes = shape
    values = rng.normal(size=n * classes).astype(dtype)
    target, label = rng.integers(0, classes, n), np.empty(n, np.int64)
    found = set()
    for x, scale, y in views(n * classes, dtype, 3):
        x[:] = values
        loss = y[:1].reshape(())
        given = x.reshape(shape, order=order), target, n, loss, scale[:n], label
        run(mean_nll_call(*given))
        found.add((loss.tobytes(), scale[:n].tobytes(), label.tobytes()))
    assert len(found) == 1
    wide = values.astype(np.float64).reshape(shape, order=order)
    expected = -wide[np.arange(n), target].mean()
    rounding = 10 * np.finfo(dtype).eps * np.abs(wide).max()
    np.testing.assert_allclose(loss, expected, rtol=0, atol=rounding)
