"""Gradients of PyTorch, checked where they are. The oracle is PyTorch's own gradcheck.

Mistakes are wrong by construction; each right one beside them must pass. JAX's are in
test_jax.py.
"""

import copy
import random
import sys
import types

import numpy as np
import pytest

from tinygrad_cnn.cli.main import main
from tinygrad_cnn.errors import ArgumentError, WrongGradientError
from tinygrad_cnn.verify import assert_gradients, verify

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

from torch.autograd import gradcheck  # noqa: E402


def function(forward, backward):
    """An autograd.Function of one input; backward gets g and x."""

    class Written(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved_tensors)

    return Written


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


Leaky = function(leaky, lambda g, x: torch.where(x > 0, g, 0.2 * g))
Forgotten = function(leaky, lambda g, x: g)
FUNCTIONS = {
    "leaky": (Leaky, None),
    "derivative forgotten": (Forgotten, "the derivative is missing"),
    "sign": (function(torch.sin, lambda g, x: -g * x.cos()), "sign"),
    "zero": (function(torch.sin, lambda g, x: 0 * g), "zero"),
    "twice": (function(lambda x: x * x, lambda g, x: 4 * g * x), "times 2"),
    "round": (function(torch.round, lambda g, x: g), "straight-through"),
    "binary": (
        function(torch.sign, lambda g, x: g * (x.abs() <= 1)),
        "clipped",
    ),
    "spike": (
        function(
            lambda x: (x > 0).to(x.dtype),
            lambda g, x: g * (2 - 2 * x.abs()).clamp(min=0),
        ),
        "surrogate",
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_judged_as_by_gradcheck(name):
    kind, mistake = FUNCTIONS[name]
    torch.manual_seed(0)
    x = torch.randn(4, 3, dtype=torch.float64)
    report = verify(kind, x)
    right = gradcheck(kind.apply, x.requires_grad_(), raise_exception=False)
    assert bool(report) == right == (mistake is None)
    if mistake:
        assert report["x"].verdict == "wrong"
        found = report.diagnosis
        assert mistake in f"{found.kind}: {found.sentence}"


class Block(nn.Module):
    """A residual block as torchvision has it, with somebody's own activation."""

    def __init__(self, channels, activation):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.activation = activation

    def forward(self, x):
        return self.activation(self.bn(self.conv(x)) + x)


class Activation(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.apply_kind = kind.apply  # bound when the module is made, as people do

    def forward(self, x):
        return self.apply_kind(x)


class ResNet(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
        self.layer1 = nn.Sequential(Block(4, nn.ReLU()), Block(4, Activation(kind)))
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        h = F.max_pool2d(self.layer1(self.stem(x)), 2)
        return self.fc(self.dropout(h.mean((2, 3))))


def resnet(kind):
    torch.manual_seed(0)
    return ResNet(kind), torch.randn(2, 3, 8, 8), torch.tensor([1, 4])


def test_a_right_network_passes_and_is_left_as_it_was():
    net, x, labels = resnet(Leaky)
    before = copy.deepcopy(net.state_dict())
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    report = verify(net, x, labels=labels)
    assert report
    assert [t.name for t in report.tensors] == ["x", *dict(net.named_parameters())]
    assert "float64 copy of float32" in report.title
    assert all(t.low_precision < 1e-4 for t in report.tensors if not t.vanishing)
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key])
    assert all(p.grad is None and p.dtype == torch.float32 for p in net.parameters())
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert np.array_equal(states[2], np.random.get_state()[1])
    assert torch.get_default_dtype() == torch.float32


def test_the_wrong_function_in_a_network_is_named():
    net, x, labels = resnet(Forgotten)
    report = verify(net, x, labels=labels)
    assert not report and report["fc.weight"]
    assert report.culprit.operation == "Written"
    assert report.culprit.module == "layer1.1.activation"
    assert report.culprit.where.startswith("test_frameworks.py:")
    assert "the derivative is missing" in report.diagnosis.sentence


class Cut(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        return self.inner(x.detach()) + x


def test_of_modules_whose_parts_are_right_the_innermost_wrong_one_is_named():
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(Cut(), nn.Tanh()))
    culprit = verify(net, torch.randn(2, 3)).culprit
    assert (culprit.operation, culprit.module) == ("Cut", "1.0")


class Styles(nn.Module):
    """What people's modules do: casts, counters, hooks, dicts, integers, tied weights."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4, sparse=True)
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.embedding.weight
        self.norm = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
        self.scale = torch.tensor(2.0)
        self.frozen = nn.Parameter(torch.ones(4), requires_grad=False)
        self.calls = 0

    def forward(self, ids, batch, *, shift=0.0):
        self.calls += 1
        h = self.embedding(ids) * self.frozen + batch["mask"][0].float()
        h = self.norm(h.to(torch.float32)) * self.scale + shift + random.random()
        return {"scores": self.out(h), "best": h.argmax(-1), "seen": h.detach().sum()}


def test_modules_as_people_write_them():
    torch.manual_seed(0)
    net = (
        Styles().eval()
    )  # in training the norm takes what it knows of a weight as fixed
    net(torch.tensor([[1]]), {"mask": [torch.ones(1, 1, 4)]})
    before = copy.deepcopy(net.state_dict())
    inputs = torch.tensor([[1, 2, 2], [0, 5, 6]]), {"mask": [torch.randn(2, 3, 4)]}
    report = verify(net, inputs)
    assert report, report
    names = [t.name for t in report.tensors]
    assert names[0] == "batch.mask.0" and "frozen" not in names
    assert sum("embedding" in name or "out" in name for name in names) == 1
    assert net.calls == 1
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert any("output 1 requires no gradient" in note for note in report.notes)
    named = {"ids": inputs[0], "batch": inputs[1], "shift": 0.5}
    assert verify(net, named, only="batch.mask.0")


def test_functions_closures_methods_and_compiled_ones():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(3, 2), nn.Softplus()), torch.randn(4, 3)
    assert verify(lambda x: net(x).relu(), x)
    assert verify(torch.sigmoid, x)
    report = verify(net.forward, x, loss=lambda y: (y**2).mean())
    assert report and "0.weight" in [t.name for t in report.tensors]
    assert verify(torch.compile(net, backend="eager"), x)
    assert verify(nn.LSTM(3, 2, batch_first=True), torch.randn(2, 4, 3))


def test_complex_numbers_are_checked_as_pairs():
    torch.manual_seed(0)
    z = torch.randn(3, 4, dtype=torch.complex64)
    assert verify(lambda z: torch.fft.fft(z) * z.conj(), z)["z"].shape == (3, 4, 2)
    conjugate = function(lambda z: z * z, lambda g, z: 2 * g * z)
    assert not verify(conjugate, z)
    assert verify(function(lambda z: z * z, lambda g, z: 2 * g * z.conj()), z)


def test_gradients_inside_the_function():
    def penalty(x):
        x = x.requires_grad_() if not x.requires_grad else x
        (slope,) = torch.autograd.grad(x.pow(3).sum(), x, create_graph=True)
        return slope.pow(2).sum()

    assert verify(penalty, torch.randn(3))


def test_an_input_that_asks_for_no_gradient_beside_one_that_does():
    class Masked(torch.autograd.Function):
        @staticmethod
        def forward(x, mask):
            return x * mask

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[1])

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0], None

    x, mask = torch.randn(3, requires_grad=True), torch.rand(3)
    assert [t.name for t in verify(Masked, (x, mask)).tensors] == ["x"]
    assert verify(Masked, (x.detach(), mask))["mask"].verdict == "wrong"


REFUSED = {
    "lazy": lambda: (nn.LazyLinear(3), torch.randn(2, 4)),
    "meta": lambda: (nn.Linear(3, 2, device="meta"), torch.randn(2, 3)),
    "layout": lambda: (torch.relu, torch.eye(3).to_sparse()),
    "nothing to check": lambda: (lambda i: i * 1.0, torch.tensor([1, 2])),
    "floating tensor": lambda: (torch.argmax, torch.randn(3)),
}


@pytest.mark.parametrize("words", REFUSED)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_what_cannot_be_checked_is_refused_in_a_sentence(words):
    target, inputs = REFUSED[words]()
    with pytest.raises(ArgumentError, match=words):
        verify(target, inputs)


def test_second_order_is_refused():
    with pytest.raises(ArgumentError, match="order=2"):
        verify(torch.sin, torch.randn(2), order=2)


def test_assert_gradients_says_in_a_few_lines_what_is_wrong():
    net, x, labels = resnet(Leaky)
    assert_gradients(net, x, labels=labels, only="fc.bias")
    net, x, labels = resnet(Forgotten)
    with pytest.raises(AssertionError) as caught:
        assert_gradients(net, x, labels=labels, only=["fc.bias", "stem.0.bias"])
    lines = str(caught.value).splitlines()
    assert isinstance(caught.value, WrongGradientError) and len(lines) <= 8
    assert lines[0].startswith("gradient of stem.0.bias in ResNet")
    assert "claimed" in lines[1] and "by differences" in lines[1]
    assert any("Written in layer1.1.activation" in line for line in lines)
    assert "the derivative is missing" in lines[-1]


def test_assert_gradients_of_numpy_pairs_and_layers():
    x = np.random.default_rng(0).normal(size=(3, 2))
    assert_gradients(np.tanh, x, backward=lambda g, x: g / np.cosh(x) ** 2)
    with pytest.raises(WrongGradientError):
        assert_gradients(np.tanh, x, backward=lambda g, x: g)

    class Square:
        def forward(self, x):
            self.x = x
            return x * x

        def backward(self, g):
            return 2 * g * self.x

    assert_gradients(Square(), x)


def test_a_file_from_the_shell(tmp_path, capsys):
    path = tmp_path / "net.py"
    path.write_text(
        "import torch\n"
        "class Half(torch.autograd.Function):\n"
        "    @staticmethod\n"
        "    def forward(ctx, x): return x / 2\n"
        "    @staticmethod\n"
        "    def backward(ctx, g): return g\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, hidden=3):\n"
        "        super().__init__()\n"
        "        self.dense = torch.nn.Linear(4, hidden)\n"
        "    def forward(self, x): return Half.apply(self.dense(x))\n"
        "inputs, labels = torch.randn(5, 4), torch.tensor([0, 1, 0, 1, 1])\n"
    )
    check = ["check", "--framework", "torch"]
    assert main([*check, str(path), "--set", "hidden=2"]) == 1
    out = capsys.readouterr().out
    assert "The first wrong operation is Half at net.py:5" in out and "2×4" in out
    assert main([*check, f"{path}:Nat"]) == 1
    assert "net.py:Net" in capsys.readouterr().err
    path.write_text("import torch\ndef f(x): return x.sin()\n")
    assert main([*check, str(path)]) == 1
    assert "inputs = torch.randn" in capsys.readouterr().err
    (tmp_path / "teacher.py").write_text("import numpy\ninputs = numpy.ones(3)\n")
    assert main([*check, str(path), "--inputs", str(tmp_path / "teacher.py")]) == 0


def test_neither_library_is_imported_for_somebody_elses_function(monkeypatch):
    name = "tinygrad_cnn.verify.frameworks"
    for library in ("of_torch", "of_jax"):
        monkeypatch.setitem(sys.modules, f"{name}.{library}", types.ModuleType("none"))
    assert verify(lambda x: x * x, np.ones(3))
