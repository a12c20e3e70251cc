"""Results of transforms that are kept: the same bits, never stale, within the limit."""

import copy
import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn import Tensor
from tinygrad_cnn.data import MNIST, DataLoader, Digits, ImageDataset, Subset, kept
from tinygrad_cnn.data import transforms as T
from tinygrad_cnn.errors import ArgumentError

COUNT = 40


class Counted(T.Resize):
    """A Resize that is somebody's own, and so unknown."""


def pixels(count=COUNT, channels=1, size=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, channels, size, size), dtype=np.uint8)


def image_set(transform=None, lock=True, images=None, **options):
    images = pixels() if images is None else images
    if lock:
        images.flags.writeable = False
    return ImageDataset(images, np.arange(len(images)), transform, **options)


def one_by_one(dataset, indices):
    """What the transform makes of each image alone, by the data set's own items."""
    return np.stack([dataset[i][0].numpy() for i in indices])


def same_bits(a, b):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert a.tobytes() == b.tobytes()


def watch(monkeypatch):
    """A list to which every Resize adds how many images it was given."""
    counts, apply = [], T.Resize.apply

    def counting(self, images):
        counts.append(int(np.prod(images.shape[:-3])))
        return apply(self, images)

    monkeypatch.setattr(T.Resize, "apply", counting)
    return counts


steps = st.sampled_from(
    [
        T.Resize((5, 9)),
        T.Resize(8),
        T.Resize(6),
        T.Pad((1, 2), fill=9),
        T.MeanOfChannels(),
        T.ToTensor(),
        T.Scale(2 / 255, -1),
        T.Lambda(lambda image: image + 1),
        T.Compose([T.Pad(1), T.Scale(0.5)]),
        T.Compose([]),
    ]
)


@given(
    st.lists(steps, max_size=5),
    st.lists(st.lists(st.integers(-COUNT, COUNT - 1), max_size=9), max_size=4),
    st.sampled_from([1, 3]),
)
def test_batches_have_the_bits_of_their_images_transformed_one_by_one(
    transforms, batches, channels
):
    dataset = image_set(T.Compose(transforms), images=pixels(channels=channels))
    for indices in [[0], *[b for b in batches if b]]:
        images, labels = dataset.get_batch(indices)
        same_bits(images.numpy(), one_by_one(dataset, indices))
        assert labels.numpy().tolist() == np.arange(COUNT)[indices].tolist()


RANDOM = T.Compose(
    [T.Resize(8), T.RandomCrop(7, padding=1), T.Scale(), T.RandomHorizontalFlip()]
)


@pytest.mark.parametrize("transform", [RANDOM, T.Compose([T.Resize(8), T.ToTensor()])])
def test_epochs_have_the_same_bits_and_strides_with_and_without_keeping(
    transform, monkeypatch
):
    def epochs():
        loader = DataLoader(image_set(transform), 16, shuffle=True, seed=1)
        return [x.numpy() for _ in range(3) for x, _ in loader]

    keeping = epochs()
    monkeypatch.setattr(kept, "LIMIT", 0)
    for a, b in zip(keeping, epochs(), strict=True):
        same_bits(a, b)
        assert a.strides == b.strides


def test_each_image_is_resized_once_when_it_is_first_asked_for(monkeypatch):
    counts = watch(monkeypatch)
    dataset = image_set(RANDOM)
    loader = DataLoader(dataset, 16, shuffle=True, seed=1)
    list(loader.batches(0, start=1))
    assert sum(counts) == COUNT - 16 + 1  # one more to learn shape and dtype
    list(loader.batches(0)), list(loader), list(DataLoader(Subset(dataset, [3, 4]), 2))
    assert sum(counts) == COUNT + 1


def test_images_that_may_change_are_never_kept(monkeypatch):
    counts = watch(monkeypatch)
    images = pixels()
    view = images.view()
    view.flags.writeable = False  # but `images` can still be written to
    for array in (images, view):
        dataset = image_set(T.Resize(8), lock=False, images=array)
        counts.clear()
        dataset.get_batch([1, 2])
        images[1] = 255 - images[1]
        same_bits(dataset.get_batch([1, 2])[0].numpy(), one_by_one(dataset, [1, 2]))
        assert counts[:2] == [2, 2]


def test_memory_that_others_hold_is_never_kept():
    memory = bytearray(pixels().tobytes())
    images = np.frombuffer(memory, np.uint8).reshape(COUNT, 1, 6, 6)
    dataset = image_set(T.Resize(8), images=images)
    dataset.get_batch([0])
    memory[:36] = bytes(36)
    assert not dataset.get_batch([0])[0].numpy().any()


def test_unlocking_and_changing_an_image_is_noticed():
    dataset = image_set(T.Resize(8))
    dataset.get_batch([0, 1])
    dataset.images.flags.writeable = True
    dataset.images[1] = 7
    same_bits(dataset.get_batch([0, 1])[0].numpy(), one_by_one(dataset, [0, 1]))
    dataset.images.flags.writeable = False
    same_bits(dataset.get_batch([0, 1])[0].numpy(), one_by_one(dataset, [0, 1]))


