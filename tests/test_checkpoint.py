"""Checkpoints: what goes in comes out, whatever happens to the file or the process."""

import errno
import hashlib
import io
import json
import math
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tg
from tinygrad_cnn import checkpoint
from tinygrad_cnn.checkpoint import load, save
from tinygrad_cnn.errors import CheckpointError, DTypeError
from tinygrad_cnn.output import files

# ------------------------------------------------------------------------- round trips

numbers = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
)
arrays = hnp.arrays(numbers, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**70),
    st.floats(),
    any_text,
    arrays,
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(
            any_text | st.just("$array") | st.integers(), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


def same(a, b):
    """Equal in type and to the last bit, NaN and the sign of 0 included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        alike = a.dtype == b.dtype and a.shape == b.shape
        return alike and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        alike = list(a) == list(b) and all(type(k) is type(m) for k, m in zip(a, b))  # noqa: B905
        return alike and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or str(a) == str(b)
    return a == b


def packed(tree):
    file = io.BytesIO()
    save(tree, file)
    return file.getvalue()


def unpacked(content):
    return load(io.BytesIO(content))


@given(trees)
def test_a_tree_comes_back_as_it_was(tree):
    assert same(unpacked(packed(tree)), tree)


def test_an_integer_of_ten_thousand_digits_comes_back():
    value = 7**12000
    assert unpacked(packed({"a": [value, -value]})) == {"a": [value, -value]}


def test_an_optimisers_state_keeps_its_integer_keys_and_tuples():
    state = {
        "state": {0: {"step": 3, "exp_avg": np.ones(2)}, 11: {}},
        "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 11]}],
    }
    assert same(unpacked(packed(state)), state)


def test_tensors_come_back_as_tensors_that_require_gradients_as_before():
    tree = {"w": tg.tensor([1.5, -2.0], requires_grad=True), "n": tg.tensor([1, 2])}
    back = unpacked(packed(tree))
    assert all(type(t) is tg.Tensor for t in back.values())
    assert [t.requires_grad for t in back.values()] == [True, False]
    assert [t.dtype for t in back.values()] == [np.float32, np.int64]
    assert back["w"].tolist() == [1.5, -2.0]
    assert back["n"].tolist() == [1, 2]


def test_numpy_numbers_become_those_of_python():
    back = unpacked(
        packed([np.float32(0.5), np.int8(-3), np.bool_(True), np.float64(2)])
    )
    assert same(back, [0.5, -3, True, 2.0])


@given(arrays)
def test_arrays_come_back_writable_and_with_memory_of_their_own(array):
    back = unpacked(packed(array))
    assert back.flags.writeable
    assert back.flags.owndata


@given(arrays)
def test_the_memory_layout_does_not_change_the_file(array):
    padded = np.zeros([2 * n for n in array.shape], array.dtype)
    strided = padded[(..., *[slice(None, None, 2)] * array.ndim)]
    strided[...] = array
    flip = (..., *[slice(None, None, -1)] * array.ndim)
    plain = packed({"a": array})
    for other in (np.array(array, order="F"), strided, array[flip].copy()[flip]):
        assert packed({"a": other}) == plain


def test_numpy_reads_the_arrays_under_their_dotted_names(tmp_path):
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    tree = {"model": {"conv1.weight": tg.tensor(weights)}, "odd name": np.ones(1)}
    save(tree, tmp_path / "a.ckpt")
    with np.load(tmp_path / "a.ckpt", allow_pickle=False) as archive:
        assert archive["model.conv1.weight"].tolist() == weights.tolist()


def test_names_that_fall_together_stay_apart():
    tree = {"a.b": np.zeros(1), "a": {"b": np.ones(1)}, "#0": np.full(1, 2.0), "": {}}
    assert same(unpacked(packed(tree)), tree)


def test_paths_open_files_and_torch_s_arguments_are_taken(tmp_path):
    tg.save({"a": 1}, tmp_path / "a.ckpt")
    assert tg.load(str(tmp_path / "a.ckpt"), map_location="cpu", weights_only=True) == {
        "a": 1
    }
    with open(tmp_path / "a.ckpt", "rb") as file:
        assert tg.load(file) == {"a": 1}
    with pytest.raises(DTypeError, match="cuda"):
        tg.load(tmp_path / "a.ckpt", map_location="cuda")


def test_a_missing_file_is_reported_as_python_does(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.ckpt")


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"bytes",
        1j,
        object(),
        print,
        np.array([None]),
        np.array(["text"]),
        np.zeros(1, "M8[s]"),
        np.zeros(1, [("a", "f4")]),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_refused_with_its_place(value, tmp_path):
    with pytest.raises(DTypeError, match=r"cannot hold the .* at model\.x"):
        save({"model": {"x": value}}, tmp_path / "a.ckpt")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("key", [None, True, 1.5, (1,)])
def test_keys_are_strings_or_integers(key):
    with pytest.raises(DTypeError, match="cannot hold"):
        packed({key: 1})


def test_a_tree_within_itself_is_refused():
    tree = []
    tree.append(tree)
    with pytest.raises(DTypeError, match="deeper than 50"):
        packed(tree)


@pytest.mark.parametrize("wrap", [lambda t: [t], lambda t: (t,), lambda t: {0: t}])
def test_the_deepest_tree_that_can_be_saved_can_be_loaded(wrap):
    tree = 1
    for _ in range(checkpoint.MAX_DEPTH):
        tree = wrap(tree)
    assert unpacked(packed(tree)) == tree


# --------------------------------------------------------------------- malformed files


def sample():
    rng = np.random.default_rng(0)
    return {
        "model": {"w": rng.normal(size=(3, 4)).astype(np.float32), "n": np.array(3)},
        "optimizer": {"state": {0: {"m": rng.normal(size=5)}}, "lr": 0.1},
        "random": [2**70, float("nan"), (1, "two")],
    }


def refused(content):
    with pytest.raises(CheckpointError) as caught:
        unpacked(content)
    return str(caught.value)


def forged(tree, entries=(), *, text=None, sealed=True, **options):
    """A file as `save` would write it, but with any content."""
    document = {"format": checkpoint.FORMAT, "version": 1, "tree": tree, **options}
    parts = [("tree.json", text or json.dumps(document).encode()), *entries]
    file, digest = io.BytesIO(), hashlib.sha256()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts:
            archive.writestr(zipfile.ZipInfo(name), content)
            digest.update(name.encode() + b"\0" + content)
        archive.comment = digest.hexdigest().encode() if sealed else b""
    return file.getvalue()


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def npy_claiming(descr, shape, data=b"", fortran=False):
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


ARRAY = {"$array": "a"}


def test_a_forged_file_without_fault_is_read():
    back = unpacked(forged([1, ARRAY], [("a.npy", npy(np.arange(3)))]))
    assert same(back, [1, np.arange(3)])


HOSTILE_ARRAYS = {
    "object dtype": npy(np.array([None, {}]), allow_pickle=True),
    "text dtype": npy(np.array(["a", "b"])),
    "structured dtype": npy(np.zeros(2, [("x", "f4"), ("y", "i4")])),
    "more elements than bytes": npy_claiming("<f8", (10**9,), bytes(80)),
    "fewer elements than bytes": npy_claiming("<f8", (2,), bytes(80)),
    "a size beyond 64 bits": npy_claiming("<f8", (2**40, 2**40), bytes(8)),
    "a product that wraps to 0": npy_claiming("<f8", (2**32, 2**32)),
    "a negative side": npy_claiming("<f8", (-1, -10), bytes(80)),
    "Fortran order": npy_claiming("<f8", (2, 2), bytes(32), fortran=True),
    "format version 2": npy(np.zeros(2), version=(2, 0)),
    "no header": b"\x93NUMPY\x01\x00",
    "no array": b"hello",
    "nothing": b"",
    "code in the header": b"\x93NUMPY\x01\x00\x40\x00"
    + b"{'descr': __import__('os').system('true')}".ljust(64),
    "a deep header": b"\x93NUMPY\x01\x00\x10\x27" + b"[" * 10000,
    "a header of minus signs": b"\x93NUMPY\x01\x00\x10\x27" + b"-" * 9999 + b"1",
}


@pytest.mark.parametrize("fault", HOSTILE_ARRAYS)
def test_a_hostile_array_is_refused(fault):
    assert refused(forged(ARRAY, [("a.npy", HOSTILE_ARRAYS[fault])]))


HOSTILE_TREES = {
    "an array that is not there": {"$array": "b"},
    "an array named twice": [ARRAY, ARRAY],
    "an array that is not named": [],
    "an unknown tag": [ARRAY, {"$import": "os.system"}],
    "two tags": [ARRAY, {"$int": "0x1", "$float": "nan"}],
    "a tag beside a key": [ARRAY, {"$tuple": [], "a": 1}],
    "an array's name that is none": {"$array": ["a"]},
    "a Tensor without its flag": {"$tensor": ["a"]},
    "a gradient for integers": {"$tensor": ["a", True]},
    "pairs of three": [ARRAY, {"$dict": [[1, 2, 3]]}],
    "a key twice": [ARRAY, {"$dict": [[1, 2], [1, 3]]}],
    "a list as key": [ARRAY, {"$dict": [[[], 3]]}],
    "no number": [ARRAY, {"$int": "import os"}],
    "no float": [ARRAY, {"$float": "[]"}],
}


@pytest.mark.parametrize("fault", HOSTILE_TREES)
def test_a_hostile_tree_is_refused(fault):
    assert refused(forged(HOSTILE_TREES[fault], [("a.npy", npy(np.arange(2)))]))


HEAD = b'{"format": "tinygrad_cnn.checkpoint", "version": 1, "tree": '


@pytest.mark.parametrize(
    "tree",
    [
        b"NaN",
        b"-Infinity",
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
        b"1, ",
        b"\xff\xfe",
        b"__import__('os')",
    ],
    ids=lambda tree: tree[:8].decode(errors="replace"),
)
def test_what_is_no_json_of_ours_is_refused(tree):
    assert refused(forged(None, text=HEAD + tree + b"}"))


@pytest.mark.parametrize(
    "options", [{"version": 2}, {"version": None}, {"format": "x"}]
)
def test_another_format_or_version_is_refused(options):
    assert refused(forged(1, **options))


def test_the_error_names_the_file_and_the_fault(tmp_path):
    path = tmp_path / "a.ckpt"
    path.write_bytes(forged(1, version=7))
    with pytest.raises(CheckpointError, match=r"a\.ckpt is .* version 7, .* reads 1"):
        load(path)


def test_entries_of_one_name_are_refused():
    entry = ("a.npy", npy(np.zeros(1)))
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = forged(ARRAY, [entry, entry])
    assert "same name" in refused(content)


@pytest.mark.parametrize("name", ["../../a.npy", "/etc/a.npy", "a", "A.npy", "a.npy/"])
def test_entries_of_other_names_are_refused_and_never_written(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert refused(forged(ARRAY, [(name, npy(np.zeros(1)))]))
    assert os.listdir(tmp_path) == []


def test_a_content_of_another_sum_is_refused():
    assert "SHA-256" in refused(forged(1, sealed=False))


def bomb():
    """A zip file of 100 kB that unpacks to 100 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tree.json", b'{"tree": []}')
        archive.writestr("a.npy", bytes(10**8))
    return file.getvalue()


def nested(count=100):
    """A zip file of 1 MB with 100 MB of entries, each of which lies in the one before."""
    tree = forged(1)
    rest, parts = bytes(10**6), []
    for i in reversed(range(count)):
        body = npy_claiming("|u1", (len(rest),), rest)
        sizes = zlib.crc32(body), len(body), len(body), 5, 0
        rest = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, *sizes)
        rest += b"%05d" % i + body
        parts.append((b"%05d" % i, sizes, len(rest)))
    end = tree.index(b"PK\1\2")
    directory = tree[end : tree.index(b"PK\5\6")]
    content = tree[:end] + rest
    for name, sizes, length in parts:
        start = len(content) - length
        fields = 20, 20, 0, 0, 0, 33, *sizes, 0, 0, 0, 0, start
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + name
    counts = 0, 0, count + 1, count + 1, len(directory), len(content), 0
    return content + directory + struct.pack("<4s4H2LH", b"PK\5\6", *counts)


