"""Where the data files are: on this machine, in the cache, or on a mirror.

A data set is looked for below `root` if that is given, below the directory named
by TINYGRAD_CNN_DATA_DIR, then in the platform's cache directory (pooch's `os_cache`);
only then, and only if allowed, is it downloaded. Every file from a mirror, or from the
cache when downloading is allowed, must have its pinned SHA-256. Those are of the files
whose MD5 sums the authors of the data sets and torchvision publish. A user's own files
are not compared with them (they may be subsets); the readers check their structure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import DatasetError


@dataclass(frozen=True)
class Source:
    """A data set: our folder, torchvision's, the mirrors and the files' SHA-256."""

    folder: str
    torchvision_folder: str
    mirrors: tuple[str, ...]
    sha256: dict[str, str]


_IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_MNIST_SHA256 = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
_FASHION_MNIST_SHA256 = (
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)
_CIFAR10_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

MNIST = Source(
    "mnist",
    "MNIST/raw",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    dict(zip(_IDX_FILES, _MNIST_SHA256, strict=True)),
)
FASHION_MNIST = Source(
    "fashion-mnist",
    "FashionMNIST/raw",
    (
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    dict(zip(_IDX_FILES, _FASHION_MNIST_SHA256, strict=True)),
)
CIFAR10 = Source(
    "cifar-10-batches-bin",
    "",
    (
        "https://www.cs.toronto.edu/~kriz/",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
    ),
    {"cifar-10-binary.tar.gz": _CIFAR10_SHA256},
)


def obtain(
    source: Source,
    packed: list[str],
    unpacked: list[str],
    root: str | Path | None,
    download: bool,
) -> list[Path]:
    """The paths of the files `unpacked`, or of `packed`, as the mirrors have them.

    All are of one folder. Raises DatasetError, which says what to do, if there is no
    such folder and they are not to be downloaded or cannot be.
    """
    for folder in _list_folders(source, root):
        for names in (unpacked, packed):
            paths = [folder / name for name in names]
            if all(path.is_file() for path in paths):
                return paths
    try:
        import pooch
    except ImportError:
        raise _missing_error(
            source, packed, "pooch, which downloads, is not installed"
        ) from None
    cache = Path(root) if root is not None else Path(pooch.os_cache("tinygrad_cnn"))
    folder = cache / source.folder
    if download:
        return [_retrieve(source, name, folder) for name in packed]
    if all((folder / name).is_file() for name in packed):
        return [folder / name for name in packed]
    raise _missing_error(source, packed, "download=True was not given")


def _list_folders(source: Source, root: str | Path | None) -> Iterator[Path]:
    for given in (root, os.environ.get("TINYGRAD_CNN_DATA_DIR")):
        if given:
            base = Path(given)
            yield from (base / source.folder, base / source.torchvision_folder, base)


def _retrieve(source: Source, name: str, folder: Path) -> Path:
    """The file from the folder, if it has the right content there, or from a mirror."""
    import pooch

    reason = ""
    for mirror in source.mirrors:
        try:
            path = pooch.retrieve(
                mirror + name, f"sha256:{source.sha256[name]}", name, folder
            )
            return Path(path)
        # requests' errors are OSErrors; a wrong checksum is a ValueError.
        except (OSError, ValueError) as error:
            reason = type(error).__name__
    raise _missing_error(source, [name], f"no mirror could give it ({reason})")


def _missing_error(source: Source, names: list[str], reason: str) -> DatasetError:
    return DatasetError(
        f"{source.folder}/{names[0]} is not on this machine and {reason}: set "
        "TINYGRAD_CNN_DATA_DIR to the directory that holds it, or `pip install pooch`, "
        "go online and allow the download, or use the built-in digits (--data digits)"
    )
