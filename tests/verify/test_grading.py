"""The parts of grading: messages, subjects in another process, pictures."""

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.verify.grading import messages
from tinygrad_cnn.verify.grading.grade import Graded
from tinygrad_cnn.verify.grading.messages import GarbledError, receive, send
from tinygrad_cnn.verify.grading.page import csv_of, page_of, table_of
from tinygrad_cnn.verify.grading.pictures import colours, pictures_of, tile
from tinygrad_cnn.verify.grading.process import Process
from tinygrad_cnn.verify.grading.remote import subjects_in
from tinygrad_cnn.verify.handwritten.file import subjects_of
from tinygrad_cnn.verify.handwritten.foreign import ForeignError, failed
from tinygrad_cnn.verify.report import Report, TensorReport, Values

# --- messages --------------------------------------------------------------------------

ARRAYS = st.none() | st.sampled_from([">f8", "<f8", "<f4"]).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    )
)


@given(st.lists(ARRAYS, max_size=4), st.text())
def test_a_message_arrives_as_it_was_sent(arrays, text):
    stream = io.BytesIO()
    send(stream, {"text": text}, arrays)
    stream.seek(0)
    header, found = receive(stream)
    assert header["text"] == text
    for before, after in zip(arrays, found, strict=True):
        if before is None:
            assert after is None
        else:
            assert after.shape == before.shape
            np.testing.assert_array_equal(after, before)


def framed(header):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", 2**31),
        framed(b"{"),
        framed(b"[" * 100_000),
        framed([]),
        framed({}),
        framed({"arrays": 3}),
        framed({"arrays": [["<f8"]]}),
        framed({"arrays": [["<f8", [-1]]]}),
        framed({"arrays": [["<f8", [True]]]}),
        framed({"arrays": [["<f8", [1.0]]]}),
        framed({"arrays": [["<f8", "12"]]}),
        framed({"arrays": [["<f8", [0] * 100]]}),
        framed({"arrays": [["<f8", [2**40]]]}),
        framed({"arrays": [["<f8", [2**20, 2**20]]]}),
        framed({"arrays": [["<f8", [2**26]], ["<f8", [2**26]], ["<f8", [1]]]}),
        framed({"arrays": [["|O", [1]]]}),
        framed({"arrays": [["<i8", [1]]]}),
        framed({"arrays": [[["<f8"], [1]]]}),
    ],
)
def test_what_is_no_message_is_refused_before_memory_is_asked_for(data):
    with pytest.raises(GarbledError):
        receive(io.BytesIO(data))


@given(st.binary(max_size=60))
def test_no_bytes_do_anything_else_than_to_be_refused(data):
    with pytest.raises((GarbledError, EOFError)):
        receive(io.BytesIO(data))
    with pytest.raises((GarbledError, EOFError)):
        receive(io.BytesIO(framed(data) if len(data) < messages.HEADER else data))


def test_a_message_that_ends_too_soon():
    stream = io.BytesIO()
    send(stream, {}, [np.ones(3)])
    with pytest.raises(EOFError):
        receive(io.BytesIO(stream.getvalue()[:-1]))


# --- a subject in another process ---------------------------------------------------------

LAYER = """
import numpy as np

class Dense:
    def __init__(self):
        self.W = np.random.randn(3, 2)

    def forward(self, x):
        if x[0, 0] > 5:
            raise ValueError("too \\x1b large")
        if x[0, 0] < -5:
            return x[:1]
        self.x = x
        return x @ self.W

    def backward(self, g):
        self.dW = self.x.T @ g
        return g @ self.W.T

inputs = np.random.randn(4, 3)
"""


def test_a_remote_subject_gives_the_bits_of_a_local_one(tmp_path, rng):
    path = tmp_path / "own.py"
    path.write_text(LAYER)
    (found,) = subjects_of(str(path), None, 3)
    local = found.subject
    with Process(60, lambda text: None) as process:
        process.ask("open", file=str(path), inputs=None, seed=3, seconds=60)
        pairs = subjects_in(process)
        title, remote, problem = next(pairs)
        assert (title, problem) == ("own.py:Dense", None)
        assert not remote.knows_branches
        assert list(remote.arrays) == list(local.arrays) == ["x", "W"]
        for values in (1.5, -0.0, np.nan, 1e-300, 1.5):
            for subject in (local, remote):
                subject.arrays["x"].flat[4] = values
                subject.arrays["W"][...] *= 0.75
            for name in local.arrays:
                np.testing.assert_array_equal(remote.arrays[name], local.arrays[name])
            (y,), (expected,) = remote.run().outputs, local.run().outputs
            assert y.tobytes() == expected.tobytes()
            g = rng.normal(size=y.shape)
            claims = [subject.gradients([g]) for subject in (remote, local)]
            for name in local.arrays:
                assert claims[0][name].tobytes() == claims[1][name].tobytes()
        remote.arrays["x"][0, 0] = 6
        with pytest.raises(
            ForeignError, match="forward raised ValueError: too   large"
        ):
            remote.run()
        remote.arrays["x"][0, 0] = -6
        with pytest.raises(
            ForeignError, match=r"arrays of shape \[4, 2\], and then of"
        ):
            remote.run()
        assert list(pairs) == []


