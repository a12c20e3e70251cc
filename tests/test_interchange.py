"""Files of weights that other programs write and read: `.pth`, safetensors, `.npz`.

PyTorch's own files are the oracle where it is installed; some are kept as they came, byte
for byte, in `instructions` below, so that a machine without it reads them too.
"""

import io
import json
import random
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import CheckpointError, DTypeError

nn = tg.nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, bias=False)  # it would be all rounding
        self.norm = nn.BatchNorm2d(2)
        self.head = nn.Linear(2 * 3 * 3, 4)

    def forward(self, x):
        return self.head(tg.relu(self.norm(self.conv(x))).flatten(1))


@pytest.fixture
def trained():
    """A net and its optimizer after two steps."""
    tg.manual_seed(0)
    net = Net()
    optimizer = tg.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        tg.nn.functional.cross_entropy(
            net(tg.randn(3, 1, 5, 5)), tg.tensor([0, 1, 3])
        ).backward()
        optimizer.step()
    return net, optimizer


def same(a, b):
    """Whether two trees are equal, arrays to the bit."""
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, tg.Tensor):
        x, y = a.detach().numpy(), b.detach().numpy()
        return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
    return a == b and type(a) is type(b)


@pytest.mark.parametrize("ending", ["pth", "pt", "PTH", "safetensors", "npz", "ckpt"])
def test_weights_come_back_to_the_bit(trained, tmp_path, ending):
    path = tmp_path / f"weights.{ending}"
    state = trained[0].state_dict()
    tg.save(state, path)
    assert same(dict(tg.load(path)), dict(state))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_training_comes_back_from_a_pth(trained, tmp_path):
    net, optimizer = trained
    tree = {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "best": float("inf"),
        "text": "naïve ∂",
        "numbers": [-1, 255, 256, 65_536, -(2**31), 2**40, -(2**70), True, None, ()],
    }
    tg.save(tree, tmp_path / "all.pth")
    found = tg.load(tmp_path / "all.pth")
    assert same(found, tree)
    assert found["model"]._metadata == net.state_dict()._metadata


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?"])
def test_every_dtype_keeps_its_bits(tmp_path, dtype):
    bits = np.random.default_rng(0).integers(0, 256, 48, np.uint8)
    array = (bits % 2 if dtype == "?" else bits).view(dtype)[:6].reshape(2, 3)
    for ending in ("pth", "safetensors", "npz"):
        path = tmp_path / f"a.{ending}"
        tg.save({"a": tg.tensor(array), "none": tg.zeros(0, 2)}, path)
        found = tg.load(path)
        assert found["a"].numpy().dtype == array.dtype
        assert found["a"].numpy().tobytes() == array.tobytes()
        assert found["none"].shape == (0, 2)


def test_what_has_no_place_in_a_format_is_named(tmp_path):
    with pytest.raises(DTypeError, match=r"'lr' is a float; save model.state_dict\(\)"):
        tg.save({"w": tg.zeros(2), "lr": 0.1}, tmp_path / "a.safetensors")
    with pytest.raises(DTypeError, match=r"a .pth file holds .* and no object"):
        tg.save({"w": object()}, tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------- PyTorch


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def buffer(torch, tree, **options):
    file = io.BytesIO()
    torch.save(tree, file, **options)
    return io.BytesIO(file.getvalue())


def test_what_pytorch_saves_is_read(torch):
    torch.manual_seed(0)
    whole = torch.randn(3, 4)
    tree = {
        "whole": whole,
        "column": whole[:, 2],
        "turned": whole.t(),
        "part": whole[1:, 1:3],
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "scalar": torch.tensor(3),
        "none": torch.empty(0, 3),
        "half": torch.randn(2).half(),
        "flags": torch.tensor([True, False]),
        "shape": whole.shape,
        "epoch": 7,
        "names": {"a", "b"},
        "nested": [({"x": torch.arange(3)},)],
    }
    found = tg.load(buffer(torch, tree))
    assert list(found) == list(tree)
    for name, value in tree.items():
        if isinstance(value, torch.Tensor):
            np.testing.assert_array_equal(found[name].detach(), value.detach().numpy())
            assert str(found[name].dtype) == str(value.dtype).removeprefix("torch.")
    assert found["parameter"].requires_grad
    assert found["shape"] == (3, 4)
    assert found["epoch"] == 7
    assert found["names"] == {"a", "b"}
    np.testing.assert_array_equal(found["nested"][0][0]["x"], [0, 1, 2])


def test_bfloat16_becomes_float32(torch):
    values = torch.randn(50).bfloat16()
    found = tg.load(buffer(torch, {"b": values}))["b"]
    np.testing.assert_array_equal(found, values.float().numpy())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_version_of_the_program_is_read(torch, protocol):
    state = torch.nn.Linear(3, 2).state_dict()
    found = tg.load(buffer(torch, state, pickle_protocol=protocol))
    np.testing.assert_array_equal(found["weight"], state["weight"].numpy())


def test_pytorch_goes_on_from_our_file_and_we_from_its(torch, trained, tmp_path):
    """Three steps here equal one here, one there and one here."""
    net, optimizer = trained
    x, labels = np.random.default_rng(0).normal(size=(4, 1, 5, 5)), [0, 1, 2, 3]

    def step(lib, model, optimizer):
        optimizer.zero_grad()
        output = model(lib.tensor(x, dtype=lib.float32))
        lib.nn.functional.cross_entropy(output, lib.tensor(labels)).backward()
        optimizer.step()

    path = tmp_path / "there.pth"
    step(tg, net, optimizer)
    tg.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, path)
    state = torch.load(path, weights_only=True)
    other = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3, bias=False),
        torch.nn.BatchNorm2d(2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(18, 4),
    )
    names = dict(zip(state["model"], other.state_dict(), strict=True))
    other.load_state_dict({names[k]: v for k, v in state["model"].items()})
    there = torch.optim.Adam(other.parameters(), lr=0.01)
    there.load_state_dict(state["optimizer"])
    step(torch, other, there)
    back = {ours: other.state_dict()[name] for ours, name in names.items()}
    torch.save({"model": back, "optimizer": there.state_dict()}, path)

    state = tg.load(path)
    again = Net()
    again.load_state_dict(state["model"])
    here = tg.optim.Adam(again.parameters(), lr=0.01)
    here.load_state_dict(state["optimizer"])
    step(tg, again, here)
    step(tg, net, optimizer)
    step(tg, net, optimizer)
    for name, value in net.state_dict().items():
        np.testing.assert_allclose(again.state_dict()[name], value, 1e-5, 1e-6)


