"""CIFAR-10's binary version: records of one label byte and 3 x 32 x 32 pixel bytes.

The "python version" of the data set is made of pickles, which can run code when they
are read; it is never touched. Of an archive, the expected members are read in memory,
by their exact names; nothing is extracted. Python's tarfile is not used for it, because
it reads on for ever where a header forges the size of a member.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .files import (
    CHUNK,
    GZIP,
    LIMIT,
    Gunzip,
    check_labels,
    damage_error,
    describe,
    open_file,
)

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]

FOLDER = "cifar-10-batches-bin"
RECORD = 1 + 3 * 32 * 32
BLOCK = (
    512  # a tar archive: a header of one block, the content in whole blocks, and so on
)


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
            raise damage_error(path, "a tar.gz archive", describe(head))
        file.seek(0)
        source = Gunzip(file, path)
        while any(header := source.read(BLOCK)):
            name, kind, size = _parse_header(path, header)
            if name in batches:
                raise damage_error(path, f"one member {name}", "two")
            left = size + -size % BLOCK
            if name in wanted:
                if kind not in b"0\0" or size > 10_000 * RECORD:
                    expected = f"a regular file {name} of at most 10,000 records"
                    raise damage_error(path, expected, f"type {kind!r}, {size} bytes")
                batches[name] = _parse_records(path / name, source.read(size))
                left -= size
            _skip(source, left)
        _skip(source, LIMIT)  # to the checksum at the end
        source.finish()
    if missing := [name for name in wanted if name not in batches]:
        raise damage_error(path, f"a member {missing[0]}", "none")
    return [batches[name] for name in wanted]


def _parse_header(path: Path, header: bytearray) -> tuple[str, bytes, int]:
    """The name, type and size that a header of an archive gives."""
    try:
        size = int(header[124:136].strip(b" \0"), 8)
        checksum = int(header[148:156].strip(b" \0"), 8)
    except ValueError:
        size = checksum = -1
    summed = sum(header[:148]) + sum(b" " * 8) + sum(header[156:])
    if len(header) != BLOCK or size < 0 or checksum != summed:
        raise damage_error(path, "the header of a member", describe(header))
    return header[:100].split(b"\0")[0].decode("latin-1"), bytes(header[156:157]), size


def _skip(source: Gunzip, size: int) -> None:
    while size > 0 and (content := source.read(min(size, CHUNK))):
        size -= len(content)


def _parse_records(path: Path, content: bytes | bytearray) -> Batch:
    if not content or len(content) % RECORD or len(content) > LIMIT:
        size = f"{len(content)} bytes" if len(content) <= LIMIT else "more than 256 MiB"
        found = f"{size} that begin with {describe(content[:16])}"
        raise damage_error(
            path, f"whole records of {RECORD} bytes (binary version)", found
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    labels = check_labels(path, records[:, 0])
    return records[:, 1:].reshape(-1, 3, 32, 32), labels
