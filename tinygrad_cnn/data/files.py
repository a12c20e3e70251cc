"""Reading the files of data sets, which may be damaged or hostile: bounded, never silent.

IDX, the format of MNIST and Fashion-MNIST, is big-endian: two zero bytes, the type (8:
unsigned byte), the number of dimensions, each dimension as 32 bits, and the values. Files
may be packed with gzip, which is seen from their content.

CIFAR-10's binary version has records of one label byte and 3 x 32 x 32 pixel bytes. The
"python version" of the data set is made of pickles, which can run code when they are read;
it is never touched. Of an archive, the expected members are read in memory, by their exact
names; nothing is extracted. Python's tarfile is not used for it, because it reads on for
ever where a header forges the size of a member.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError

LIMIT = 2**28
"""The largest content, in bytes, that a reader of this package takes from a file."""

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]

GZIP = b"\x1f\x8b"
CHUNK = 2**16
CLASSES = 10


def bad_file(path: Path, expected: str, found: str) -> DatasetError:
    """The error for a file that is not what it should be."""
    return DatasetError(
        f"{path}: expected {expected}, found {found}; delete this file and download it "
        "again, or point TINYGRAD_CNN_DATA_DIR at a directory with a good copy"
    )


def describe(head: bytes | bytearray) -> str:
    """What a file that begins with `head` seems to be."""
    if head.lstrip()[:1] == b"<":
        return "a web page (HTML or XML), perhaps a server's error message"
    if head[:1] == b"\x80":
        return "a pickle, which is never read"
    if head[:2] == GZIP:
        return "gzip data"
    return f"the bytes {head[:4].hex(' ')}" if head else "an empty file"


@contextmanager
def open_file(path: Path) -> Iterator[IO[bytes]]:
    """The file, opened; an error of reading or unpacking it becomes a DatasetError."""
    try:
        with open(path, "rb") as file:
            yield file
    except (OSError, zlib.error) as error:
        raise bad_file(
            path, "a readable file", f"{type(error).__name__}: {error}"
        ) from error


class Gunzip:
    """The content of a gzip file of one member, unpacked only as far as it is read."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self._inflate = zlib.decompressobj(wbits=31)  # gzip, with its checksum
        self._given = 0

    def read(self, size: int) -> bytearray:
        """The next `size` bytes, or fewer where the content ends.

        Raises DatasetError once more than LIMIT bytes were read in all.
        """
        content = bytearray()
        while len(content) < size and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(CHUNK)
            if not packed:
                break
            content += self._inflate.decompress(packed, min(size - len(content), CHUNK))
        self._given += len(content)
        if self._given > LIMIT:
            raise bad_file(self._path, f"at most {LIMIT} bytes of content", "more")
        return content

    def finish(self) -> None:
        """Check that the content was read to its end and nothing comes behind it."""
        if not self._inflate.eof:
            raise bad_file(self._path, "a whole gzip file", "one that ends too early")
        if self._inflate.unused_data or self._file.read(1):
            raise bad_file(self._path, "one gzip member", "more data behind it")


