"""Messages between the process that judges and the one that runs somebody's file.

A message is the length of its header in four bytes, the header in JSON, and the bytes of
the arrays that it announces. The other side may be hostile: nothing of a message is
executed, and whatever is not as agreed raises GarbledError.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Collection, Iterable
from typing import IO, Any

import numpy as np

from ...errors import TinygradError
from ..subject import Array

HEADER = 2**20
"""The most bytes of a header."""

BYTES = 2**30
"""The most bytes of all arrays in a message."""

FLOATS = ("<f8", "<f4")
"""The dtypes of values; their positions are int64."""

POSITIONS = "<i8"

Header = dict[str, Any]


class GarbledError(TinygradError):
    """What was received is no message."""


def send(
    stream: IO[bytes], header: Header, arrays: Iterable[Array | None] = ()
) -> None:
    """Write a message; None stays None."""
    arrays = [None if a is None else a.astype(_little(a), copy=False) for a in arrays]
    announced = [None if a is None else [a.dtype.str, a.shape] for a in arrays]
    text = json.dumps(header | {"arrays": announced}).encode()
    stream.write(struct.pack("<I", len(text)) + text)
    for a in arrays:
        if a is not None:
            stream.write(a.tobytes())
    stream.flush()


def receive(
    stream: IO[bytes], dtypes: Collection[str] = FLOATS
) -> tuple[Header, list[Array | None]]:
    """The header, and arrays of these dtypes.

    Raises EOFError if the message ends too soon, GarbledError if it is none.
    """
    (length,) = struct.unpack("<I", _exactly(stream, 4))
    if length > HEADER:
        raise GarbledError(f"a header of {length:,} bytes")
    try:
        header = json.loads(_exactly(stream, length))
        kinds = [None if a is None else _kind(a, dtypes) for a in header["arrays"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise GarbledError(f"a header that says nothing ({error})"[:200]) from error
    size = sum(
        [math.prod(shape) * dtype.itemsize for dtype, shape in filter(None, kinds)]
    )
    if size > BYTES:
        raise GarbledError(f"arrays of {size:,} bytes; the most is {BYTES:,}")
    return header, [None if kind is None else _array(stream, *kind) for kind in kinds]


def _little(a: Array) -> np.dtype[Any]:
    return a.dtype.newbyteorder("<")


def _kind(
    announced: Any, dtypes: Collection[str]
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """The dtype and the shape of an array, if they are such."""
    dtype, shape = announced
    whole = all(type(n) is int and 0 <= n <= BYTES for n in shape)
    if dtype not in dtypes or not whole or len(shape) > 32:
        raise ValueError(f"an array of {dtype!r:.20}, {shape!r:.80}")
    return np.dtype(dtype), tuple(shape)


def _array(stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    array = np.empty(math.prod(shape), dtype)
    rest = memoryview(array.view(np.uint8).data)
    while rest:
        count = stream.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        rest = rest[count:]
    return array.reshape(shape)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data
