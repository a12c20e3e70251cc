"""Data sets: PyTorch's general ones, and the images that the documents train on."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..core.engine import Tensor
from ..core.generator import Generator, default_generator
from ..errors import ArgumentError, DatasetError, DTypeError, ShapeError
from . import download, files
from .collate import default_collate, gather, items
from .digits import draw_digits
from .kept import Kept, is_pixelwise, keep_results, lock, split_steps, take_rows
from .transforms import Compose, to_unit_interval, transform_batch

T = TypeVar("T", covariant=True)
Function = Callable[[Any], Any]
Images = NDArray[Any] | Tensor
Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]


class Dataset(Generic[T]):
    """Items by index. Subclasses define `__getitem__` and, usually, `__len__`.

    A `get_batch(indices)` defined beside `__getitem__` gives the DataLoader a collated
    batch at once, which is much faster than item by item.
    """

    def __getitem__(self, index: Any) -> T:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T]):
    """Items one after the other. Subclasses define `__iter__`."""

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def __add__(self, other: Dataset[Any]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class ChainDataset(IterableDataset[Any]):
    """The items of several data sets without an index, one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        super().__init__()
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise DTypeError("ChainDataset only supports IterableDataset")
            yield from dataset

    def __len__(self) -> int:
        return sum(map(len, self.datasets))


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Item i is (tensor[i] for each tensor); ShapeError if their lengths differ."""

    def __init__(self, *tensors: Tensor) -> None:
        if any(len(t) != len(tensors[0]) for t in tensors):
            lengths = [len(t) for t in tensors]
            raise ShapeError(f"Size mismatch between tensors: first axes {lengths}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([tensor[index] for tensor in self.tensors])

    def get_batch(self, indices: Sequence[int]) -> list[Tensor]:
        chosen = np.asarray(indices, np.intp)
        return [tensor[chosen] for tensor in self.tensors]

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset[Any]):
    """The items of `dataset` at `indices`."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        return items(self.dataset, [self.indices[i] for i in indices])

    def get_batch(self, indices: Sequence[int]) -> Any:
        return gather(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[Any]):
    """The items of several data sets, one after the other."""

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("datasets should not be an empty iterable")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise ArgumentError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(itertools.accumulate(map(len, self.datasets)))

    def __getitem__(self, index: Any) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} of a data set of {len(self)} items")
        index %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - before]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class StackDataset(Dataset[Any]):
    """Item i is a tuple of the data sets' items i, or a dict of those given by name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError(
                "Supported either ``tuple``- (via ``args``) or ``dict``- (via ``kwargs``) "
                "like input/output; give at least one data set, and all in one way"
            )
        self.datasets: Any = args or kwargs
        lengths = {len(dataset) for dataset in args or kwargs.values()}
        if len(lengths) > 1:
            raise ShapeError(f"Size mismatch between datasets: lengths {lengths}")
        (self._length,) = lengths

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple([dataset[index] for dataset in self.datasets])

    def __len__(self) -> int:
        return self._length


def random_split(
    dataset: Any,
    lengths: Sequence[int | float],
    generator: Generator = default_generator,
) -> list[Subset]:
    """Disjoint random subsets of the given lengths, or of fractions that sum to 1.

    Items that fractions leave over go to the subsets in turn, as in PyTorch.
    Raises ArgumentError if the lengths do not sum to the data set's.
    """
    total = len(dataset)
    counts = [int(n) for n in lengths]
    if sum(lengths) <= 1 and math.isclose(sum(lengths), 1):
        if any(not 0 <= fraction <= 1 for fraction in lengths):
            raise ArgumentError(f"fractions of a data set lie in 0..1, not {lengths}")
        counts = [int(total * fraction) for fraction in lengths]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
        if 0 in counts:
            warnings.warn(f"a subset of {total} items is empty: {counts}", stacklevel=2)
    if sum(counts) != total:
        raise ArgumentError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"{list(lengths)} for {total} items"
        )
    order = generator.numpy.permutation(total).tolist()
    ends = itertools.accumulate(counts)
    pairs = zip(counts, ends, strict=True)
    return [Subset(dataset, order[end - count : end]) for count, end in pairs]


class ImageDataset(Dataset[tuple[Any, Any]]):
    """Images with class labels, all in memory.

    `images`: uint8 (N, C, H, W); `labels`: int64 (N,); `classes`: the names. Item i is
    (image, label): the image (C, H, W) as a uint8 array goes through `transform`, the
    label through `target_transform`; images that are uint8 then (so always without a
    transform) become float32 in 0..1.

    What leading Resize, Pad and the like make of an image is kept once a batch has
    needed it, up to 1 GiB, if the images are locked (`images.flags.writeable = False`).
    """

    classes: ClassVar[tuple[str, ...]] = ()
    _kept: Kept | None = None

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        transform: Function | None = None,
        target_transform: Function | None = None,
    ) -> None:
        if len(images) != len(labels):
            raise DatasetError(f"{len(images)} images but {len(labels)} labels")
        self.images = images
        self.labels = labels
        self.transform = transform
        self.target_transform = target_transform

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = self.images[index]
        image = _finish(self.transform(image) if self.transform else image)
        label = int(self.labels[index])
        return image, self.target_transform(label) if self.target_transform else label

    def get_batch(self, indices: Sequence[int]) -> list[Any]:
        """The items at `indices` as [images (B, C, H, W), labels (B,)], as Tensors."""
        chosen = np.asarray(indices, np.intp)
        images, labels = self._transform_images(chosen), self.labels[chosen]
        if self.target_transform:
            targets = [self.target_transform(label) for label in labels.tolist()]
            return [_finish(images), default_collate(targets)]
        return [_finish(images), Tensor(labels)]

    def _transform_images(self, chosen: NDArray[np.intp]) -> Images:
        """What the transform makes of images[chosen].

        The batch is innermost in memory, as kernels want it, where it can be had for
        little: moving bytes takes a quarter of the time of moving float32.
        """
        steps, rest = split_steps(self.transform)
        self._kept = keep_results(steps, self.images, self._kept)
        if self._kept is not None:
            images: Images = self._kept.take(chosen)
        else:
            images = transform_batch(Compose(steps), take_rows(self.images, chosen))
        if is_pixelwise(rest) and images.dtype == np.uint8 and images.ndim == 4:
            images = _put_batch_innermost(images)
        return transform_batch(Compose(rest), images)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        channels, height, width = self.images.shape[1:]
        images = f"{len(self)} images of {channels}x{height}x{width}"
        transform = f", transform={self.transform}" if self.transform else ""
        return f"{type(self).__name__}({images}{transform})"

    @property
    def data(self) -> NDArray[np.uint8]:
        """The images as torchvision lays them out: (N, H, W), or (N, H, W, 3)."""
        last = np.moveaxis(self.images, 1, -1)
        return last[..., 0] if last.shape[-1] == 1 else last

    @property
    def targets(self) -> NDArray[np.int64]:
        """The labels, under torchvision's name."""
        return self.labels