def check_labels(path: Path, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The labels as int64, each of them a class 0..9."""
    if labels.max() >= CLASSES:
        worst = f"{labels.max()} at position {labels.argmax()}"
        raise bad_file(path, f"labels 0..{CLASSES - 1}", worst)
    return labels.astype(np.int64)


# ------------------------------------------------------------------------ IDX

_KIND = {1: "labels", 3: "images"}


def read_images(path: Path, height: int = 28, width: int = 28) -> NDArray[np.uint8]:
    """An IDX file's images (N, 1, height, width); DatasetError if it is not one."""
    images = _read_idx(path, 3)
    if images.shape[1:] != (height, width):
        found = " x ".join(map(str, images.shape[1:]))
        raise bad_file(path, f"images of {height} x {width} pixels", found)
    return images[:, None]


def read_labels(path: Path) -> NDArray[np.int64]:
    """An IDX file's labels (N,), each 0..9; DatasetError if it is not one."""
    return check_labels(path, _read_idx(path, 1))


def _read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    with open_file(path) as file:
        packed = file.read(2) == GZIP
        file.seek(0)
        source = Gunzip(file, path) if packed else file
        header = source.read(4 + 4 * dimensions)
        shape = _parse_idx_header(path, header, dimensions)
        size = math.prod(shape)
        # One byte more than expected is enough to know that there is too much.
        content = source.read(size + 1)
        if len(content) != size:
            found = "more" if len(content) > size else f"{len(content)}"
            told = " x ".join(map(str, shape))
            raise bad_file(path, f"{size} bytes of {_KIND[dimensions]} ({told})", found)
        if isinstance(source, Gunzip):
            source.finish()
    return np.frombuffer(bytes(content), np.uint8).reshape(shape)


def _parse_idx_header(
    path: Path, header: bytes | bytearray, dimensions: int
) -> tuple[int, ...]:
    magic = bytes([0, 0, 8, dimensions])
    if header[:4] != magic:
        found = describe(header)
        for other, kind in _KIND.items():
            if header[:4] == bytes([0, 0, 8, other]):
                found = f"an IDX file of {kind}: are the two files swapped?"
        expected = f"an IDX file of {_KIND[dimensions]} ({magic.hex(' ')})"
        raise bad_file(path, expected, found)
    if len(header) < 4 + 4 * dimensions:
        raise bad_file(
            path, f"a header of {4 + 4 * dimensions} bytes", f"{len(header)}"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if not 0 < math.prod(shape) <= LIMIT:
        told = " x ".join(map(str, shape))
        raise bad_file(path, f"1 to {LIMIT} values", f"a header that announces {told}")
    return shape


# -------------------------------------------------------------------- CIFAR-10

FOLDER = "cifar-10-batches-bin"
RECORD = 1 + 3 * 32 * 32
BLOCK = 512
"""A tar archive: a header of one block, the content in whole blocks, and so on."""


def read_batch(path: Path) -> Batch:
    """The images (N, 3, 32, 32) and labels (N,) of a file of any number N of records.

    Raises DatasetError unless the file is made of whole records with labels 0..9.
    """
    with open_file(path) as file:
        return _parse_records(path, file.read(LIMIT + 1))


def read_archive(path: Path, names: Iterable[str]) -> list[Batch]:
    """The named batches out of cifar-10-binary.tar.gz, each as from `read_batch`.

    Raises DatasetError for a damaged archive, a member that is missing, there twice, no
    regular file (a link, say) or too large, and for more than 256 MiB in all.
    """
    wanted = [f"{FOLDER}/{name}" for name in names]
    batches: dict[str, Batch] = {}
    with open_file(path) as file:
        if (head := file.read(16))[:2] != GZIP:
            raise bad_file(path, "a tar.gz archive", describe(head))
        file.seek(0)
        source = Gunzip(file, path)
        while any(header := source.read(BLOCK)):
            name, kind, size = _parse_tar_header(path, header)
            if name in batches:
                raise bad_file(path, f"one member {name}", "two")
            left = size + -size % BLOCK
            if name in wanted:
                if kind not in b"0\0" or size > 10_000 * RECORD:
                    expected = f"a regular file {name} of at most 10,000 records"
                    raise bad_file(path, expected, f"type {kind!r}, {size} bytes")
                batches[name] = _parse_records(path / name, source.read(size))
                left -= size
            _skip(source, left)
        _skip(source, LIMIT)  # to the checksum at the end
        source.finish()
    if missing := [name for name in wanted if name not in batches]:
        raise bad_file(path, f"a member {missing[0]}", "none")
    return [batches[name] for name in wanted]


def _parse_tar_header(path: Path, header: bytearray) -> tuple[str, bytes, int]:
    """The name, type and size that a header of an archive gives."""
    try:
        size = int(header[124:136].strip(b" \0"), 8)
        checksum = int(header[148:156].strip(b" \0"), 8)
    except ValueError:
        size = checksum = -1
    summed = sum(header[:148]) + sum(b" " * 8) + sum(header[156:])
    if len(header) != BLOCK or size < 0 or checksum != summed:
        raise bad_file(path, "the header of a member", describe(header))
    return header[:100].split(b"\0")[0].decode("latin-1"), bytes(header[156:157]), size


def _skip(source: Gunzip, size: int) -> None:
    while size > 0 and (content := source.read(min(size, CHUNK))):
        size -= len(content)


def _parse_records(path: Path, content: bytes | bytearray) -> Batch:
    if not content or len(content) % RECORD or len(content) > LIMIT:
        size = f"{len(content)} bytes" if len(content) <= LIMIT else "more than 256 MiB"
        found = f"{size} that begin with {describe(content[:16])}"
        raise bad_file(path, f"whole records of {RECORD} bytes (binary version)", found)
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    labels = check_labels(path, records[:, 0])
    return records[:, 1:].reshape(-1, 3, 32, 32), labels
