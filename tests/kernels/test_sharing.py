"""Kernels that hand their parts to threads."""

import numpy as np
import pytest

pytest.importorskip("numba")

from tinygrad_cnn.kernels import threads
from tinygrad_cnn.kernels.fast import compiling
from tinygrad_cnn.kernels.fast.calls import InParts, run


def note_part(part, parts, flag, scale, x, y):
    """y[part, :] = part, parts, and what else is given."""
    y[part, 0] += part
    y[part, 1] = parts
    y[part, 2] = scale if flag else -scale
    y[part, 3] = x[part, 1]


def ask_for_memory(part, parts, sizes, y):
    """Fails where there is not so much."""
    y[part] = 1
    if sizes[part]:
        y[part] += np.empty(sizes[part]).size


@pytest.fixture(autouse=True)
def not_kept(monkeypatch):
    """These functions may be others in the next run."""
    monkeypatch.setattr(compiling, "FOLDER", None)


@pytest.fixture(autouse=True)
def always_worth_it(monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 0)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_part_is_done_once_with_what_was_given(number, monkeypatch):
    monkeypatch.setattr(threads.Pool, "compiled", number)
    kernel = InParts(note_part)
    for flag in True, False:
        x, y = np.arange(6, dtype="f").reshape(3, 2)[::-1], np.zeros((3, 4))
        run(kernel.call(1, flag, 0.25, x, y))
        scale = 0.25 if flag else -0.25
        expected = [[i, number, scale, x[i, 1]] for i in range(number)]
        np.testing.assert_array_equal(y[:number], expected)
        assert not y[number:].any()


def test_threads_take_no_more_parts_than_there_are(monkeypatch):
    monkeypatch.setattr(threads.Pool, "compiled", 3)
    y = np.zeros((3, 4))
    run(InParts(note_part).call(1, True, 1.0, np.zeros((3, 2), "f"), y, most=2))
    np.testing.assert_array_equal(y[:, 1], [2, 2, 0])


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("part", [0, 1])
def test_an_error_of_any_part_is_raised(part, number, monkeypatch):
    monkeypatch.setattr(threads.Pool, "compiled", number)
    kernel, y = InParts(ask_for_memory), np.zeros(2)
    run(kernel.call(1, np.zeros(2, np.int64), y))
    sizes = np.zeros(2, np.int64)
    sizes[min(part, number - 1)] = 1 << 58
    with pytest.raises(MemoryError):
        run(kernel.call(1, sizes, y))
    np.testing.assert_array_equal(y[:number], 1)