def _put_batch_innermost(images: Images) -> Images:
    """uint8 images (N, C, H, W), or a Tensor of them, in memory laid out (C, H, W, N)."""
    if isinstance(images, Tensor):
        return Tensor(_put_batch_innermost(images.numpy()))
    count, *size = images.shape
    eighths, rest = divmod(math.prod(size), 8)
    pixels: NDArray[Any] = images.reshape(count, 8 * eighths + rest)
    if rest == 0:
        # Eight pixels at a time, and then within these, is twice as fast.
        eights = np.ascontiguousarray(pixels.view(np.uint64).T)
        pixels = eights.view(np.uint8).reshape(eighths, count, 8).transpose(1, 0, 2)
    moved = np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
    return moved.reshape(*size, count).transpose(3, 0, 1, 2)


def _finish(image: Any) -> Any:
    """A Tensor of what a transform gave, with raw uint8 images scaled to 0..1."""
    if isinstance(image, np.ndarray | Tensor) and image.dtype == np.uint8:
        array = image.numpy() if isinstance(image, Tensor) else image
        return Tensor(to_unit_interval(array))
    return Tensor(image) if isinstance(image, np.ndarray) else image


class _FileDataset(ImageDataset):
    """Images from the files of a `source`, with torchvision's arguments.

    root: a directory with the source's folder, torchvision's folder or the files
    themselves; where there is none, TINYGRAD_CNN_DATA_DIR, then the cache. train: the
    training images, else the test images. download: allow the network (into root, or the
    cache). The images are locked; give the data set a copy of them to change it.
    Raises DatasetError if there is no data or it is damaged.
    """

    source: ClassVar[download.Source]

    def __init__(
        self,
        root: str | Path | None = None,
        train: bool = True,
        transform: Function | None = None,
        target_transform: Function | None = None,
        download: bool = False,
    ) -> None:
        self.train = train
        images, labels = self._load(root, download)
        super().__init__(lock(images), labels, transform, target_transform)

    def _load(self, root: str | Path | None, allowed: bool) -> Arrays:
        raise NotImplementedError


