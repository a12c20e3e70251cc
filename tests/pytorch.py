"""PyTorch as the oracle: asked where it is installed, else what it answered once is read.

`from_pytorch(compute)` is what `compute()` makes with PyTorch, as plain values: an `Answer`
for a Tensor, a list for a tuple. Where PyTorch is not installed, the answer comes from
`recorded/pytorch.json`, which `recorded/record.py` writes; a test whose answer is not there
is skipped. A test that needs PyTorch itself uses `torch`, and is skipped without it.

An answer is found by the name of the test, a number for each question that the test asks,
and a digest of the arrays that it is about, so that a changed test reads no old answer.
"""

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import each
import numpy as np
import pytest
from hypothesis import currently_in_test_context

RECORD = Path(__file__).parent / "recorded" / "pytorch.json"
WRITTEN = os.environ.get("TINYGRAD_CNN_RECORD")
"""A folder: answers are written there as well (for `recorded/record.py`)."""

KINDS = RuntimeError, ValueError, TypeError, IndexError, AttributeError
"""The built-in exceptions that people catch."""

_asked = Counter()


class Missing:
    """Stands for a library that is not installed: who touches it is skipped."""

    def __getattr__(self, name):
        if name.startswith(("_", "pytest")):  # what pytest looks for in every object
            raise AttributeError(name)
        pytest.skip("PyTorch is not installed", allow_module_level=True)


try:
    import torch
except ImportError:
    torch = Missing()

INSTALLED = not isinstance(torch, Missing)


@dataclass(frozen=True)
class Answer:
    """A Tensor of PyTorch's, as far as ours is compared with it."""

    array: np.ndarray
    requires_grad: bool

    @property
    def dtype(self):
        return self.array.dtype

    @property
    def shape(self):
        return self.array.shape

    def numpy(self):
        return self.array

    def detach(self):
        return self

    def item(self):
        return self.array.item()


def from_pytorch(compute, *about):
    """What `compute()` gives with PyTorch. about: arrays that it depends on."""
    key = _question(about)
    drawn = currently_in_test_context()  # by hypothesis: too many to be recorded
    if INSTALLED:
        plain = _plain(compute())
        if WRITTEN and not drawn:
            _write(key, plain)
    elif key in _record() and not drawn:
        plain = _record()[key]
    else:
        pytest.skip("PyTorch is not installed, and its answer is not recorded")
    return _revived(plain)


def refused_by_pytorch(compute, *about):
    """The built-in exceptions that catch what `compute()` raises with PyTorch."""

    def kinds():
        with pytest.raises(Exception) as refused:
            compute()
        return [k.__name__ for k in KINDS if isinstance(refused.value, k)]

    names = from_pytorch(kinds, *about)
    return tuple(k for k in KINDS if k.__name__ in names)


def answer(value):
    """A Tensor of PyTorch's, or anything else, as `from_pytorch` gives it."""
    return _revived(_plain(value))


def _question(about):
    test = os.environ["PYTEST_CURRENT_TEST"].rsplit(" ", 1)[0]
    test += "".join(f"[{case}]" for case in each.current)
    _asked[test] += 1
    digest = hashlib.sha256()
    for array in map(np.asarray, about):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"{test.partition('::')[2]} {_asked[test]} {digest.hexdigest()[:8]}"


@cache
def _record():
    return json.loads(RECORD.read_text("utf-8"))["answers"]


def _write(key, plain):
    with (Path(WRITTEN) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps([key, plain]) + "\n")


def _plain(value):
    """As JSON has it."""
    if isinstance(value, Answer):
        return _array(value.array) | {"requires_grad": value.requires_grad}
    if INSTALLED and isinstance(value, torch.Tensor):
        array = value.detach().resolve_conj().numpy()
        return _array(array) | {"requires_grad": value.requires_grad}
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {"items": [[_plain(k), _plain(v)] for k, v in value.items()]}
    assert value is None or type(value) in (bool, int, float, str), type(value)
    return value


def _array(array):
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "values": array.ravel().tolist(),
    }


def _revived(plain):
    if isinstance(plain, list):
        return [_revived(v) for v in plain]
    if not isinstance(plain, dict):
        return plain
    if "items" in plain:
        return {_revived(k): _revived(v) for k, v in plain["items"]}
    array = np.array(plain["values"], plain["dtype"]).reshape(plain["shape"])
    asks = plain.get("requires_grad")
    return array if asks is None else Answer(array, asks)
