"""Reading files that may be damaged or hostile: bounded, and never silent."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError

LIMIT = 2**28
"""The largest content, in bytes, that a reader of this package takes from a file."""

GZIP = b"\x1f\x8b"
CHUNK = 2**16
CLASSES = 10


def damage_error(path: Path, expected: str, found: str) -> DatasetError:
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
        raise damage_error(
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
            raise damage_error(self._path, f"at most {LIMIT} bytes of content", "more")
        return content

    def finish(self) -> None:
        """Check that the content was read to its end and nothing comes behind it."""
        if not self._inflate.eof:
            raise damage_error(
                self._path, "a whole gzip file", "one that ends too early"
            )
        if self._inflate.unused_data or self._file.read(1):
            raise damage_error(self._path, "one gzip member", "more data behind it")


def check_labels(path: Path, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The labels as int64, each of them a class 0..9."""
    if labels.max() >= CLASSES:
        worst = f"{labels.max()} at position {labels.argmax()}"
        raise damage_error(path, f"labels 0..{CLASSES - 1}", worst)
    return labels.astype(np.int64)
