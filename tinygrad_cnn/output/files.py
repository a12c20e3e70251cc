"""Files that are whole or not there."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends well.

    It is written beside `path`, reaches the disk before it is moved, and is removed when
    anything fails, as are those that a crash left behind.
    """
    target = Path(os.path.realpath(path))
    unique = "[0-9a-f]" * 32
    for stale in target.parent.glob(f".{glob.escape(target.name)}.{unique}.tmp"):
        stale.unlink(missing_ok=True)
    temporary = target.with_name(f".{target.name}.{os.urandom(16).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # elsewhere a directory cannot be opened
        descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