def compressed(method):
    """A file that claims to be as small as it is, whatever a compressed entry holds."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tree.json", b"{}", method)
        archive.writestr("a.npy", npy(np.zeros(1000)))
    return file.getvalue()


@pytest.mark.parametrize("method", [8, 12, 14], ids=["deflate", "bzip2", "lzma"])
def test_compressed_entries_are_refused_unread(method):
    assert "an entry is compressed" in refused(compressed(method))


@pytest.mark.parametrize("make", [bomb, nested])
def test_a_small_file_cannot_take_much_memory(make):
    content = make()
    tracemalloc.start()
    try:
        refused(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\x80\x02}q\x00.",
        b"<html>503</html>",
        b"PK\x05\x06" + bytes(18),
        npy(np.zeros(3)),
    ],
)
def test_other_kinds_of_files_are_refused(content):
    assert refused(content)


def mutated(content, draw):
    """The file with one accident: bits flipped, bytes lost, doubled, zeroed, or moved."""
    kind = draw.randrange(6)
    at, length = draw.randrange(len(content)), draw.choice([1, 2, 4, 16, 64, 512])
    end = min(at + length, len(content))
    if kind == 0:
        flipped = bytes([content[at] ^ (1 << draw.randrange(8))])
        return content[:at] + flipped + content[at + 1 :]
    if kind == 1:
        return content[:at]
    if kind == 2:
        return content[:at] + content[end:]
    if kind == 3:
        return content[:end] + content[at:]
    if kind == 4:
        return content[:at] + bytes(end - at) + content[end:]
    return content[:at] + draw.randbytes(end - at) + content[end:]


def test_a_damaged_file_is_refused_or_read_as_it_was():
    tree, draw = sample(), random.Random(0)
    content = packed(tree)
    outcomes = {"refused": 0, "read": 0}
    for _ in range(10_000):
        try:
            back = unpacked(mutated(content, draw))
        except CheckpointError:
            outcomes["refused"] += 1
        else:
            assert same(back, tree)
            outcomes["read"] += 1
    assert outcomes["refused"] > 5_000


AUDIT = """
import io, sys
from tinygrad_cnn.checkpoint import load, save
from tinygrad_cnn.errors import CheckpointError
file = io.BytesIO()
save({"warm": [1]}, file)
load(file)  # imports what the standard library imports on first use
events = []
sys.addaudithook(lambda event, args: events.append(event))
for path in sys.argv[1:]:
    try:
        load(path)
    except CheckpointError:
        pass
