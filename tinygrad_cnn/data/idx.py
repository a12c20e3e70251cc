"""The IDX format of MNIST and Fashion-MNIST, packed with gzip or not.

Big-endian: two zero bytes, the type (8: unsigned byte), the number of dimensions, each
dimension as 32 bits, and the values. Whether a file is packed is seen from its content.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .files import GZIP, LIMIT, Gunzip, check_labels, damage_error, describe, open_file

_KIND = {1: "labels", 3: "images"}


def read_images(path: Path, height: int = 28, width: int = 28) -> NDArray[np.uint8]:
    """An IDX file's images (N, 1, height, width); DatasetError if it is not one."""
    images = _read(path, 3)
    if images.shape[1:] != (height, width):
        found = " x ".join(map(str, images.shape[1:]))
        raise damage_error(path, f"images of {height} x {width} pixels", found)
    return images[:, None]


def read_labels(path: Path) -> NDArray[np.int64]:
    """An IDX file's labels (N,), each 0..9; DatasetError if it is not one."""
    return check_labels(path, _read(path, 1))


def _read(path: Path, dimensions: int) -> NDArray[np.uint8]:
    with open_file(path) as file:
        packed = file.read(2) == GZIP
        file.seek(0)
        source = Gunzip(file, path) if packed else file
        header = source.read(4 + 4 * dimensions)
        shape = _parse_header(path, header, dimensions)
        size = math.prod(shape)
        # One byte more than expected is enough to know that there is too much.
        content = source.read(size + 1)
        if len(content) != size:
            found = "more" if len(content) > size else f"{len(content)}"
            told = " x ".join(map(str, shape))
            raise damage_error(
                path, f"{size} bytes of {_KIND[dimensions]} ({told})", found
            )
        if isinstance(source, Gunzip):
            source.finish()
    return np.frombuffer(bytes(content), np.uint8).reshape(shape)


def _parse_header(
    path: Path, header: bytes | bytearray, dimensions: int
) -> tuple[int, ...]:
    magic = bytes([0, 0, 8, dimensions])
    if header[:4] != magic:
        found = describe(header)
        for other, kind in _KIND.items():
            if header[:4] == bytes([0, 0, 8, other]):
                found = f"an IDX file of {kind}: are the two files swapped?"
        expected = f"an IDX file of {_KIND[dimensions]} ({magic.hex(' ')})"
        raise damage_error(path, expected, found)
    if len(header) < 4 + 4 * dimensions:
        raise damage_error(
            path, f"a header of {4 + 4 * dimensions} bytes", f"{len(header)}"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if not 0 < math.prod(shape) <= LIMIT:
        told = " x ".join(map(str, shape))
        raise damage_error(
            path, f"1 to {LIMIT} values", f"a header that announces {told}"
        )
    return shape
