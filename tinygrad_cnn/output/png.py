"""Pictures of pixels."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def png(pixels: NDArray[Any]) -> bytes:
    """A PNG file of bytes (RFC 2083).

    (H, W, 1) in grey, (H, W, 3) in colour, or (H, W, 4) with how opaque each pixel is.
    """
    h, w, channels = pixels.shape
    rows = np.zeros((h, 1 + w * channels), np.uint8)  # each begins with 0: no filter
    rows[:, 1:] = pixels.reshape(h, -1)
    header = struct.pack(">IIBBBBB", w, h, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(rows.tobytes()), b"IEND": b""}
    parts = [
        struct.pack(f">I4s{len(x)}sI", len(x), name, x, zlib.crc32(name + x))
        for name, x in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
