"""Files of tensors by name, as Hugging Face writes them: `.safetensors`.

Eight bytes say how long the header is; the header is JSON: for each name a dtype, a shape
and where in the rest of the file its numbers are. The rest has no gaps and no overlaps.
Source: the format's description, github.com/huggingface/safetensors, README.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from ..core.engine import Tensor
from ..errors import DTypeError
from .arrays import Array, FormatError, array_of, bytes_of, widened

LONGEST = 100_000_000
"""Bytes of the longest header."""

DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
    "BF16": None,
}
"""NumPy's dtype for each of the format's; None: bfloat16, which becomes float32."""


def read_safetensors(content: bytes) -> dict[str, Tensor]:
    """The tensors by name. Raises FormatError."""
    if len(content) < 8:
        raise FormatError("it is shorter than the length of its header")
    (length,) = struct.unpack("<Q", content[:8])
    if length > min(LONGEST, len(content) - 8):
        raise FormatError(f"its header claims {length:,} bytes")
    header = _header(content[8 : 8 + length])
    body = memoryview(content)[8 + length :]
    found, end = {}, 0
    entries = sorted(header.items(), key=lambda item: item[1][2])
    for name, (dtype, shape, start, stop) in entries:
        itemsize = 2 if dtype is None else np.dtype(dtype).itemsize
        if (
            start != end
            or stop - start != math.prod(shape) * itemsize
            or stop > len(body)
        ):
            raise FormatError(
                f"{name!r:.60} of shape {shape} is at bytes {start:,} to {stop:,} of "
                f"{len(body):,}, where the one before ends at {end:,}"
            )
        part, end = bytes(body[start:stop]), stop
        array: Array = widened(part) if dtype is None else _array(part, dtype)
        found[name] = Tensor._wrap(array.reshape(shape))
    if end != len(body):
        raise FormatError(f"{len(body) - end:,} bytes at its end belong to no tensor")
    return {name: found[name] for name in header}


def _array(content: bytes, dtype: Any) -> Array:
    return np.frombuffer(content, np.dtype(dtype).newbyteorder("<")).astype(dtype)


def _header(text: bytes) -> dict[str, tuple[Any, list[int], int, int]]:
    """dtype, shape, start and stop of each tensor."""
    try:
        given = json.loads(text.decode("utf-8"), object_pairs_hook=_require_unique)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"its header is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise FormatError("its header is no JSON object")
    given.pop("__metadata__", None)
    found = {}
    for name, entry in given.items():
        match entry:
            case {"dtype": str(word), "shape": list(shape), "data_offsets": [a, b]}:
                sizes = [*shape, a, b]
            case _:
                raise FormatError(f"{name!r:.60} has no dtype, shape and data_offsets")
        if not all(type(n) is int and 0 <= n < 2**62 for n in sizes) or len(shape) > 32:
            raise FormatError(f"{name!r:.60} has sizes that are none: {sizes!r:.80}")
        if word not in DTYPES:
            raise FormatError(
                f"{name!r:.60} is of {word!r:.20}, which is not read here"
            )
        found[name] = (DTYPES[word], shape, a, b)
    return found


def _require_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise FormatError("its header has two values for one key")
    return found


def write_safetensors(tensors: Mapping[str, Any], file: IO[bytes]) -> None:
    """Write Tensors or arrays by name, each in row-major order.

    Raises DTypeError for a tree that is not flat, and for dtypes without a place.
    """
    words = {np.dtype(d): word for word, d in DTYPES.items() if d is not None}
    header: dict[str, Any] = {}
    parts, end = [], 0
    if not isinstance(tensors, Mapping):
        raise DTypeError(
            f"a safetensors file holds a dict, got {type(tensors).__name__}"
        )
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor | np.ndarray):
            raise DTypeError(
                f"a safetensors file holds Tensors by name, and {name!r:.60} is a "
                f"{type(value).__name__}; save model.state_dict() alone"
            )
        array = array_of(value)
        if array.dtype not in words:
            raise DTypeError(f"a safetensors file holds no {array.dtype}: {name!r:.60}")
        offsets = [end, end := end + array.nbytes]
        kind = {"dtype": words[array.dtype], "shape": list(array.shape)}
        header[name] = kind | {"data_offsets": offsets}
        parts.append(bytes_of(array))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for part in parts:
        file.write(part)