def test_other_images_and_other_transforms_are_noticed():
    transform = T.Compose([T.Resize(8), T.Scale()])
    dataset = image_set(transform)

    def check():
        same_bits(dataset.get_batch([0, 5])[0].numpy(), one_by_one(dataset, [0, 5]))

    check()
    dataset.images = image_set(images=pixels(seed=1)).images
    check()
    dataset.images = dataset.images[3:30]
    dataset.labels = dataset.labels[3:30]
    check()
    transform.transforms[0] = T.Resize(7)
    check()
    transform.transforms.insert(0, T.Pad(1))
    check()
    dataset.transform = T.Resize(9)
    check()
    dataset.transform = None
    check()


def test_arguments_that_may_change_are_noticed():
    size = [8, 8]
    dataset = image_set(T.Resize(size))
    dataset.get_batch([0])
    size[:] = 4, 5
    assert dataset.get_batch([0])[0].shape == (1, 1, 4, 5)


def test_a_subclass_of_a_transform_and_all_behind_it_is_not_kept(monkeypatch):
    counts = watch(monkeypatch)
    dataset = image_set(T.Compose([Counted(8), T.Resize(9)]))
    dataset.get_batch([0, 1]), dataset.get_batch([0, 1])
    assert counts == [2, 2, 2, 2]


def test_more_than_the_limit_is_not_kept(monkeypatch):
    counts = watch(monkeypatch)
    size = COUNT * 8 * 8
    for limit, expected in ((size, [1, 2]), (size - 1, [1, 2, 1, 2])):
        monkeypatch.setattr(kept, "LIMIT", limit)
        dataset = image_set(T.Resize(8))
        counts.clear()
        dataset.get_batch([0, 1]), dataset.get_batch([0, 1])
        assert counts == expected


def test_bytes_are_kept_where_images_are_resized_before_they_are_scaled():
    for order, dtype in ((1, np.uint8), (-1, np.float32)):
        dataset = image_set(T.Compose([T.Resize(8), T.ToTensor()][::order]))
        assert dataset.get_batch([0])[0].dtype == np.float32
        assert dataset._kept.results.dtype == dtype


def test_what_costs_little_is_not_kept():
    dataset = image_set(T.Compose([T.ToTensor(), T.Normalize(0.5, 0.5)]))
    dataset.get_batch([0])
    assert dataset._kept is None


def test_a_nan_of_a_transform_stays_a_nan():
    dataset = image_set(T.Compose([T.Scale(float("nan")), T.Pad(1, fill=2)]))
    for _ in range(2):
        images = dataset.get_batch([0, 1])[0].numpy()
        same_bits(images, one_by_one(dataset, [0, 1]))
        assert np.isnan(images[..., 1:-1, 1:-1]).all()
        assert (images[..., 0, :] == 2).all()


def test_a_function_behind_a_tensor_is_given_tensors_in_every_epoch():
    seen = []
    steps = [T.ToTensor(), T.Resize(8), lambda image: seen.append(image) or image]
    dataset = image_set(T.Compose(steps))
    for _ in range(2):
        dataset.get_batch([0, 1])
    assert [type(image) for image in seen] == [Tensor] * 4


def test_what_a_batch_gives_away_is_not_the_memory_that_is_kept():
    dataset = image_set(T.Compose([T.Resize(8), lambda image: image]))
    dataset.transform.transforms[1] = lambda image: image.__setitem__(..., 0) or image
    assert not dataset.get_batch([0])[0].numpy().any()
    dataset.transform.transforms.pop()
    assert dataset.get_batch([0])[0].numpy().any()


def test_a_transform_that_fails_fails_again_and_nothing_is_kept_of_it():
    dataset = image_set(T.Compose([T.Resize((0, 1))]))
    for _ in range(2):
        with pytest.raises(ArgumentError, match="cannot resize"):
            dataset.get_batch([0])
    with pytest.raises(IndexError):
        image_set(T.Resize(8)).get_batch([COUNT])


def test_copies_of_a_data_set_share_nothing_that_is_kept():
    dataset = image_set(T.Resize(8))
    dataset.get_batch([0])
    other = copy.deepcopy(dataset)
    assert other._kept is None
    same_bits(other.get_batch([0])[0].numpy(), dataset.get_batch([0])[0].numpy())


def test_the_memory_goes_with_the_data_set():
    dataset = image_set(T.Resize(8))
    dataset.get_batch([0])
    results = dataset._kept.results
    del dataset
    gc.collect()
    assert len(gc.get_referrers(results)) <= 1


def test_no_images_make_an_empty_batch():
    empty = image_set(T.Compose([T.Resize(8), T.Scale()]), images=pixels(0))
    assert empty.get_batch([])[0].shape == (0, 1, 8, 8)


def test_images_of_files_and_drawn_digits_are_locked(idx_folder):
    for dataset in (MNIST(idx_folder[0]), Digits(size=5)):
        assert kept.is_locked(dataset.images)
        assert kept.is_locked(dataset.images[:3])
        dataset.images = dataset.images.copy()
        dataset.images[0] = 0
        assert not kept.is_locked(dataset.images)


@given(st.integers(0, 9), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_image_batches_have_the_batch_innermost(count, channels, height, width):
    rng = np.random.default_rng(count)
    raw = rng.integers(0, 256, (count, channels, height, width), dtype=np.uint8)
    images = image_set(T.Scale(1.0), images=raw).get_batch(range(count))[0]._array
    np.testing.assert_array_equal(images, raw)
    assert images.transpose(1, 2, 3, 0).flags.c_contiguous
