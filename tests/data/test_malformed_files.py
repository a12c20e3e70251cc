"""Every damaged, hostile or wrong file is refused: by name, fast, in little memory."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zlib

import numpy as np
import pytest
from each import for_each

from tinygrad_cnn.data import MNIST, files
from tinygrad_cnn.errors import DatasetError

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (3, 28, 28), dtype=np.uint8).tobytes()
LABELS = bytes([3, 1, 4])
IMAGE_FILE = struct.pack(">4I", 0x803, 3, 28, 28) + IMAGES
LABEL_FILE = struct.pack(">2I", 0x801, 3) + LABELS
GOOD = {"images": IMAGE_FILE, "labels": LABEL_FILE}
READ = {
    "images": files.read_images,
    "labels": files.read_labels,
    "batch": files.read_batch,
}
RECORDS = b"".join(bytes([k]) + RNG.bytes(3072) for k in (9, 0, 5))
PAGE = b"<!DOCTYPE html><html><body>503 Service Unavailable</body></html>"


def packed(content):
    return gzip.compress(content, mtime=0)


def flipped(content, position, bit):
    changed = bytearray(content)
    changed[position] ^= 1 << bit
    return bytes(changed)


def unpacked(content):
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None


def malformed_idx():
    for role, good in GOOD.items():
        header = 16 if role == "images" else 8
        for position in range(header):
            for bit in (0, 3, 5, 7):
                bad = flipped(good, position, bit)
                yield role, f"header byte {position} bit {bit}", bad
                yield role, f"packed header byte {position} bit {bit}", packed(bad)
        gz = packed(good)
        for part in np.linspace(0, 1, 12, endpoint=False):
            yield role, f"first {part:.0%}", good[: int(part * len(good))]
            yield role, f"first {part:.0%} packed", packed(good)[: int(part * len(gz))]
        for cut in (1, 4, 8):
            yield role, f"gzip trailer short by {cut}", gz[:-cut]
        for position in (0, 1, 2, *range(10, len(gz), max(1, len(gz) // 30))):
            # A bit that only pads a byte of the packed form changes nothing.
            if unpacked(bad := flipped(gz, position, 4)) != good:
                yield role, f"damaged gzip byte {position}", bad
        for name, tail in {
            "a byte": b"\0",
            "a second member": gz,
            "an empty member": packed(b""),
            "a page": PAGE,
        }.items():
            yield role, f"{name} behind it", good + tail
            yield role, f"{name} behind the packed one", gz + tail
            yield role, f"{name} packed behind it", packed(good + tail)
        yield role, "packed twice", packed(gz)
        yield role, "zlib", zlib.compress(good)
        yield role, "bz2", bz2.compress(good)
        yield role, "xz", lzma.compress(good)
        yield role, "a page", PAGE
        yield role, "a packed page", packed(PAGE)
        yield role, "text", b"404: Not Found"
        yield role, "nothing", b""
        yield role, "nothing, packed", packed(b"")
        yield role, "a pickle", b"\x80\x04\x95" + bytes(40)
        yield role, "an array file", b"\x93NUMPY" + bytes(100)
        yield role, "a huge count", good[:4] + b"\xff" * (header - 4) + good[header:]
        yield role, "no items", good[:4] + bytes(4) + good[8:header]
    yield "images", "swapped", LABEL_FILE
    yield "labels", "swapped", IMAGE_FILE
    for shape in ((3, 14, 56), (3, 784, 1), (6, 28, 14), (12, 14, 14), (2352, 1, 1)):
        header = struct.pack(">4I", 0x803, *shape)
        yield "images", f"the same number of pixels as {shape}", header + IMAGES
    for position, label in ((0, 10), (1, 255), (2, 128)):
        labels = bytearray(LABEL_FILE)
        labels[8 + position] = label
        yield "labels", f"label {label} at {position}", bytes(labels)


def malformed_cifar():
    for size in (0, 1, 3072, 3074, 6145, 9218):
        yield "batch", f"{size} bytes", RECORDS[:size]
    for record, label in ((0, 10), (1, 255), (2, 100)):
        bad = bytearray(RECORDS)
        bad[3073 * record] = label
        yield "batch", f"label {label} in record {record}", bytes(bad)
    yield "batch", "one byte more", RECORDS + b"\0"
    yield "batch", "one byte shifted", b"\xff" + RECORDS[:-1]
    yield "batch", "packed", packed(RECORDS)
    yield "batch", "a pickle", b"\x80\x02}q\x01(U\x0bbatch_label" + RECORDS
    yield "batch", "a pickle of whole records", b"\x80" + RECORDS[1:]
    yield "batch", "a page", PAGE


CASES = [*malformed_idx(), *malformed_cifar()]


def test_there_are_at_least_300_malformed_files():
    assert len({(role, content) for role, _, content in CASES}) >= 300


@for_each(
    ("role", "content"),
    [(role, content) for role, _, content in CASES],
    ids=[f"{role}: {name}" for role, name, _ in CASES],
)
def test_a_malformed_file_is_refused_by_name(role, content, tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"expected .*, found .*; delete") as error:
        READ[role](path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_files_that_the_malformed_ones_were_made_from_are_read(tmp_path):
    for role, good in GOOD.items():
        for content in (good, packed(good)):
            (tmp_path / role).write_bytes(content)
            assert READ[role](tmp_path / role).tobytes()[:8] != b""
    (tmp_path / "batch").write_bytes(RECORDS)
    assert files.read_batch(tmp_path / "batch")[1].tolist() == [9, 0, 5]


def test_an_error_tells_a_web_page_and_swapped_files_from_mere_damage(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(PAGE)
    with pytest.raises(DatasetError, match="web page"):
        files.read_images(path)
    path.write_bytes(LABEL_FILE)
    with pytest.raises(DatasetError, match="swapped"):
        files.read_images(path)
    path.write_bytes(b"\x80\x02}q\x01")
    with pytest.raises(DatasetError, match="pickle"):
        files.read_batch(path)


def test_a_directory_or_a_missing_file_is_a_dataset_error(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        for read in READ.values():
            with pytest.raises(DatasetError, match="expected a readable file"):
                read(path)


def test_images_and_labels_that_differ_in_number_are_refused(idx_folder):
    root, _ = idx_folder
    path = root / "mnist" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(packed(LABEL_FILE))
    with pytest.raises(DatasetError, match=r"20 images .* 3 labels"):
        MNIST(root)


def bomb(header, mebibytes):
    """A gzip file of `header` and zeros, about a thousandth of its content in size."""
    compress = zlib.compressobj(9, wbits=31)
    start = compress.compress(header) + compress.flush(zlib.Z_FULL_FLUSH)
    block = compress.compress(bytes(2**20)) + compress.flush(zlib.Z_FULL_FLUSH)
    # A block after a full flush refers to nothing before it, so it may be repeated.
    return start + block * mebibytes + compress.flush()


@pytest.mark.parametrize("shape", [(60000, 28, 28), (13_000_000, 28, 28), (3, 28, 28)])
def test_of_a_gzip_bomb_no_more_is_unpacked_than_it_announces(
    tmp_path, shape, unpacking
):
    path = tmp_path / "bomb.gz"
    path.write_bytes(bomb(struct.pack(">4I", 0x803, *shape), 10 * 1024))
    tracemalloc.start()
    with pytest.raises(DatasetError):
        files.read_images(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    announced = np.prod(shape) if shape != (13_000_000, 28, 28) else 0  # too many
    assert sum(unpacking) <= 16 + announced + 1
    assert peak < 64 * 2**20


@pytest.fixture
def unpacking(monkeypatch):
    """A list of how many bytes each step of unpacking gave."""
    steps, start = [], zlib.decompressobj

    class Counting:
        def __init__(self, *args, **options):
            self.inner = start(*args, **options)

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def decompress(self, *args):
            found = self.inner.decompress(*args)
            steps.append(len(found))
            return found

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    return steps


# Archives


def member(name, content=RECORDS, **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def archive(*members, form=tarfile.GNU_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


NAME = "cifar-10-batches-bin/test_batch.bin"
OTHER = "cifar-10-batches-bin/data_batch_1.bin"


def lying_size(size):
    header = bytearray(archive(member(NAME))[:512])
    octal = b"%011o\0" % size
    header[124:136] = octal if len(octal) == 12 else b"\x80" + size.to_bytes(11)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + RECORDS + bytes(10240)


def linked(kind, target):
    return archive(member(OTHER), member(NAME, b"", type=kind, linkname=target))


HOSTILE = {
    "a symbolic link": linked(tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link out": linked(tarfile.LNKTYPE, "../../etc/passwd"),
    "a hard link to a member": linked(tarfile.LNKTYPE, OTHER),
    "a named pipe": archive(member(NAME, b"", type=tarfile.FIFOTYPE)),
    "a device": archive(member(NAME, b"", type=tarfile.CHRTYPE)),
    "a directory": archive(member(NAME, b"", type=tarfile.DIRTYPE)),
    "a sparse file": archive(member(NAME, b"", type=tarfile.GNUTYPE_SPARSE)),
    "two of one name": archive(member(NAME), member(NAME)),
    "an absolute path": archive(member("/" + NAME)),
    "a path upwards": archive(member("../" + NAME)),
    "a path with a detour": archive(member("cifar-10-batches-bin/../" + NAME)),
    "another folder": archive(member("cifar-10-batches-py/test_batch.bin")),
    "the python version": archive(member("cifar-10-batches-py/test_batch")),
    "no member": archive(),
    "an empty file": archive(member(NAME, b"")),
    "a broken record": archive(member(NAME, RECORDS[:-1])),
    "a label of 10": archive(member(NAME, b"\x0a" + RECORDS[1:])),
    "a pickle": archive(member(NAME, b"\x80\x02}q\x01")),
    "a size beyond the end": lying_size(3073 * 9000),
    "a size of 8 GiB": lying_size(8**11 - 1),
    "a size beyond 10,000 records": lying_size(3073 * 10_001),
    "a truncated member": archive(member(NAME))[:5000],
    "a truncated header": archive(member(NAME))[:300],
    "a damaged header": flipped(archive(member(NAME)), 20, 2),
    "a negative size": lying_size(-8),
    "a size in binary": lying_size(2**80),
    "ten thousand members": archive(*[member(f"{i}", b"") for i in range(10_000)]),
    "no tar": RECORDS,
    "nothing": b"",
    "a page": PAGE,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_nothing_is_written(name, tmp_path):
    path = tmp_path / "folder" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    path.write_bytes(packed(HOSTILE[name]))
    with pytest.raises(DatasetError, match=r"expected .*, found "):
        files.read_archive(path, ["test_batch.bin"])
    assert [p.name for p in tmp_path.rglob("*")] == ["folder", path.name]


@pytest.mark.parametrize(
    "content",
    [
        archive(member(NAME)),
        PAGE,
        b"",
        packed(archive(member(NAME)))[:-8],
        packed(archive(member(NAME))) + b"x",
        flipped(packed(archive(member(NAME))), 5000, 1),
    ],
    ids=["not packed", "a page", "nothing", "no checksum", "a tail", "a flipped bit"],
)
def test_an_archive_with_damaged_packing_is_refused(content, tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"expected .*, found "):
        files.read_archive(path, ["test_batch.bin"])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, None])
def test_members_that_would_be_written_elsewhere_are_never_written(form, tmp_path):
    path = tmp_path / "folder" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    evil = [member("../evil", b"evil"), member(str(tmp_path / "evil2"), b"evil")]
    content = archive(*evil, member(NAME), form=form or tarfile.DEFAULT_FORMAT)
    path.write_bytes(packed(content))
    [(_, labels)] = files.read_archive(path, ["test_batch.bin"])
    assert labels.tolist() == [9, 0, 5]
    assert [p.name for p in tmp_path.rglob("*")] == ["folder", path.name]


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    info = tarfile.TarInfo("zeros")
    info.size = 10 * 2**30
    path.write_bytes(bomb(info.tobuf(), 10 * 1024))
    tracemalloc.start()
    with pytest.raises(DatasetError, match="at most"):
        files.read_archive(path, ["test_batch.bin"])
    assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    tracemalloc.stop()
