"""Arrays that come in and go out: no change made outside falsifies a gradient unseen."""

import numpy as np
import pytest
from agreement import draw
from each import for_each
from pytorch import refused_by_pytorch, torch

import tinygrad_cnn
from tinygrad_cnn import Tensor, as_tensor, from_numpy, tensor
from tinygrad_cnn.errors import TinygradError

TAKING = {
    "from_numpy": from_numpy,
    "as_tensor": as_tensor,
    "Tensor": Tensor,
}


@for_each("name", TAKING)
def test_an_array_that_is_taken_over_is_shared_and_locked(name):
    array = np.array([1.0, 2.0])
    x = TAKING[name](array)
    assert np.shares_memory(x.numpy(), array)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 5.0
    x.add_(1)
    assert array.tolist() == [2.0, 3.0]


@for_each("name", TAKING)
def test_what_can_be_written_afterwards_changes_no_gradient_unseen(name):
    # A view that was taken before can still be written to: NumPy cannot lock that.
    def of_a_view(array):
        return array[1:3], lambda: array.__setitem__(slice(None), 100.0)

    def of_a_transposed(array):
        square = array.reshape(2, 2)
        return square.T, lambda: array.__setitem__(slice(None), 100.0)

    def of_a_broadcast(array):
        wide = np.broadcast_to(array, (2, 4))
        return wide, lambda: array.__setitem__(slice(None), 100.0)

    def of_a_buffer(array):
        memory = bytearray(array.tobytes())
        view = np.frombuffer(memory, array.dtype)
        return view, lambda: memory.__setitem__(slice(0, 8), b"\x7f" * 8)

    for case in (of_a_view, of_a_transposed, of_a_broadcast, of_a_buffer):
        given, change = case(np.array([1.0, 2.0, 3.0, 4.0]))
        x = TAKING[name](given)
        w = tensor(np.ones(given.shape), requires_grad=True)
        expected = given.copy()
        y = (x * w).sum()
        try:
            change()
        except ValueError:
            continue  # locked
        try:
            y.backward()
        except TinygradError:
            continue
        np.testing.assert_array_equal(w.grad.numpy(), expected, err_msg=case.__name__)


def test_one_array_taken_over_twice_changes_no_gradient_unseen():
    array = np.array([1.0, 2.0])
    first, second = from_numpy(array), from_numpy(array)
    w = tensor(np.ones(2), requires_grad=True)
    y = (second * w).sum()
    first.add_(100)
    try:
        y.backward()
    except TinygradError:
        return
    assert w.grad.tolist() == [1.0, 2.0]


def test_values_that_went_out_and_came_back_change_no_gradient_unseen():
    x = tensor([1.0, 2.0])
    again = from_numpy(x.numpy())
    w = tensor([1.0, 1.0], requires_grad=True)
    y = (again * w).sum()
    x.add_(100)
    try:
        y.backward()
    except TinygradError:
        return
    assert w.grad.tolist() == [1.0, 2.0]


def test_an_array_that_went_out_is_no_way_in():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    for array in (
        x.detach().numpy(),
        y.detach().numpy(),
        x.data.numpy(),
        np.asarray(x.detach()),
        x.detach().reshape(2, 1).numpy(),
        x.detach()[:1].numpy(),
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 5.0
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_gradient_that_went_out_is_read_only_as_well():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    with pytest.raises(ValueError, match="read-only"):
        x.grad.numpy()[...] = 0


def test_tensor_copies_whatever_it_is_given():
    array = np.array([1.0, 2.0])
    x = tensor(array)
    array[0] = 5.0
    assert x.tolist() == [1.0, 2.0]
    y = tensor(x)
    y.add_(1)
    assert x.tolist() == [1.0, 2.0]
    listed = [1.0, 2.0]
    z = tensor(listed)
    listed[0] = 5.0
    assert z.tolist() == [1.0, 2.0]


def test_as_tensor_copies_where_it_must():
    array = np.array([1.0, 2.0])
    x = as_tensor(array, dtype=np.float32)
    array[0] = 5.0
    assert x.tolist() == [1.0, 2.0]
    assert as_tensor(x) is x
    assert as_tensor([1.0]).dtype == np.float32
    assert as_tensor(1).dtype == np.int64
    assert as_tensor(np.float64(1)).dtype == np.float64


def test_reading_an_array_that_is_read_only_is_possible():
    array = np.array([1.0, 2.0])
    array.flags.writeable = False
    for take in TAKING.values():
        w = tensor([1.0, 1.0], requires_grad=True)
        (take(array) * w).sum().backward()
        assert w.grad.tolist() == [1.0, 2.0]


@for_each("dtype", [np.float16, np.float32, np.int16, np.uint8, np.bool_])
def test_the_dtype_of_an_array_is_kept(dtype):
    array = np.ones(2, dtype)
    for take in (*TAKING.values(), tensor):
        assert take(array.copy()).dtype == dtype


FOREIGN = {
    "complex": np.ones(2, complex),
    "text": np.array(["a"]),
    "objects": np.array([None]),
    "dates": np.array(["2020-01-01"], "datetime64[D]"),
    "records": np.zeros(2, [("a", float)]),
}


@for_each("kind", FOREIGN)
def test_arrays_that_hold_no_real_numbers_are_refused(kind):
    for take in (from_numpy, as_tensor, tensor, Tensor):
        with pytest.raises(TinygradError) as refused:
            take(FOREIGN[kind].copy())
        assert isinstance(refused.value, TypeError)


def test_arrays_of_another_byte_order_are_converted_or_refused():
    swapped = np.array([1.0, 2.0]).astype(">f8")
    assert ValueError in refused_by_pytorch(lambda: torch.from_numpy(swapped))
    for take in (from_numpy, as_tensor, tensor, Tensor):
        try:
            x = take(swapped.copy())
        except TinygradError:
            continue
        assert x.dtype.isnative
        assert x.tolist() == [1.0, 2.0]


def test_from_numpy_takes_arrays_only():
    for wrong in ([1.0], 1.0, tensor([1.0])):
        given = wrong if isinstance(wrong, list) else 1.0
        assert TypeError in refused_by_pytorch(lambda x=given: torch.from_numpy(x))
        with pytest.raises(TinygradError) as refused:
            from_numpy(wrong)
        assert isinstance(refused.value, TypeError)


def test_what_is_drawn_from_one_array_does_not_lock_its_neighbours():
    images = np.arange(6.0).reshape(3, 2)
    x = tensor(images[0])
    images[1] = 7.0  # a copy was made, so the array stays the caller's
    assert x.tolist() == [0.0, 1.0]


def test_a_taken_array_of_any_layout_computes_as_a_copy():
    for lay in (
        lambda a: a.T.copy().T,
        lambda a: a[::-1].copy()[::-1],
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    ):
        array = draw(3, 4)
        x = from_numpy(lay(array))
        np.testing.assert_allclose((x @ x.T).numpy(), array @ array.T, rtol=1e-12)
    assert isinstance(tinygrad_cnn.from_numpy(np.array(1.5)).item(), float)
