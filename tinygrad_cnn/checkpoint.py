"""Trees of plain values and arrays in one file, which is there whole or not at all.

The file is a zip archive without compression, and a readable `.npz`: `tree.json` holds the
tree, and one `.npy` entry each array that the tree names. What JSON has no word for is an
object with one key, its tag:

    {"$array": name}                   an array, from the entry `name`
    {"$tensor": [name, requires_grad]} a Tensor
    {"$tuple": [...]}                  a tuple
    {"$dict": [[key, value], ...]}     a dict with a key that is an int or begins with "$"
    {"$state": [dict, metadata]}       a module's state_dict, and its `_metadata`
    {"$int": "0x..."}                  an int of more than 64 bits
    {"$float": "nan"}                  a float that is not finite

The archive's comment is the SHA-256 of all names and contents. Reading executes nothing,
unpacks nothing to disk, and takes memory in proportion to the file's size only.

`load` and `save` know other formats as well (see `interchange`): PyTorch's `.pth`,
safetensors, and NumPy's `.npz`. What is read is told by its content, what is written by the
ending of its name.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import IO, Any, NoReturn

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .core.engine import Tensor
from .core.methods.memory import check_device
from .errors import CheckpointError, DTypeError
from .interchange import safetensors, torch_file
from .interchange.arrays import array_of
from .output.files import replacing as replacing

Array = NDArray[Any]
Place = str | os.PathLike[str] | IO[bytes]

FORMAT, VERSION, TREE = "tinygrad_cnn.checkpoint", 1, "tree.json"
MAX_DEPTH = 50
_READABLE = re.compile(r"[\w-]{1,60}(\.[\w-]{1,60}){0,9}", re.ASCII)


def save(obj: Any, f: Place) -> None:
    """Write a tree to the path (or open binary file) `f`, as `torch.save`.

    The tree: dicts with str and int keys, lists, tuples, None, bool, int, float, str,
    NumPy numbers (which become Python's), arrays and Tensors of numbers or bools. A name
    that ends in .pth or .pt gives a file that `torch.load` opens (arrays become Tensors
    there); .safetensors and .npz hold Tensors by name, as a state_dict has them. A file
    already at that path stays as it is until the new one is safely on the disk, and for
    good if that fails. One process at a time may write to a path.
    Raises DTypeError for anything else in the tree, OSError where writing fails.
    """
    if not isinstance(f, str | os.PathLike):
        _write(obj, f)
        return
    ending = os.path.splitext(os.fspath(f))[1].lower()
    with replacing(f) as file:
        WRITERS.get(ending, _write)(obj, file)


def load(f: Place, map_location: Any = None, weights_only: bool = True) -> Any:
    """The tree in the path (or open binary file) `f`, as `torch.load`.

    Files of `save`, of PyTorch (.pth, .pt), of safetensors, and NumPy's .npz; the last two
    give a dict of Tensors. Arrays and Tensors come back in new memory, as they were in
    dtype, shape and values; bfloat16, which NumPy has not, as float32.
    map_location: None or "cpu". weights_only: accepted; nothing is ever executed.
    Raises CheckpointError for a file that is damaged or is none of these.
    """
    check_device(map_location)
    with open(f, "rb") if isinstance(f, str | os.PathLike) else nullcontext(f) as file:
        name = getattr(file, "name", "the file")
        kind = "is damaged or no checkpoint of tinygrad_cnn"
        try:
            kind, read = _recognise(file)
            return read(file)
        except Exception as error:  # whatever a hostile file sets off
            raise CheckpointError(f"{name} {kind}: {error}") from error


def weights_in(tree: Any) -> Mapping[str, Any]:
    """The Tensors by name in a tree: itself, or where checkpoints usually have them.

    That is under "model", "state_dict", "model_state_dict" or "net". A "module." before
    every name, which PyTorch's DataParallel leaves there, is taken away.
    Raises CheckpointError if there are none.
    """
    places = [tree]
    if isinstance(tree, Mapping):
        places += [tree.get(key) for key in WEIGHTS]
    for found in places:
        if isinstance(found, Mapping) and found and all(map(_is_weight, found.items())):
            if all(name.startswith("module.") for name in found):
                return {k.removeprefix("module."): v for k, v in found.items()}
            return found
    raise CheckpointError(
        "expected a state dict, which has names and Tensors or arrays, or a checkpoint "
        f"that has one as {', '.join(map(repr, WEIGHTS))}"
    )


WEIGHTS = ("model", "state_dict", "model_state_dict", "net")
"""Where the checkpoints of others have the weights."""


def _is_weight(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor | np.ndarray)


def _recognise(file: IO[bytes]) -> tuple[str, Callable[[IO[bytes]], Any]]:
    """What is to be said if the file cannot be read, and what reads it."""
    start = file.read(512)
    file.seek(0)
    if start.startswith(torch_file.LEGACY) or start[257:262] == b"ustar":
        raise ValueError(
            "it is of the format that PyTorch wrote before 1.6; in PyTorch, "
            'torch.save(torch.load("old.pth"), "new.pth") writes the present one'
        )
    if start[8:9] == b"{" and not start.startswith(b"PK"):
        kind = "is damaged, or no file of safetensors"
        return kind, lambda file: safetensors.read_safetensors(file.read())
    with zipfile.ZipFile(file) as archive:
        names = archive.NameToInfo
    if TREE in names or not names:
        return "is damaged or no checkpoint of tinygrad_cnn", _read
    if torch_file.find_prefix(names) is not None:
        return "is no file of weights by PyTorch that can be read", _read_torch
    return "is no archive of NumPy's that can be read", _read_npz


def _read_torch(file: IO[bytes]) -> Any:
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        _check_entries(archive, size)
        return torch_file.read_torch(archive, size)


def _read_npz(file: IO[bytes]) -> dict[str, Tensor]:
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        _check_entries(archive, size)
        odd = [name for name in archive.namelist() if not name.endswith(".npy")]
        if odd:
            raise ValueError(f"its entry {odd[0]!r:.60} is no array")
        arrays = {name[:-4]: _unpack(archive.read(name)) for name in archive.namelist()}
    return {name: Tensor._wrap(array) for name, array in arrays.items()}


def _write_npz(tensors: Any, file: IO[bytes]) -> None:
    if not isinstance(tensors, Mapping):
        raise DTypeError(f"an .npz file holds a dict, got {type(tensors).__name__}")
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor | np.ndarray):
            raise _unfit_error(value, (name,))
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in tensors.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            archive.writestr(entry, _pack(array_of(value)))


WRITERS: dict[str, Callable[[Any, IO[bytes]], None]] = {
    ".pth": torch_file.write_torch,
    ".pt": torch_file.write_torch,
    ".safetensors": safetensors.write_safetensors,
    ".npz": _write_npz,
}
"""What writes a file whose name has this ending; any other is a checkpoint of ours."""


def _write(obj: Any, file: IO[bytes]) -> None:
    arrays: dict[str, Array] = {}
    tree = {"format": FORMAT, "version": VERSION, "tree": _encode(obj, (), arrays)}
    text = json.dumps(tree, allow_nan=False).encode()
    digest = hashlib.sha256()
    with zipfile.ZipFile(file, "w") as archive:
        for name in (TREE, *arrays):
            content = text if name == TREE else _pack(arrays[name])
            archive.writestr(zipfile.ZipInfo(name), content)
            digest.update(name.encode() + b"\0")
            digest.update(content)
        archive.comment = digest.hexdigest().encode()


def _pack(array: Array) -> bytes:
    buffer = io.BytesIO()
    npy.write_array(buffer, np.asarray(array, order="C"), (1, 0), allow_pickle=False)
    return buffer.getvalue()


def _encode(value: Any, path: tuple[Any, ...], arrays: dict[str, Array]) -> Any:
    """The tree as JSON values; its arrays go to `arrays`."""
    if len(path) > MAX_DEPTH:
        raise DTypeError(f"a checkpoint holds no tree deeper than {MAX_DEPTH}")
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else {"$int": hex(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, list | tuple):
        items = [_encode(v, (*path, i), arrays) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, dict):
        encoded = _encode_dict(value, path, arrays)
        if (metadata := getattr(value, "_metadata", None)) is None:
            return encoded
        return {"$state": [encoded, _encode(dict(metadata), (), arrays)]}
    if isinstance(value, Tensor):
        return {"$tensor": [_put(value._array, path, arrays), value.requires_grad]}
    if isinstance(value, np.ndarray):
        return {"$array": _put(value, path, arrays)}
    raise _unfit_error(value, path)


def _encode_dict(value: Any, path: tuple[Any, ...], arrays: dict[str, Array]) -> Any:
    for key in value:
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise _unfit_error(key, path)
    pairs = [(k, _encode(v, (*path, k), arrays)) for k, v in value.items()]
    if all(isinstance(k, str) and not k.startswith("$") for k in value):
        return dict(pairs)
    return {"$dict": [[_encode(k, (), arrays), v] for k, v in pairs]}


def _unfit_error(value: Any, path: tuple[Any, ...]) -> DTypeError:
    place = ".".join(map(str, path)) or "the top"
    kind = getattr(value, "dtype", type(value).__name__)
    return DTypeError(
        f"a checkpoint cannot hold the {kind} at {place}; it holds dicts with str and "
        "int keys, lists, tuples, None, bool, int, float, str, and arrays and Tensors "
        "of numbers or bools"
    )


def _put(array: Array, path: tuple[Any, ...], arrays: dict[str, Array]) -> str:
    if array.dtype.kind not in "biufc":
        raise _unfit_error(array, path)
    name = ".".join(map(str, path))
    if not _READABLE.fullmatch(name) or f"{name}.npy" in arrays:
        name = f"#{len(arrays)}"
    arrays[f"{name}.npy"] = array
    return name


def _read(file: IO[bytes]) -> Any:
    size = file.seek(0, os.SEEK_END)
    digest = hashlib.sha256()
    arrays: dict[str, Array] = {}
    tree = None
    with zipfile.ZipFile(file) as archive:
        if TREE not in archive.NameToInfo:
            raise ValueError(f"it has no entry {TREE}")
        _check_entries(archive, size)
        for entry in archive.infolist():
            content = archive.read(entry)
            digest.update(entry.filename.encode() + b"\0")
            digest.update(content)
            if entry.filename == TREE:
                tree = _parse_tree(content)
            else:
                arrays[entry.filename] = _unpack(content)
        if archive.comment != digest.hexdigest().encode():
            raise ValueError("its SHA-256 is not that of its content")
    value = _decode(tree, arrays)
    if arrays:
        raise ValueError(f"its tree does not name the array {next(iter(arrays))}")
    return value


def _check_entries(archive: zipfile.ZipFile, size: int) -> None:
    entries = archive.infolist()
    names = {entry.filename for entry in entries}
    if len(names) < len(entries):
        raise ValueError("two of its entries have the same name")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("an entry is compressed")
    # Entries that overlap could otherwise name the same bytes a million times.
    if sum(entry.file_size for entry in entries) > size:
        raise ValueError("its entries claim more bytes than there are")


def _parse_tree(content: bytes) -> Any:
    tree = json.loads(
        content, object_pairs_hook=_require_unique, parse_constant=_refuse
    )
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise ValueError(f"{TREE} does not say that its format is {FORMAT}")
    if tree.get("version") != VERSION:
        raise ValueError(
            f"it has version {tree.get('version')!r}, and this package reads {VERSION}"
        )
    return tree["tree"]


def _require_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"{TREE} has two values for one key")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} in {TREE} is no JSON")


def _unpack(content: bytes) -> Array:
    """The array of an `.npy` entry, in memory of its own."""
    file = io.BytesIO(content)
    if npy.read_magic(file) != (1, 0):
        raise ValueError("an array has an unknown version of the .npy format")
    shape, fortran, dtype = npy.read_array_header_1_0(file)
    start = file.tell()
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biufc" or fortran or size != len(content) - start:
        raise ValueError(f"an array of {dtype} and shape {shape} is none of ours")
    return np.ndarray(shape, dtype, content, start).copy()


def _decode(node: Any, arrays: dict[str, Array]) -> Any:
    """The value of a node of the JSON tree; what it takes from `arrays` is gone there."""
    if isinstance(node, list):
        return [_decode(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    if not any(key.startswith("$") for key in node):
        return {k: _decode(v, arrays) for k, v in node.items()}
    ((tag, content),) = node.items()
    match tag, content:
        case "$array", str():
            return arrays.pop(f"{content}.npy")
        case "$tensor", [str(name), bool(requires_grad)]:
            array = arrays.pop(f"{name}.npy")
            return Tensor._wrap(array).requires_grad_(requires_grad)
        case "$tuple", list():
            return tuple(_decode(content, arrays))
        case "$dict", list():
            pairs = _decode(content, arrays)
            return _require_unique([(key, value) for key, value in pairs])
        case "$state", [dict() as state, dict() as metadata]:
            found: Any = OrderedDict(_decode(state, arrays))
            found._metadata = OrderedDict(_decode(metadata, arrays))
            return found
        case "$int", str():
            return int(content, 16)
        case "$float", str():
            return float(content)
    raise ValueError(f"{tag} is an unknown tag, or its content is none for it")
