"""The data sets of PyTorch, and the images from files."""

import gzip
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytorch import torch

import tinygrad_cnn
from tinygrad_cnn import Tensor, data
from tinygrad_cnn.data import transforms as T
from tinygrad_cnn.errors import ArgumentError, DatasetError, ShapeError


class Squares(data.Dataset):
    def __init__(self, start, stop):
        self.numbers = range(start, stop)

    def __getitem__(self, index):
        return self.numbers[index] ** 2

    def __len__(self):
        return len(self.numbers)


def test_tensor_dataset_gives_the_rows_of_each_tensor():
    x, y = np.arange(12.0).reshape(4, 3), np.array([5, 6, 7, 8])
    rows = data.TensorDataset(Tensor(x), Tensor(y))
    assert len(rows) == 4
    image, label = rows[-1]
    assert image.numpy().tolist() == [9, 10, 11]
    assert label.item() == 8
    assert rows.get_batch([2, 0])[1].numpy().tolist() == [7, 5]


def test_tensor_dataset_refuses_tensors_of_different_lengths():
    with pytest.raises(ShapeError, match="Size mismatch between tensors"):
        data.TensorDataset(Tensor(np.zeros(3)), Tensor(np.zeros(4)))


def test_a_subset_of_a_subset_follows_both_indices():
    inner = data.Subset(Squares(0, 10), [9, 7, 5, 3])
    outer = data.Subset(inner, [2, 0])
    assert [outer[i] for i in range(len(outer))] == [25, 81]
    assert outer.__getitems__([1, 0]) == [81, 25]
    assert outer.get_batch([1, 0]).numpy().tolist() == [81, 25]


def test_concatenated_datasets_follow_each_other_and_count_from_the_end():
    both = Squares(0, 3) + Squares(5, 7) + Squares(0, 0) + Squares(1, 2)
    expected = [0, 1, 4, 25, 36, 1]
    assert len(both) == 6
    assert [both[i] for i in range(6)] == expected
    assert [both[i - 6] for i in range(6)] == expected
    for index in (6, -7):
        with pytest.raises(IndexError, match="6 items"):
            both[index]


def test_nothing_or_an_endless_stream_cannot_be_concatenated():
    with pytest.raises(ArgumentError, match="empty"):
        data.ConcatDataset([])
    with pytest.raises(ArgumentError, match="IterableDataset"):
        data.ConcatDataset([data.IterableDataset()])


# Lengths that sum to 1 are fractions, in PyTorch too.
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(lambda n: sum(n) != 1)
)
def test_random_split_gives_disjoint_subsets_of_the_given_lengths(lengths):
    parts = data.random_split(Squares(0, sum(lengths)), lengths)
    assert [len(part) for part in parts] == lengths
    assert sorted(i for p in parts for i in p.indices) == list(range(sum(lengths)))


@pytest.mark.parametrize(
    ("total", "fractions"),
    [(10, [0.3, 0.7]), (11, [0.5, 0.25, 0.25]), (7, [1 / 3] * 3)],
)
def test_random_split_by_fractions_has_pytorchs_lengths(total, fractions):
    expected = torch.utils.data.random_split(range(total), fractions)
    parts = data.random_split(Squares(0, total), fractions)
    assert [len(part) for part in parts] == [len(part) for part in expected]


def test_random_split_is_repeated_by_a_generator_of_the_same_seed():
    halves = [
        data.random_split(
            Squares(0, 40), [20, 20], tinygrad_cnn.Generator().manual_seed(s)
        )
        for s in (4, 4, 5)
    ]
    assert halves[0][0].indices == halves[1][0].indices != halves[2][0].indices


def test_random_split_refuses_lengths_with_another_sum():
    for lengths in ([3, 3], [0.5, 0.4], [1.5, -0.5]):
        with pytest.raises(ArgumentError):
            data.random_split(Squares(0, 10), lengths)


# Images


def check_mnist(dataset, images, labels):
    np.testing.assert_array_equal(dataset.images, images[:, None])
    np.testing.assert_array_equal(dataset.labels, labels)
    np.testing.assert_array_equal(dataset.targets, labels)
    np.testing.assert_array_equal(dataset.data, images)
    assert dataset.images.dtype == np.uint8
    assert dataset.labels.dtype == np.int64
    assert len(dataset) == len(labels)


def test_mnist_reads_both_splits_of_a_directory(idx_folder):
    root, content = idx_folder
    check_mnist(data.MNIST(root), *content["train"])
    check_mnist(data.MNIST(str(root), train=False), *content["t10k"])


@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw", "."])
@pytest.mark.parametrize("unpack", [False, True])
def test_mnist_is_found_in_three_layouts_packed_or_not(idx_folder, folder, unpack):
    root, content = idx_folder
    target = root / "elsewhere" / folder
    target.mkdir(parents=True)
    for path in (root / "mnist").iterdir():
        if unpack:
            (target / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        else:
            path.rename(target / path.name)
    check_mnist(data.MNIST(root / "elsewhere"), *content["train"])


def test_the_directory_of_the_environment_variable_is_the_default(
    idx_folder, monkeypatch
):
    root, content = idx_folder
    monkeypatch.setenv("TINYGRAD_CNN_DATA_DIR", str(root))
    check_mnist(data.load("mnist", train=False), *content["t10k"])


def test_fashion_mnist_has_its_own_folder_and_classes(idx_folder, no_data):
    root, content = idx_folder
    with pytest.raises(DatasetError):
        data.FashionMNIST(root)
    (root / "mnist").rename(root / "fashion-mnist")
    fashion = data.FashionMNIST(root)
    check_mnist(fashion, *content["train"])
    assert fashion.classes[9] == "Ankle boot"
    assert len(fashion.classes) == 10


def records_of(content, names):
    records = np.concatenate([content[name] for name in names])
    return records[:, 0], records[:, 1:].reshape(-1, 3, 32, 32)


TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]


