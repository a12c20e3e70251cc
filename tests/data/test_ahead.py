"""Batches made ahead in a thread: the same ones, in the same places, and no thread left."""

import subprocess
import sys
import threading
import time
import warnings
from contextvars import ContextVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn
from tinygrad_cnn.data import DataLoader, ImageDataset
from tinygrad_cnn.data import transforms as T
from tinygrad_cnn.data.ahead import DEPTH, ahead

AUGMENT = T.Compose(
    [T.Resize(9), T.RandomCrop(8, padding=2), T.RandomHorizontalFlip(), T.Scale()]
)


def image_set(transform=AUGMENT, count=100, lock=True, **options):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    images.flags.writeable = not lock
    return ImageDataset(images, np.arange(count), transform, **options)


def threads():
    return [t for t in threading.enumerate() if t.name == "batches"]


def arrays(batches):
    return [(x.numpy().tobytes(), y.numpy().tolist()) for x, y in batches]


# The iterator


@given(st.integers(0, 20))
def test_the_items_are_the_same(count):
    assert list(ahead(iter(range(count)))) == list(range(count))
    assert threads() == []


@given(st.integers(0, 9))
def test_an_error_comes_in_its_place_with_its_traceback(position):
    def items():
        yield from range(position)
        raise ZeroDivisionError("here")

    seen = []
    with pytest.raises(ZeroDivisionError, match="here") as caught:
        for item in ahead(items()):
            seen.append(item)
    assert seen == list(range(position))
    assert caught.traceback[-1].name == "items"
    assert threads() == []


def test_two_items_are_made_ahead_and_no_more():
    made = []
    items = ahead(made.append(i) or i for i in range(20))
    next(items)
    assert made == [0]  # who wants one pays for one
    for wanted in range(1, 6):
        next(items)
        limit = time.monotonic() + 10
        while len(made) < wanted + 1 + DEPTH and time.monotonic() < limit:
            time.sleep(0.001)
        time.sleep(0.01)
        assert len(made) == wanted + 1 + DEPTH
    items.close()


@pytest.mark.parametrize("taken", [0, 1, 2, 5])
def test_closed_or_forgotten_it_leaves_no_thread(taken):
    for end in (lambda items: items.close(), lambda items: None):
        items = ahead(iter(range(100)))
        for _ in range(taken):
            next(items)
        assert len(threads()) == (taken > 1)
        end(items)
        del items
        assert threads() == []


def test_it_is_made_in_the_context_and_with_the_warnings_of_its_user():
    setting = ContextVar("setting", default=0)

    def items():
        for _ in range(4):
            warnings.warn("look", stacklevel=1)
            yield setting.get(), tinygrad_cnn.is_grad_enabled()

    setting.set(3)
    with pytest.warns(UserWarning, match="look") as seen, tinygrad_cnn.no_grad():
        assert list(ahead(items())) == [(3, False)] * 4
    assert len(seen) == 4


def test_a_program_that_ends_within_an_epoch_ends():
    script = "\n".join(
        [
            "from tinygrad_cnn.data.ahead import ahead",
            "items = ahead(iter(range(100)))",
            "print(next(items), next(items))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 1\n", "")


# In the DataLoader


def test_random_batches_are_made_in_a_thread_and_have_the_same_bits():
    for start in (0, 1, 4):
        ours = DataLoader(image_set(), 8, shuffle=True, seed=2).batches(3, start)
        first = [next(ours), next(ours)]
        assert len(threads()) == 1
        here = DataLoader(image_set(lock=False), 8, shuffle=True, seed=2)
        expected = here.batches(3, start)
        assert arrays(first) == arrays([next(expected), next(expected)])
        assert threads() != []
        assert arrays(ours) == arrays(expected)
        assert threads() == []


def test_the_first_epoch_of_resized_images_is_made_in_a_thread_and_no_other():
    loader = DataLoader(image_set(T.Compose([T.Resize(9), T.Scale()])), 8)
    for expected in (1, 0, 0):
        batches = iter(loader)
        next(batches), next(batches)
        assert len(threads()) == expected
        assert len(list(batches)) == 11
    loader.dataset.transform = T.Resize(7)
    batches = iter(loader)
    next(batches), next(batches)
    assert len(threads()) == 1
    batches.close()


class Own(ImageDataset):
    def __getitem__(self, index):
        return super().__getitem__(index)


class OwnLoader(DataLoader):
    pass


HERE = {
    "cheap": DataLoader(image_set(T.Scale()), 8),
    "no transform": DataLoader(image_set(None), 8),
    "a function": DataLoader(image_set(T.Compose([AUGMENT, lambda x: x])), 8),
    "target transform": DataLoader(image_set(target_transform=lambda y: y), 8),
    "not locked": DataLoader(image_set(lock=False), 8),
    "sampler": DataLoader(image_set(), 8, sampler=np.arange(30)),
    "batch sampler": DataLoader(image_set(), batch_sampler=[[1], [2], [3], [4]]),
    "collate": DataLoader(image_set(), 8, collate_fn=lambda items: items),
    "items": DataLoader(image_set(), None),
    "other class": DataLoader(Own(image_set().images, np.arange(100), AUGMENT), 8),
    "other loader": OwnLoader(image_set(), 8),
}


@pytest.mark.parametrize("name", HERE)
def test_what_is_cheap_or_runs_code_of_the_user_stays_in_his_thread(name):
    batches = iter(HERE[name])
    for _ in range(3):
        next(batches)
    assert threads() == []


def test_changes_within_an_epoch_count_from_the_next():
    dataset = image_set()
    loader = DataLoader(dataset, 8, seed=1)
    expected = arrays(DataLoader(image_set(), 8, seed=1).batches(0))
    batches = loader.batches(0)
    first = [next(batches), next(batches)]
    dataset.transform = None
    assert arrays(first) + arrays(batches) == expected
    assert arrays(loader.batches(0)) == arrays(DataLoader(image_set(None), 8))


def test_a_batch_that_cannot_be_made_is_an_error_in_the_users_thread():
    batches = iter(DataLoader(image_set(T.Compose([T.RandomCrop(99)])), 8))
    with pytest.raises(ValueError, match="larger"):
        next(batches)
    assert threads() == []


def test_a_generator_is_made_when_it_is_first_drawn_from_and_once():
    made = []

    def make():
        made.append(1)
        return tinygrad_cnn.random.stream(1, 2)

    x = image_set().images
    with T.drawing_from(tinygrad_cnn.random.stream(1, 2)):
        expected = [T.RandomCrop(5)(x), T.RandomCrop(5)(x)]
    with T.drawing_from(make):
        T.Scale()(x)
        assert made == []
        np.testing.assert_array_equal([T.RandomCrop(5)(x) for _ in "ab"], expected)
    assert made == [1]
