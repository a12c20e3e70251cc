"""Compiled kernels on disk: a folder that nobody else writes to, files with a checksum.

They hold machine code as Numba writes and reads it (inside, it pickles), which is run
unseen: whoever could write one could run anything. So it is loaded only from a folder that
this user alone owns and writes to, and only as it was written. Nothing that is wrong here
ends a run: then the kernels are compiled again, or not kept.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.serialize import loads

CHECKSUM = hashlib.sha256().digest_size
"""A file begins with so many bytes, the SHA-256 of all that follow."""


def find_folder() -> Path | None:
    """Where kernels are kept, in NUMBA_CACHE_DIR or the user's cache; None, and a line on
    stderr, where there is no such place or others could write to it.

    It is named by what all files of this package say: a kernel is made of several.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    try:
        folder = _root() / digest.hexdigest()[:16]
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()  # a link belongs to whoever made it
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        return _not_kept(str(error))
    if not hasattr(os, "geteuid"):  # the system has neither owners nor modes
        return folder
    if found.st_uid != os.geteuid():
        return _not_kept(f"{folder} belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return _not_kept(f"other users may write to {folder}")
    return folder


def _root() -> Path:
    base = os.environ.get("NUMBA_CACHE_DIR")
    return Path(base) if base else _user_cache() / "tinygrad_cnn" / "kernels"


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home())
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@functools.cache
def _not_kept(reason: str) -> None:
    """Say, once, why the next run will compile again."""
    print(
        f"tinygrad-cnn: compiled kernels are not kept for later runs: {reason} "
        "(NUMBA_CACHE_DIR names a folder of your own)",
        file=sys.stderr,
    )


def load(file: Path) -> Any:
    """What was saved; None if there is no such file. Another that is there is removed."""
    content = b""
    with suppress(OSError):
        if file.is_file():
            content = file.read_bytes()
    if content[:CHECKSUM] == hashlib.sha256(content[CHECKSUM:]).digest():
        return loads(content[CHECKSUM:])
    with suppress(OSError):
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)
    return None


def save(file: Path, code: bytes) -> None:
    """Keep this for `load`, if it can be written."""
    # Not by `output.files`, which removes what another process is writing just now. What a
    # crash leaves incomplete need not be kept from the disk: its checksum is wrong.
    temporary = file.with_name(f"{file.name}.{os.urandom(8).hex()}")
    try:
        temporary.write_bytes(hashlib.sha256(code).digest() + code)
        os.replace(temporary, file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        _not_kept(error.strerror or str(error))