# --- outcomes ---------------------------------------------------------------------------


def report(title="own.py:Net", **tensor):
    return Report(title, [TensorReport("w", (2,), checked=2, **tensor)])


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (report(), "right"),
        (report(wrong=((0,),)), "wrong"),
        (report(claimed_shape=(3,)), "wrong"),
        (report(unclear=1), "unclear"),
        (report(unread="no name"), "could not read"),
        (failed("own.py", ArgumentError("nothing to check")), "could not read"),
        (failed("own.py", ForeignError("it raised")), "crashed"),
        (Report("own.py", []), "could not read"),
    ],
)
def test_what_a_report_comes_to(found, outcome):
    assert found.outcome == outcome
    assert found.to_dict()["outcome"] == outcome
    assert bool(found) == (outcome == "right")


def test_a_file_is_as_good_as_its_worst_pair():
    good, bad = report(), report("own.py:Other", claimed_shape=(3,))
    unread = failed("own.py:Third", ArgumentError("no inputs"))
    graded = Graded("own.py", [good, unread, bad])
    assert (graded.outcome, graded.gradients, bool(graded)) == ("wrong", (1, 3), False)
    assert graded.what == "Other.w: the gradient has shape [3], the tensor [2]; 1 more"
    assert Graded("own.py", [good, good])
    assert not Graded("own.py")


def test_names_of_files_are_cut_escaped_and_no_formulas():
    graded = [Graded("=1+1<b>" + 30 * "n", [report()]), Graded("\x1b\udc80.py")]
    table = table_of(graded)
    assert all(len(line) <= 80 for line in table.splitlines())
    assert "\x1b" not in table
    assert "\n'=1+1<b>" in csv_of(graded)
    page = page_of(graded)
    assert "<b>" not in page
    page.encode("utf-8")


# --- pictures ----------------------------------------------------------------------------


@given(hnp.arrays(float, hnp.array_shapes(min_dims=0, max_dims=5, max_side=4)))
def test_tiles_hold_each_entry_once_in_its_image(array):
    grid = tile(array)
    images = np.atleast_2d(array)
    images = images.reshape(-1, *images.shape[-2:])[:64]
    height, width = images.shape[1:]
    np.testing.assert_array_equal(grid[:height, :width], images[0])
    columns = (grid.shape[1] + 1) // (width + 1)
    for k, image in enumerate(images):
        i, j = k // columns * (height + 1), k % columns * (width + 1)
        np.testing.assert_array_equal(grid[i : i + height, j : j + width], image)


def test_a_grid_of_kernels_has_a_row_for_each_filter():
    assert tile(np.zeros((4, 3, 5, 5))).shape == (4 * 6 - 1, 3 * 6 - 1)


def test_colours_diverge_from_white_and_what_is_not_known_is_blank():
    values = np.array([[-2.0, 0.0, 2.0, np.nan, np.inf, -np.inf]])
    blue, white, red, blank, more, less = colours(values, 2.0)[0].tolist()
    assert blue[2] > blue[0] and red[0] > red[2]
    assert white[0] == white[1] == white[2] > 240
    assert (more, less) == (red, blue)
    assert [c[3] for c in (blue, white, red, blank)] == [255, 255, 255, 0]
    assert colours(np.zeros((1, 1)), 0.0)[0, 0].tolist() == white


def test_a_wrong_gradient_has_three_pictures_and_says_what_is_left_out():
    claimed = np.ones((300, 2, 3))
    measured = np.full(claimed.shape, np.nan)
    measured[0, 0] = 0.5
    tensor = TensorReport("w", claimed.shape, values=Values(claimed, measured))
    page = pictures_of("Net.w", tensor)
    assert page.count("<img") == 3
    assert "Net.w, 300×2×3 (the first 64 of 300 images)" in page
    assert "error: ±0.5" in page
    assert pictures_of("w", TensorReport("w", (2,))) == ""
