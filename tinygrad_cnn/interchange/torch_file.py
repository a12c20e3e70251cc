"""PyTorch's own files of weights, `.pth` and `.pt`, without PyTorch.

The file is a zip archive: `data.pkl` is the program that builds the tree (see `pickled`),
`data/0`, `data/1`, … are the storages, plain memory. A tensor of the tree is a storage, an
offset, a shape and strides. Nothing that the file names is imported or called.
Source: torch/serialization.py and torch/_utils.py of PyTorch 2.13, read for the format.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from ..core.engine import Tensor
from ..errors import DTypeError
from .arrays import Array, Budget, FormatError, array_of, bytes_of, widened
from .pickled import (
    Name,
    PickleError,
    State,
    instructions,
    named,
    read_pickle,
    write_pickle,
)

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files begin that PyTorch wrote before 1.6, or was told to write so."""

STORAGES = {
    "Float": np.float32,
    "Double": np.float64,
    "Half": np.float16,
    "BFloat16": None,
    "Char": np.int8,
    "Short": np.int16,
    "Int": np.int32,
    "Long": np.int64,
    "Byte": np.uint8,
    "Bool": np.bool_,
    "ComplexFloat": np.complex64,
    "ComplexDouble": np.complex128,
}
"""The dtype of each kind of storage; None: bfloat16, which NumPy has not."""

