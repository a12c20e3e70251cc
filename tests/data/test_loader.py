"""The DataLoader: PyTorch's batches, in an order given by (seed, epoch)."""

import itertools
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytorch import torch
from work import calls_in

import tinygrad_cnn
from tinygrad_cnn import Tensor
from tinygrad_cnn.data import (
    DataLoader,
    Dataset,
    Digits,
    ImageDataset,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
    transforms,
)
from tinygrad_cnn.data import loader as loader_module
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError


class Numbers(Dataset):
    """Item i is i; remembers what it was asked for."""

    def __init__(self, count):
        self.count = count
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return index

    def __len__(self):
        return self.count


class Stream(IterableDataset):
    def __init__(self, count):
        self.count = count

    def __iter__(self):
        return iter(range(self.count))


def values(loader):
    return [batch.numpy().tolist() for batch in loader]


def image_set(count=200, **options):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    return ImageDataset(images, np.arange(count), **options)


# Batches


@given(n=st.integers(0, 25), size=st.integers(1, 9), drop_last=st.booleans())
def test_batches_and_their_number_are_pytorchs(n, size, drop_last):
    for dataset, reference in ((Numbers(n), list(range(n))), (Stream(n), None)):
        ours = DataLoader(dataset, size, drop_last=drop_last)
        theirs = torch.utils.data.DataLoader(list(range(n)), size, drop_last=drop_last)
        assert values(ours) == [batch.tolist() for batch in theirs]
        if reference is not None:
            assert len(ours) == len(theirs)


@given(n=st.integers(0, 40), size=st.integers(1, 9), epoch=st.integers(0, 99))
def test_a_shuffled_epoch_has_every_item_once(n, size, epoch):
    loader = DataLoader(Numbers(n), size, shuffle=True, seed=1)
    batches = [batch.numpy().tolist() for batch in loader.batches(epoch)]
    assert sorted(itertools.chain(*batches)) == list(range(n))
    assert [len(b) for b in batches[:-1]] == [size] * max(0, len(batches) - 1)


def test_an_image_batch_is_a_list_of_float32_images_and_int64_labels():
    images, labels = next(iter(DataLoader(image_set(), 64)))
    assert isinstance(next(iter(DataLoader(image_set(), 64))), list)
    assert isinstance(images, Tensor)
    assert (images.shape, images.dtype) == ((64, 1, 8, 8), np.float32)
    assert (labels.shape, labels.dtype) == ((64,), np.int64)
    assert 0 <= images.numpy().min() < images.numpy().max() <= 1


Pair = namedtuple("Pair", "first second")
SAMPLES = [
    3,
    2.5,
    True,
    np.float32(3),
    np.int64(2),
    np.ones((2, 3), np.uint8),
    (1, 2.0),
    [1, (2, "x")],
    {"a": 1, "b": [np.ones(3)]},
    Pair(1, np.ones(2, np.float32)),
    "text",
    b"bytes",
]