def check_cifar(root, content):
    for train, names in ((True, TRAIN), (False, ["test_batch.bin"])):
        labels, images = records_of(content, names)
        cifar10 = data.CIFAR10(root, train=train)
        np.testing.assert_array_equal(cifar10.images, images)
        np.testing.assert_array_equal(cifar10.labels, labels)
        np.testing.assert_array_equal(cifar10.data, images.transpose(0, 2, 3, 1))


def test_cifar10_reads_files_of_any_number_of_records(cifar_folder):
    check_cifar(*cifar_folder)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, None])
def test_cifar10_reads_the_archive_in_memory_without_extracting_it(cifar_folder, form):
    root, content = cifar_folder
    folder = root / "cifar-10-batches-bin"
    other = root / "other"
    other.mkdir()
    archive = other / "cifar-10-binary.tar.gz"
    form = tarfile.DEFAULT_FORMAT if form is None else form
    with tarfile.open(archive, "w:gz", format=form) as tar:
        (folder / "readme.html").write_bytes(b"<html>" * 1000)
        tar.add(folder, arcname=folder.name)
    check_cifar(other, content)
    assert list(other.iterdir()) == [archive]


def test_an_item_is_a_float32_image_in_0_to_1_and_an_int(idx_folder):
    root, content = idx_folder
    image, label = data.MNIST(root)[3]
    images, labels = content["train"]
    assert isinstance(image, Tensor)
    assert type(label) is int
    assert label == labels[3]
    np.testing.assert_array_equal(image.numpy(), images[3:4] / np.float32(255))


STEPS = {
    "none": None,
    "a transform": T.Resize(32),
    "a composition": T.Compose([T.Pad(2), T.ToTensor(), T.Normalize((0.1,), (0.3,))]),
    "a function of arrays": lambda image: image[:, ::2, ::2].astype(np.float64),
    "a function of tensors": T.Compose([T.ToTensor(), lambda image: image.flatten()]),
    "a function that keeps uint8": lambda image: 255 - image,
    "a function that flattens uint8": lambda image: image.reshape(-1),
    "a Lambda": T.Lambda(lambda image: image / 100),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_batch_at_once_equals_its_items_one_by_one(name, idx_folder):
    dataset = data.MNIST(idx_folder[0], transform=STEPS[name])
    indices = [7, 0, 7, 19]
    images, labels = dataset.get_batch(indices)
    items = [dataset[i] for i in indices]
    np.testing.assert_array_equal(images.numpy(), [item[0].numpy() for item in items])
    assert labels.numpy().tolist() == [item[1] for item in items]
    assert labels.dtype == np.int64
    assert images.dtype == items[0][0].dtype
    assert images.dtype != np.uint8


def test_a_target_transform_changes_the_labels(idx_folder):
    dataset = data.MNIST(idx_folder[0], target_transform=lambda label: label % 2 == 0)
    expected = [bool(label % 2 == 0) for label in idx_folder[1]["train"][1][:5]]
    assert [dataset[i][1] for i in range(5)] == expected
    assert dataset.get_batch(range(5))[1].numpy().tolist() == expected


def test_reading_items_leaves_the_images_of_the_dataset_as_they_were(idx_folder):
    dataset = data.MNIST(idx_folder[0], transform=lambda image: image)
    before = dataset.images.copy()
    dataset[0], dataset.get_batch([0, 1])
    np.testing.assert_array_equal(dataset.images, before)


def test_reprs_tell_number_and_size_of_the_images(idx_folder):
    dataset = data.MNIST(idx_folder[0], transform=T.Pad(2))
    assert repr(dataset) == (
        "MNIST(20 images of 1x28x28, transform=Pad(padding=2, fill=0))"
    )


def test_load_knows_its_names_and_says_so():
    assert (
        *("digits", "colour-digits", "mnist", "fashion-mnist", "cifar10"),
    ) == data.NAMES
    assert len(data.load("digits", train=False)) == 1000
    with pytest.raises(ArgumentError, match=r"'emnist'; known: digits, .*mean mnist"):
        data.load("emnist")


def test_pytorchs_names_are_found_in_utils_data():
    from tinygrad_cnn.utils import data as utils_data

    classes = "ConcatDataset DataLoader Dataset IterableDataset Subset TensorDataset"
    for name in [*classes.split(), "default_collate", "random_split"]:
        assert getattr(utils_data, name) is getattr(data, name)


# The real files


@pytest.fixture
def real(request):
    """The directory of the real data sets; without it there is nothing to test here."""
    import os

    if not os.environ.get("TINYGRAD_CNN_DATA_DIR"):
        pytest.skip("TINYGRAD_CNN_DATA_DIR is not set")


def test_real_mnist_has_the_published_counts_mean_and_deviation(real):
    train, test = data.MNIST(), data.MNIST(train=False)
    assert len(train), len(test) == (60000, 10000)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(train.labels).tolist() == counts
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(test.labels).tolist() == counts
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert train.images.std() / 255 == pytest.approx(0.3081, abs=5e-5)


def test_real_cifar10_has_the_published_counts_and_channel_means(real):
    train, test = data.CIFAR10(), data.CIFAR10(train=False)
    assert np.bincount(train.labels).tolist() == [5000] * 10
    assert test.images.shape[1:] == (3, 32, 32)
    means = train.images.mean((0, 2, 3)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=5e-5)