class MNIST(_FileDataset):
    """Handwritten digits: 60,000 training and 10,000 test images of 1 x 28 x 28.

    IDX files, packed or not, in mnist/ or MNIST/raw/.
    """

    source = download.MNIST
    # fmt: off
    classes = (
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four",
        "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine",
    )
    # fmt: on

    def _load(self, root: str | Path | None, allowed: bool) -> Arrays:
        split = "train" if self.train else "t10k"
        names = [f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"]
        packed = [f"{name}.gz" for name in names]
        paths = download.obtain(self.source, packed, names, root, allowed)
        images, labels = files.read_images(paths[0]), files.read_labels(paths[1])
        if len(images) != len(labels):
            raise DatasetError(
                f"{paths[0]} has {len(images)} images but {paths[1]} {len(labels)} "
                "labels: the two files do not belong together; download both again"
            )
        return images, labels


class FashionMNIST(MNIST):
    """Pictures of clothes in MNIST's format, in fashion-mnist/ or FashionMNIST/raw/."""

    source = download.FASHION_MNIST
    # fmt: off
    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )
    # fmt: on


class CIFAR10(_FileDataset):
    """Colour photographs: 50,000 training and 10,000 test images of 3 x 32 x 32.

    Only the binary version: cifar-10-batches-bin/*.bin, with any number of records per
    file, or the archive cifar-10-binary.tar.gz, which is read but never extracted.
    """

    source = download.CIFAR10
    # fmt: off
    classes = (
        "airplane", "automobile", "bird", "cat", "deer",
        "dog", "frog", "horse", "ship", "truck",
    )
    # fmt: on

    def _load(self, root: str | Path | None, allowed: bool) -> Arrays:
        names = [f"data_batch_{i}.bin" for i in range(1, 6)]
        names = names if self.train else ["test_batch.bin"]
        archive = ["cifar-10-binary.tar.gz"]
        paths = download.obtain(self.source, archive, names, root, allowed)
        if paths[0].name == archive[0]:
            batches = files.read_archive(paths[0], names)
        else:
            batches = [files.read_batch(path) for path in paths]
        images, labels = zip(*batches, strict=True)
        return np.concatenate(images), np.concatenate(labels)


class Digits(ImageDataset):
    """Built-in digits of 1 x 28 x 28, drawn from `seed`; see `digits`. No files needed.

    size: how many images; None: 6,000 for training, 1,000 for testing. The first images
    are the same for every size.
    """

    classes = MNIST.classes

    def __init__(
        self,
        train: bool = True,
        transform: Function | None = None,
        target_transform: Function | None = None,
        seed: int = 0,
        size: int | None = None,
    ) -> None:
        count = (6000 if train else 1000) if size is None else size
        self.train = train
        images, labels = draw_digits(seed, train, 0, count)
        super().__init__(lock(images), labels, transform, target_transform)


class ColourDigits(Digits):
    """`Digits` of 3 x 32 x 32, each in a colour of its own. No files needed."""

    def __init__(
        self,
        train: bool = True,
        transform: Function | None = None,
        target_transform: Function | None = None,
        seed: int = 0,
        size: int | None = None,
    ) -> None:
        super().__init__(train, transform, target_transform, seed, size)
        rng = np.random.default_rng((seed, train))
        colours = rng.uniform(0.3, 1, (len(self), 3, 1, 1)).astype(np.float32)
        framed = np.pad(self.images, ((0, 0), (0, 0), (2, 2), (2, 2)))
        self.images = lock((framed * colours).astype(np.uint8))