def outline(value):
    """The structure, shapes and dtypes of a batch, of either library."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), str(value.dtype).removeprefix("torch.")
    if isinstance(value, Tensor):
        return tuple(value.shape), str(value.numpy().dtype)
    if isinstance(value, dict):
        return {key: outline(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value).__name__, [outline(item) for item in value]
    return value


@pytest.mark.parametrize("sample", SAMPLES, ids=repr)
def test_collating_has_pytorchs_structure_and_dtypes(sample):
    batch = [sample] * 3
    expected = torch.utils.data.default_collate(batch)
    assert outline(default_collate(batch)) == outline(expected)


def test_tensors_are_stacked_with_their_graph():
    x = Tensor(np.ones(2), requires_grad=True)
    batch = default_collate([x * 2, x * 3])
    batch.sum().backward()
    assert x.grad.numpy().tolist() == [5, 5]


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        ([None, None], DTypeError),
        ([object()], DTypeError),
        ([(1, 2), (1, 2, 3)], ShapeError),
        ([np.ones(2), np.ones(3)], ShapeError),
        ([np.array(["a"])], DTypeError),
    ],
)
def test_items_that_make_no_batch_are_refused_as_in_pytorch(batch, error):
    with pytest.raises(error):
        default_collate(batch)
    with pytest.raises((TypeError, RuntimeError)):
        torch.utils.data.default_collate(batch)


def test_a_collate_function_gets_the_list_of_items():
    loader = DataLoader(Numbers(5), 2, collate_fn=lambda items: items)
    assert list(loader) == [[0, 1], [2, 3], [4]]


def test_without_a_batch_size_single_items_come():
    dataset = TensorDataset(Tensor(np.arange(6.0).reshape(3, 2)))
    assert [item[0].numpy().tolist() for item in DataLoader(dataset, None)] == [
        [0, 1],
        [2, 3],
        [4, 5],
    ]
    assert list(DataLoader(Stream(3), None)) == [0, 1, 2]


def test_samplers_give_the_indices():
    assert values(DataLoader(Numbers(9), 2, sampler=[5, 1, 7])) == [[5, 1], [7]]
    batches = [[3], [1, 2, 8]]
    loader = DataLoader(Numbers(9), batch_sampler=batches)
    assert (values(loader), len(loader)) == (batches, 2)


def test_a_getitems_method_is_used_for_a_whole_batch_as_in_pytorch():
    class Many(Numbers):
        def __getitems__(self, indices):
            return [10 * i for i in indices]

    expected = [b.tolist() for b in torch.utils.data.DataLoader(Many(5), 2)]
    assert values(DataLoader(Many(5), 2)) == expected == [[0, 10], [20, 30], [40]]


def test_a_subclass_that_overrides_only_getitem_is_not_bypassed():
    class Numbered(Digits):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image, label, index

    dataset = Numbered(train=False, size=6)
    for wrapped in (dataset, Subset(dataset, range(6))):
        *_, numbers = next(iter(DataLoader(wrapped, 6)))
        assert numbers.numpy().tolist() == [0, 1, 2, 3, 4, 5]


ARGUMENTS = [
    {"shuffle": True, "sampler": [0]},
    {"batch_sampler": [[0]], "batch_size": 2},
    {"batch_sampler": [[0]], "shuffle": True},
    {"batch_sampler": [[0]], "sampler": [0]},
    {"batch_sampler": [[0]], "drop_last": True},
    {"batch_size": None, "drop_last": True},
    {"batch_size": 0},
    {"num_workers": -1},
    {"timeout": -1},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_arguments_that_exclude_each_other_are_refused_as_in_pytorch(arguments):
    with pytest.raises(ArgumentError):
        DataLoader(Numbers(3), **arguments)
    with pytest.raises(ValueError):
        torch.utils.data.DataLoader([1, 2, 3], **arguments)


def test_a_stream_has_its_own_order():
    for arguments in ({"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}):
        with pytest.raises(ArgumentError, match="own order"):
            DataLoader(Stream(3), **arguments)


def test_what_only_matters_to_other_processes_and_devices_is_accepted():
    loader = DataLoader(
        Numbers(3),
        num_workers=4,
        pin_memory=True,
        timeout=10,
        worker_init_fn=print,
        prefetch_factor=2,
        persistent_workers=True,
    )
    assert values(loader) == [[0], [1], [2]]


# Order


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        return values(
            DataLoader(Numbers(50), 8, shuffle=True, seed=seed).batches(epoch)
        )

    assert order(1, 2) == order(1, 2)
    orders = [order(seed, epoch) for seed in (0, 1, 2**40, -1) for epoch in (0, 1, 2)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_every_iteration_is_the_next_epoch():
    loader = DataLoader(Numbers(30), 4, shuffle=True, seed=5)
    epochs = [values(loader) for _ in range(3)]
    assert loader.epoch == 3
    assert epochs == [values(loader.batches(epoch)) for epoch in range(3)]
    assert loader.epoch == 3
    loader.set_epoch(1)
    assert values(loader) == epochs[1]
    assert values(loader) == epochs[2]


def test_an_epoch_continues_at_any_position_without_building_what_was_before():
    dataset = Numbers(23)
    loader = DataLoader(dataset, 5, shuffle=True, seed=9)
    whole = values(loader.batches(7))
    for start in range(7):
        dataset.asked.clear()
        assert values(loader.batches(7, start)) == whole[start:]
        assert dataset.asked == list(itertools.chain(*whole[start:]))


def test_the_seed_is_the_process_seed_at_the_time_of_iteration():
    loader = DataLoader(Numbers(30), 30, shuffle=True)
    tinygrad_cnn.manual_seed(11)
    assert values(loader) == values(
        DataLoader(Numbers(30), 30, shuffle=True, seed=11).batches(0)
    )


def test_a_generator_gives_its_seed():
    generator = tinygrad_cnn.Generator().manual_seed(8)
    loader = DataLoader(Numbers(30), 30, shuffle=True, generator=generator)
    assert values(loader) == values(
        DataLoader(Numbers(30), 30, shuffle=True, seed=8).batches(0)
    )


AUGMENT = transforms.Compose(
    [transforms.RandomCrop(8, padding=2), transforms.RandomHorizontalFlip()]
)


def augmented(dataset, epoch, start=0):
    loader = DataLoader(dataset, 16, shuffle=True, seed=3)
    return [batch[0].numpy() for batch in loader.batches(epoch, start)]


def drawn_for(image, original):
    """The offset of the crop and whether it is mirrored: what makes it of the original."""
    around = np.pad(original, ((0, 0), (2, 2), (2, 2)))
    for top, left in np.ndindex(5, 5):
        crop = around[:, top : top + 8, left : left + 8]
        for mirrored in (False, True):
            if (image == (crop[:, :, ::-1] if mirrored else crop)).all():
                return top, left, mirrored
    raise AssertionError("no crop of this image")


def test_each_image_is_a_crop_of_its_own_of_the_image_with_its_label():
    """The label is the position, so the original is known; all draws occur, evenly."""
    dataset = image_set(2000, transform=AUGMENT)
    draws = []
    for images, labels in DataLoader(dataset, 16, shuffle=True, seed=3):
        originals = dataset.images[labels.numpy()].astype(np.float32) / np.float32(255)
        pairs = zip(images.numpy(), originals, strict=True)
        draws.append([drawn_for(image, original) for image, original in pairs])
    every = [d for batch in draws for d in batch]
    counts = np.zeros((5, 5, 2), int)
    np.add.at(counts, tuple(np.array(every, int).T), 1)
    assert counts.shape == (5, 5, 2) and counts.min() > 0.4 * 2000 / 50
    assert abs(counts[..., 1].sum() - 1000) < 5 * np.sqrt(500)
    assert len({tuple(batch) for batch in draws}) == len(draws)


@pytest.mark.parametrize("start", [0, 3])
def test_the_shuffle_and_each_batch_draw_from_streams_of_their_own(start, monkeypatch):
    asked, make = [], loader_module.stream

    def noted(*key):
        asked.append(key)
        return make(*key)

    monkeypatch.setattr(loader_module, "stream", noted)
    batches = augmented(image_set(64, transform=AUGMENT), 5, start)
    assert len(asked) == len(set(asked)) == 1 + len(batches)
    assert all(key[:2] == (3, 5) for key in asked)


class OneByOne(ImageDataset):
    def __getitem__(self, index):
        return super().__getitem__(index)


@pytest.mark.parametrize("kind", [ImageDataset, OneByOne])
def test_random_transforms_are_functions_of_seed_epoch_and_position(kind):
    dataset = image_set(transform=AUGMENT)
    dataset.__class__ = kind
    whole = augmented(dataset, epoch=4)
    tinygrad_cnn.manual_seed(99)
    for again, expected in zip(augmented(dataset, 4, start=6), whole[6:], strict=True):
        np.testing.assert_array_equal(again, expected)
    assert all(
        (a != b).any() for a, b in zip(augmented(dataset, 5), whole, strict=True)
    )


def test_random_transforms_leave_the_process_generator_alone():
    state = tinygrad_cnn.random.default_generator.get_state()
    augmented(image_set(transform=AUGMENT), 0)
    assert tinygrad_cnn.random.default_generator.get_state() == state


def test_an_abandoned_epoch_does_not_disturb_the_next():
    loader = DataLoader(image_set(transform=AUGMENT), 16, shuffle=True, seed=3)
    iterator = iter(loader)
    next(iterator)
    first = next(iter(loader))[0].numpy()
    np.testing.assert_array_equal(first, augmented(loader.dataset, 1)[0])


def test_a_batch_is_gathered_at_once_not_image_by_image():
    def epoch(size):
        return sum(len(labels) for _, labels in DataLoader(dataset, size, shuffle=True))

    dataset = image_set(6400)
    assert epoch(64) == 6400
    # Calls of Python's and NumPy's functions together: so many for a batch of any size.
    assert calls_in(lambda: epoch(640)) < calls_in(lambda: epoch(64)) / 5 < 6400 / 2