print(*sorted(set(events)))
"""


def test_loading_opens_the_file_and_does_nothing_else(tmp_path):
    contents = [packed(sample()), bomb()]
    contents += [forged(ARRAY, [("a.npy", array)]) for array in HOSTILE_ARRAYS.values()]
    contents += [
        forged(tree, [("a.npy", npy(np.arange(2)))]) for tree in HOSTILE_TREES.values()
    ]
    paths = [tmp_path / f"{i}.ckpt" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, *paths],
        capture_output=True,
        text=True,
        check=True,
    )
    # NumPy reads a header by ast.literal_eval, which compiles it to a syntax tree.
    assert set(done.stdout.split()) == {"open", "compile"}


# ---------------------------------------------------------------------- half-way writes


def test_a_new_checkpoint_replaces_the_old_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "a.ckpt"
    for i in range(3):
        save({"i": i}, path)
        assert load(path) == {"i": i}
    assert os.listdir(tmp_path) == ["a.ckpt"]


def test_temporary_files_of_a_crash_go_with_the_next_save_and_no_others(tmp_path):
    stale = f".a.ckpt.{'0' * 32}.tmp"
    others = ["a.ckpt.tmp", f".a.ckpt.best.{'0' * 32}.tmp", f".b.{'0' * 32}.tmp"]
    for name in (stale, *others):
        (tmp_path / name).write_bytes(b"half")
    save(1, tmp_path / "a.ckpt")
    assert sorted(os.listdir(tmp_path)) == sorted(["a.ckpt", *others])


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "runs").mkdir()
    os.symlink(tmp_path / "runs" / "real.ckpt", tmp_path / "a.ckpt")
    save({"i": 1}, tmp_path / "a.ckpt")
    assert os.path.islink(tmp_path / "a.ckpt")
    assert load(tmp_path / "runs" / "real.ckpt") == {"i": 1}


def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    save(1, tmp_path / "a.ckpt")
    (tmp_path / "b").touch()
    assert (tmp_path / "a.ckpt").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_content_reaches_the_disk_before_the_name_and_the_name_before_the_return(
    tmp_path, monkeypatch
):
    done = []

    def recorded(name):
        original = getattr(os, name)

        def call(*args):
            kind = "directory" if os.path.isdir(args[0]) else "file"
            done.append((name, kind, os.listdir(tmp_path)))
            return original(*args)

        monkeypatch.setattr(os, name, call)

    save({"i": 1}, tmp_path / "a.ckpt")
    recorded("fsync")
    recorded("replace")
    save({"i": 2}, tmp_path / "a.ckpt")
    assert [step[:2] for step in done] == [
        ("fsync", "file"),
        ("replace", "file"),
        ("fsync", "directory"),
    ]
    assert len(done[0][2]) == 2
    assert done[2][2] == ["a.ckpt"]


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
def test_where_a_save_fails_the_old_checkpoint_stays(step, tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    save({"i": 1}, path)

    def fail(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "write":
        monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    elif step == "open":
        monkeypatch.setattr(files, "open", fail, raising=False)
    else:
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        save({"i": 2}, path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["a.ckpt"]
    assert load(path) == {"i": 1}


@pytest.mark.parametrize("limit", [1, 1000, 100_000, 250_000])
def test_on_a_full_disk_the_old_checkpoint_stays(limit, tmp_path):
    path = tmp_path / "a.ckpt"
    save({"i": 1}, path)
    big = {"a": np.zeros(10_000), "b": np.zeros(30_000)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(big, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["a.ckpt"]
    assert load(path) == {"i": 1}


def test_ctrl_c_while_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    save({"i": 1}, path)

    def interrupt(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save({"i": 2}, path)
    assert os.listdir(tmp_path) == ["a.ckpt"]
    assert load(path) == {"i": 1}


SAVES = """
import itertools, os, sys
import numpy as np
from tinygrad_cnn.checkpoint import save
for _ in sys.stdin:
    if (child := os.fork()) == 0:
        for i in itertools.count():
            arrays = {k: np.full(20_000, float(i)) for k in range(8)}
            save({"i": i, "arrays": arrays}, sys.argv[1])
            if i == 0:
                print(os.getpid(), flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""
"""A process that starts, for each line it is given, one that saves until it is killed."""


@pytest.mark.parametrize(
    "kills", [4, pytest.param(200, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_process_killed_at_any_moment_leaves_a_whole_checkpoint(kills, tmp_path):
    path, draw = tmp_path / "a.ckpt", random.Random(0)
    half_way = 0
    command = [sys.executable, "-c", SAVES, path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        for _ in range(kills):
            print(file=process.stdin, flush=True)
            saving = int(process.stdout.readline())
            time.sleep(draw.uniform(0, 0.05))  # a few times as long as saving takes
            os.kill(saving, signal.SIGKILL)
            assert process.stdout.readline() == "dead\n"
            half_way += len(os.listdir(tmp_path)) > 1
            tree = load(path)
            assert all((tree["arrays"][k] == tree["i"]).all() for k in range(8))
    if kills > 100:
        assert half_way > kills / 10
    save(0, path)
    assert os.listdir(tmp_path) == ["a.ckpt"]


def test_a_state_keeps_what_it_says_of_versions(tmp_path):
    state = tg.nn.Sequential(tg.nn.BatchNorm1d(2)).state_dict()
    save({"model": state}, tmp_path / "state.ckpt")
    found = load(tmp_path / "state.ckpt")["model"]
    assert found._metadata == state._metadata
    assert found._metadata["0"] == {"version": 2}
    assert list(found) == list(state)
