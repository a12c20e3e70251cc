"""Small data files for the tests of this folder."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def no_data(monkeypatch):
    """A machine without data: no directory of data sets, and an empty cache."""
    monkeypatch.delenv("TINYGRAD_CNN_DATA_DIR", raising=False)
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda name: Path("/nonexistent") / name)


@pytest.fixture
def idx_folder(tmp_path, rng):
    """A directory with mnist/: 20 training and 10 test images; and what is in them."""
    content = {}
    for split, count in (("train", 20), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        content[split] = images, labels
        (tmp_path / "mnist").mkdir(exist_ok=True)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = tmp_path / "mnist" / f"{split}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(idx_bytes(array)))
    return tmp_path, content


@pytest.fixture
def cifar_folder(tmp_path, rng):
    """A directory with six CIFAR-10 files of 3 to 8 records; and their records."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    content = {}
    for count, name in enumerate(names, 3):
        records = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        content[name] = records
        (folder / name).write_bytes(records.tobytes())
    return tmp_path, content