DTYPES = {
    **{str(np.dtype(d)): d for d in STORAGES.values() if d is not None},
    **{"uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64},
}


class Storage:
    """Memory that tensors are parts of."""

    def __init__(self, array: Array) -> None:
        self.array = array


class Reader:
    """An archive whose tree is being built."""

    def __init__(self, archive: zipfile.ZipFile, prefix: str, size: int) -> None:
        self.archive, self.prefix = archive, prefix
        self.budget = Budget(size)
        self.storages: dict[tuple[str, str], Storage] = {}
        if self.entry("byteorder", b"little") != b"little":
            raise FormatError(
                "it was written on a machine with the other order of bytes"
            )

    def entry(self, name: str, otherwise: bytes | None = None) -> bytes:
        """The content of an entry."""
        path = f"{self.prefix}/{name}"
        if path not in self.archive.NameToInfo:
            if otherwise is None:
                raise FormatError(f"it has no entry {path}")
            return otherwise
        return self.archive.read(path)

    def storage(self, identifier: Any) -> Storage:
        """The storage that the program asks for: ("storage", kind, key, device, length)."""
        match identifier:
            case (
                "storage",
                Name(value=("storage", kind)),
                str(key),
                str(),
                int(length),
            ):
                pass
            case _:
                raise PickleError(
                    f"it asks for {identifier!r:.80}, which is no storage"
                )
        if (kind, key) not in self.storages:
            content = self.entry(f"data/{key}")
            dtype = np.uint8 if kind == "Untyped" else STORAGES[kind]
            itemsize = 2 if dtype is None else np.dtype(dtype).itemsize
            if length < 0 or length * itemsize != len(content):
                raise FormatError(
                    f"storage {key} has {len(content):,} bytes, and {length:,} numbers of "
                    f"{itemsize} are claimed"
                )
            if dtype is None:
                array: Array = widened(content)
            else:
                array = np.frombuffer(content, np.dtype(dtype).newbyteorder("<"))
            self.storages[kind, key] = Storage(array)
        return self.storages[kind, key]

    def tensor(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any = False,
        hooks: Any = None,
        dtype: Any = None,
        metadata: Any = None,
    ) -> Tensor:
        """A part of a storage, in memory of its own."""
        if not isinstance(storage, Storage):
            raise PickleError("a tensor without a storage")
        memory = storage.array if dtype is None else storage.array.view(dtype)
        sizes = [offset, *shape, *strides]
        whole = all(type(n) is int and 0 <= n < 2**62 for n in sizes)
        if not whole or len(shape) != len(strides) or len(shape) > 32:
            raise FormatError(
                f"a tensor of shape {shape!r:.60} and strides {strides!r:.60}"
            )
        last = sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if 0 not in shape and offset + last >= memory.size:
            raise FormatError(
                f"a tensor of shape {list(shape)} reaches beyond its storage"
            )
        itemsize = memory.dtype.itemsize
        self.budget.take(shape, itemsize)
        start = offset if 0 not in shape else 0
        steps = [n * itemsize for n in strides]
        part = np.lib.stride_tricks.as_strided(memory[start:], shape, steps)
        native = part.dtype.newbyteorder("=")
        return Tensor._wrap(np.array(part, native, order="C")).requires_grad_(
            bool(requires_grad) and native.kind in "fc"
        )

    def names(self) -> dict[str, Name]:
        """All that the program may name."""
        tensor = "torch._utils _rebuild_tensor"
        calls: dict[str, Callable[..., Any]] = {
            "collections OrderedDict": State,
            f"{tensor}_v2": self.tensor,
            f"{tensor}_v3": self._with_dtype,
            "torch._utils _rebuild_parameter": self._parameter,
            "torch._utils _rebuild_parameter_with_state": self._parameter,
            "torch Size": tuple,
            "torch device": _device,
            "__builtin__ set": set,
            "builtins set": set,
        }
        found = {name: Name(name, call) for name, call in calls.items()}
        for kind in (*STORAGES, "Untyped"):
            for module in ("torch", "torch.storage"):
                name = f"{module} {kind}Storage"
                found[name] = Name(name, value=("storage", kind))
        for word, dtype in DTYPES.items():
            found[f"torch {word}"] = Name(f"torch {word}", value=np.dtype(dtype))
        return found

    def _with_dtype(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any,
        hooks: Any,
        dtype: Any,
        metadata: Any = None,
    ) -> Tensor:
        if not isinstance(dtype, np.dtype):
            raise PickleError("a tensor of no known dtype")
        return self.tensor(storage, offset, shape, strides, requires_grad, hooks, dtype)

    @staticmethod
    def _parameter(tensor: Any, requires_grad: Any = True, *more: Any) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise PickleError("a parameter that is no tensor")
        return tensor.requires_grad_(bool(requires_grad) and tensor.dtype.kind in "fc")


def _device(kind: Any, index: Any = None) -> str:
    """The name of a device; what was on it is in memory now."""
    return f"{kind}" if index is None else f"{kind}:{index}"


def find_prefix(names: Mapping[str, Any]) -> str | None:
    """The folder of the archive, if these are the entries of a file of PyTorch's."""
    ends = "/data.pkl"
    found = [n.removesuffix(ends) for n in names if n.endswith(ends)]
    return found[0] if len(found) == 1 else None


def read_torch(archive: zipfile.ZipFile, size: int) -> Any:
    """The tree in an archive of `size` bytes. Raises FormatError or PickleError."""
    prefix = find_prefix(archive.NameToInfo)
    if prefix is None:
        raise FormatError("it has no data.pkl")
    reader = Reader(archive, prefix, size)
    return read_pickle(reader.entry("data.pkl"), reader.names(), reader.storage)


def write_torch(tree: Any, file: IO[bytes]) -> None:
    """Write a tree that `torch.load(…, weights_only=True)` reads.

    Arrays become tensors, NumPy's numbers Python's. Raises DTypeError for what has no place
    in such a file.
    """
    storages: list[bytes] = []

    def leaf(value: Any) -> bytes:
        if isinstance(value, np.generic):
            return instructions(value.item(), leaf)
        if not isinstance(value, Tensor | np.ndarray):
            raise DTypeError(
                f"a .pth file holds dicts, lists, tuples, None, bool, int, float, str, "
                f"Tensors and arrays, and no {type(value).__name__}"
            )
        array = array_of(value)
        kinds = [k for k, d in STORAGES.items() if d is not None and array.dtype == d]
        if not kinds:
            raise DTypeError(f"a .pth file holds no tensor of {array.dtype}")
        key = str(len(storages))
        storages.append(bytes_of(array))
        strides = [math.prod(array.shape[i + 1 :]) for i in range(array.ndim)]
        identifier = b"(" + instructions("storage", leaf)
        identifier += named("torch", f"{kinds[0]}Storage")
        identifier += b"".join(
            [instructions(v, leaf) for v in (key, "cpu", array.size)]
        )
        wants = isinstance(value, Tensor) and value.requires_grad
        found = named("torch._utils", "_rebuild_tensor_v2") + b"(" + identifier + b"tQ"
        rest = (0, array.shape, tuple(strides), wants)
        found += b"".join([instructions(v, leaf) for v in rest])
        return found + named("collections", "OrderedDict") + b")RtR"

    program = write_pickle(tree, leaf)
    entries = {"data.pkl": program, "byteorder": b"little", "version": b"3\n"}
    entries |= {f"data/{i}": content for i, content in enumerate(storages)}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)