def test_old_files_are_refused_with_the_remedy(torch):
    old = buffer(torch, {"a": torch.zeros(2)}, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"before 1.6; in PyTorch, torch.save\("):
        tg.load(old)


def test_a_whole_model_is_refused_with_the_remedy(torch):
    whole = buffer(torch, torch.nn.Linear(2, 2))
    with pytest.raises(
        CheckpointError, match=r"names 'torch.nn.modules.linear.Linear', .*state_dict"
    ):
        tg.load(whole)


def test_safetensors_go_both_ways(torch, trained, tmp_path):
    library = pytest.importorskip("safetensors.torch")
    state = trained[0].state_dict()
    tg.save(state, tmp_path / "a.safetensors")
    found = library.load_file(tmp_path / "a.safetensors")
    for name, value in state.items():
        np.testing.assert_array_equal(found[name].numpy(), value)
    library.save_file(found, tmp_path / "b.safetensors", metadata={"format": "pt"})
    assert same(tg.load(tmp_path / "b.safetensors"), dict(sorted(state.items()))) or {
        k: v.tolist() for k, v in tg.load(tmp_path / "b.safetensors").items()
    } == {k: v.tolist() for k, v in state.items()}


# ------------------------------------------------------------------- nothing executes


def archive(program, **entries):
    """A file as PyTorch writes it, with this program."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("a/data.pkl", b"\x80\x02" + program + b".")
        for name, content in entries.items():
            opened.writestr(f"a/{name.replace('__', '/')}", content)
    return file.getvalue()


def storage(length, key=b"0", kind=b"FloatStorage"):
    """The instructions that ask for a storage of so many numbers."""
    text = b"(X\x07\0\0\0storagectorch\n" + kind + b"\nX" + struct.pack("<I", len(key))
    return text + key + b"X\x03\0\0\0cpuJ" + struct.pack("<i", length) + b"tQ"


def tensor(length, offset, shape, strides):
    """The instructions that make a tensor."""

    def numbers(values):
        return b"(" + b"".join([b"J" + struct.pack("<i", v) for v in values]) + b"t"

    parts = storage(length) + b"J" + struct.pack("<i", offset)
    parts += numbers(shape) + numbers(strides) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + parts + b"tR"


FOUR = np.arange(4, dtype=np.float32).tobytes()

HOSTILE = {
    "os.system": b"cos\nsystem\n(X\x04\0\0\0echotR",
    "builtins.eval": b"cbuiltins\neval\n(X\x01\0\0\x001tR",
    "a name off the stack": b"X\x02\0\0\0osX\x06\0\0\0system\x93X\x04\0\0\0echo\x85R",
    "an instance": b"(cos\nPopen\no",
    "the old form": b"(ios\nsystem\n.",
    "extension": b"\x82\x01",
    "attributes of a dict": b"}}b",
    "attributes of a state_dict": b"ccollections\nOrderedDict\n)R}X\x01\0\0\0aNsb",
    "a call of a value": b"NN\x85R",
    "a function as a value": b"ctorch._utils\n_rebuild_tensor_v2\n",
    "an unhashable key": b"}]Ns",
    "a key that is a tuple": b"})Ns",
    "values below a mark": b"N(a",
    "an endless integer": b"\x8b\xff\xff\xff\x7f",
    "no such value": b"h\x05",
    "nothing at all": b"",
    "two values": b"NN",
    "a storage of nothing": b"NQ",
    "too short a storage": storage(5),
    "a negative storage": storage(-4),
    "no such storage": storage(4, b"7"),
    "a storage by a path": storage(4, b"../../x"),
    "no such kind": storage(4, kind=b"QuantizedStorage"),
    "beyond the storage": tensor(4, 1, [4], [1]),
    "beyond by strides": tensor(4, 0, [2, 2], [3, 2]),
    "a negative offset": tensor(4, -1, [2], [1]),
    "a negative stride": tensor(4, 3, [2], [-1]),
    "a negative size": tensor(4, 0, [-2], [1]),
    "strides that lack": tensor(4, 0, [2, 2], [1]),
    "a bomb of one number": tensor(4, 0, [2**30, 2**20], [0, 0]),
    "too many axes": tensor(4, 0, [1] * 40, [1] * 40),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pth_is_refused_in_one_line(name):
    content = archive(HOSTILE[name], data__0=FOUR)
    with pytest.raises(CheckpointError) as caught:
        tg.load(io.BytesIO(content))
    text = str(caught.value)
    assert text.startswith(
        "the file is no file of weights by PyTorch that can be read: "
    )
    assert "\n" not in text
    assert len(text) < 300


def test_the_same_without_the_hostility_is_read():
    found = tg.load(io.BytesIO(archive(tensor(4, 1, [3], [1]), data__0=FOUR)))
    assert found.tolist() == [1, 2, 3]
    found = tg.load(io.BytesIO(archive(tensor(4, 0, [2, 2], [1, 2]), data__0=FOUR)))
    assert found.tolist() == [[0, 2], [1, 3]]


def header(**entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def entry(start, stop, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


SAFE = {
    "a header of 10 GB": struct.pack("<Q", 10**10) + b"{}",
    "a header that ends early": struct.pack("<Q", 50) + b"{}",
    "no JSON": struct.pack("<Q", 2) + b"{]",
    "deep JSON": struct.pack("<Q", 40_005) + b'{"a":' + b"[" * 40_000,
    "offsets beyond the file": header(a=entry(0, 32, [8])) + FOUR,
    "overlapping": header(a=entry(0, 16, [4]), b=entry(8, 24, [4])) + FOUR + FOUR,
    "a gap": header(a=entry(4, 16, [3])) + FOUR,
    "bytes at the end": header(a=entry(0, 8, [2])) + FOUR,
    "a shape that does not fit": header(a=entry(0, 16, [5])) + FOUR,
    "a negative size": header(a=entry(0, 16, [-4])) + FOUR,
    "a size that overflows": header(a=entry(0, 16, [2**62, 2**62])) + FOUR,
    "a fraction": header(a=entry(0, 16, [4.0])) + FOUR,
    "an unknown dtype": header(a=entry(0, 16, [4], "F128")) + FOUR,
    "no offsets": header(a={"dtype": "F32", "shape": [4]}) + FOUR,
    "the same name twice": struct.pack("<Q", 12) + b'{"a":1,"a":2}'[:12],
    "an entry that is a list": header(a=[1]) + FOUR,
}


@pytest.mark.parametrize("name", SAFE)
def test_a_hostile_safetensors_file_is_refused_in_one_line(name):
    with pytest.raises(CheckpointError) as caught:
        tg.load(io.BytesIO(SAFE[name]))
    text = str(caught.value)
    assert text.startswith("the file is damaged, or no file of safetensors: ")
    assert "\n" not in text
    assert len(text) < 300


@pytest.mark.parametrize("ending", ["pth", "safetensors", "npz"])
def test_a_damaged_file_is_refused_or_read(trained, tmp_path, ending):
    """Whatever single accident happens; what is read has the shapes that were written."""
    path = tmp_path / f"a.{ending}"
    tg.save(trained[0].state_dict(), path)
    content, draw = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(150):
        at, length = draw.randrange(len(content)), draw.choice([1, 2, 8, 64])
        changed = draw.choice(
            [
                content[:at],
                content[:at] + content[at + length :],
                content[:at] + draw.randbytes(length) + content[at + length :],
                content[: at + length] + content[at:],
            ]
        )
        try:
            tg.load(io.BytesIO(changed))
        except CheckpointError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 75


def test_reading_imports_neither_torch_nor_pickle_of_the_file(tmp_path):
    """In a process of its own, where an import of torch would fail."""
    tg.save({"a": tg.ones(2)}, tmp_path / "a.pth")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import tinygrad_cnn as tg\n"
        f"assert tg.load({str(tmp_path / 'a.pth')!r})['a'].tolist() == [1, 1]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
