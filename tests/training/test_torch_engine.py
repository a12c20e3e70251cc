"""The same run under PyTorch: its losses, its states, and model files that it can take."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, optim
from tinygrad_cnn.core.generator import manual_seed
from tinygrad_cnn.data import DataLoader
from tinygrad_cnn.errors import (
    ArgumentError,
    DivergenceError,
    ModelFileError,
    UnavailableError,
)
from tinygrad_cnn.training import fit, recipe
from tinygrad_cnn.training.model_file import build, load_class, split_spec
from tinygrad_cnn.training.under_torch import build_under_torch

torch = pytest.importorskip("torch")
engines = pytest.importorskip("tinygrad_cnn.training.torch_engine")
TorchEngine = engines.TorchEngine
ROOT = Path(__file__).parents[2]


def losses(spec, dtype, engine, *, data="digits", steps=10, settings=None, **given):
    """Of the first steps of `train`, in batches of 32."""
    kind = load_class(str(ROOT / spec))
    usual = {"dtype": dtype, "batch_size": 32, "epochs": 10}
    options = recipe.options_for(kind, usual | given)
    images = recipe.open_data(data, True, kind, dtype, None)
    manual_seed(0)
    model, settings = build(kind, settings or {}, recipe.facts(images))
    model.to(np.dtype(dtype))
    images.transform = recipe.augmented(kind, images.transform)
    loader = DataLoader(images, options["batch_size"], shuffle=True)
    optimizer = recipe.make_optimizer(model, options)
    scheduler = recipe.make_scheduler(optimizer, options, len(loader))
    if engine == "torch":
        path = split_spec(str(ROOT / spec))[0]
        twin = build_under_torch(path, kind.__name__, settings)
        engine = TorchEngine(model, optimizer, twin)
    else:
        engine = None
    records = fit(
        model, optimizer, loader, epochs=1, scheduler=scheduler, engine=engine
    )
    return [record.loss for record in itertools.islice(records, steps)]


@pytest.mark.parametrize(("dtype", "within"), [("float64", 1e-10), ("float32", 1e-4)])
@pytest.mark.parametrize(
    ("spec", "more"),
    [
        ("models/lenet5.py", {}),
        (
            "models/cifar_resnet.py",
            {"data": "colour-digits", "settings": {"width": 4}, "lr": 0.01},
        ),
    ],
)
def test_ten_steps_have_the_losses_of_ten_steps_here(spec, more, dtype, within):
    here = losses(spec, dtype, "tinygrad_cnn", **more)
    there = losses(spec, dtype, "torch", **more)
    assert len(set(here)) == 10
    np.testing.assert_allclose(there, here, rtol=0, atol=within)


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        *(
            (f"models/{name}.py", "digits")
            for name in ("mlp", "mnist_net", "numpy_cnn")
        ),
        ("models/patches_cnn.py", "digits"),
        ("tests/parity/nets.py:ResNet20", "colour-digits"),
    ],
)
def test_model_files_of_either_library_run_under_both(spec, data):
    here, there = [
        losses(spec, "float64", engine, data=data, steps=3)
        for engine in ("tinygrad_cnn", "torch")
    ]
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "name", ["sgd", "adam", "adamw", "rmsprop", "adadelta", "adagrad"]
)
def test_what_an_optimizer_remembers_goes_there_and_back(name, rng):
    """Three steps in turns, by one engine and the other, as three steps here."""
    x, labels = rng.normal(size=(12, 4, 3)), rng.integers(0, 2, (12, 4))

    def batches(*which):
        return [(Tensor(x[i].copy()), Tensor(labels[i].copy())) for i in which]

    def make():
        manual_seed(1)
        model = nn.Linear(3, 2).to(np.float64)
        options = {
            "optimizer": name,
            "lr": 0.1,
            "momentum": 0.9 if name == "sgd" else None,
            "weight_decay": 0.01,
        }
        return model, recipe.make_optimizer(model, options)

    expected = make()
    list(fit(*expected, batches(*range(6)), epochs=1))
    model, optimizer = make()
    engine = TorchEngine(model, optimizer, torch.nn.Linear(3, 2))
    for start in (0, 2, 4):
        if start != 2:
            engine.push()
        list(
            fit(
                model,
                optimizer,
                batches(start, start + 1),
                epochs=1,
                engine=None if start == 2 else engine,
            )
        )
    for found, wanted in zip(model.parameters(), expected[0].parameters(), strict=True):
        np.testing.assert_allclose(
            found.numpy(force=True), wanted.numpy(force=True), rtol=1e-9, atol=1e-12
        )


def test_a_frozen_weight_a_schedule_and_groups_are_those_of_the_optimizer(rng):

    def trained(under_torch):
        manual_seed(1)
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).to(np.float64)
        groups = [
            {"params": model[1].parameters(), "lr": 0.5},
            {"params": [model[0].weight]},
        ]
        optimizer = optim.SGD(groups, lr=0.1, momentum=0.5)
        scheduler = optim.lr_scheduler.OneCycleLR(optimizer, [0.3, 0.2], 8)
        twin = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
        engine = TorchEngine(model, optimizer, twin) if under_torch else None
        more = {"scheduler": scheduler, "engine": engine}
        list(fit(model, optimizer, batches, epochs=2, **more))
        return model.state_dict()

    x, labels = rng.normal(size=(4, 4, 3)), rng.integers(0, 2, (4, 4))
    batches = [
        (Tensor(a.copy()), Tensor(b.copy())) for a, b in zip(x, labels, strict=True)
    ]
    here, there = trained(False), trained(True)
    for name in here:
        np.testing.assert_allclose(
            there[name].numpy(), here[name].numpy(), rtol=1e-12, atol=1e-14
        )


# --- model files ----------------------------------------------------------------------

PARTS = """
from tinygrad_cnn import nn

def hidden(): return nn.Linear(4, 3)
"""
FILE = """
import tinygrad_cnn
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor, data, nn
from tinygrad_cnn.data import transforms
from torchvision.transforms import ToTensor

class Net(nn.Module):
    transform = transforms.Scale(1 / 255)

    def __init__(self):
        super().__init__()
        {imported}
        self.layer = hidden()
        self.face, self.images, self.to_tensor = tinygrad_cnn, data, ToTensor
        self.tensor = Tensor

    def forward(self, x):
        import math
        import tinygrad_cnn.nn as inner
        from tinygrad_cnn.nn import functional
        assert functional is F and inner is nn
        return F.relu(self.layer(x)) * math.sqrt(4)
"""


@pytest.mark.parametrize(
    ("folder", "imported"),
    [("pkg", "from .parts import hidden"), ("", "from parts import hidden")],
)
def test_a_file_that_names_this_package_gets_pytorch_at_any_time(
    tmp_path, folder, imported
):

    import tinygrad_cnn.data

    before = dict(sys.modules)
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    (place / "parts.py").write_text(PARTS)
    (place / "net.py").write_text(FILE.format(imported=imported))
    if folder:
        (place / "__init__.py").write_text("")
    net = build_under_torch(place / "net.py", "Net", {})
    assert isinstance(net.layer, torch.nn.Linear)
    assert net.tensor is torch.Tensor
    assert net.images is tinygrad_cnn.data
    assert net.to_tensor is tinygrad_cnn.data.transforms.ToTensor
    assert isinstance(net.transform, tinygrad_cnn.data.transforms.Scale)
    assert net.face.nn is torch.nn
    assert net.face.in_place_of_torch is tinygrad_cnn.in_place_of_torch
    assert net(torch.ones(2, 4)).shape == (2, 3)
    assert tinygrad_cnn.nn is nn
    assert not {"parts", "pkg", "pkg.parts"} & (sys.modules.keys() - before.keys())


def test_what_does_not_run_under_pytorch_is_said(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("import tinygrad_cnn.nn as nn\nclass Net(nn.Modul): pass")
    with pytest.raises(ModelFileError, match=r"net\.py does not run under PyTorch"):
        build_under_torch(path, "Net", {})
    path.write_text("def net(): return 3")
    with pytest.raises(ModelFileError, match=r"makes no torch.nn.Module, but .*int"):
        build_under_torch(path, "net", {})


def test_a_twin_of_other_weights_is_refused():
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=1)
    for twin in (torch.nn.Linear(2, 2), torch.nn.Linear(3, 2, bias=False)):
        with pytest.raises(ModelFileError, match="another under PyTorch"):
            TorchEngine(model, optimizer, twin)


# --- what is refused, and what is shared ----------------------------------------------


def test_options_of_this_package_alone_are_refused():
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=1)
    engine = TorchEngine(model, optimizer, torch.nn.Linear(3, 2))
    for option in ({"planned": True}, {"clip": print}, {"loss": nn.MSELoss()}):
        with pytest.raises(ArgumentError, match="not for another engine"):
            next(fit(model, optimizer, [], epochs=1, engine=engine, **option))


def test_divergence_is_told_as_here(rng):

    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=1)
    engine = TorchEngine(model, optimizer, torch.nn.Linear(3, 2))
    batch = Tensor(np.full((2, 3), np.inf, np.float32)), Tensor(np.array([0, 1]))
    with pytest.raises(DivergenceError, match="lower learning rate"):
        list(fit(model, optimizer, [batch], epochs=1, engine=engine))


def test_a_device_that_is_not_here_is_refused():
    for name in {"cuda", "mps"}:
        if getattr(torch, name).is_available():
            continue
        with pytest.raises(UnavailableError, match=f"no {name}"), engines.placed(name):
            pass


def test_the_shares_of_a_batch_are_the_batch(for_drawn):

    model = nn.Linear(1, 2)
    optimizer = optim.SGD(model.parameters(), lr=1)
    engine = TorchEngine(model, optimizer, torch.nn.Linear(1, 2))

    @for_drawn(30)
    def _(d):
        size, processes = d.int(1, 40), d.int(1, 9)
        images, labels = Tensor(np.arange(size)), Tensor(np.arange(size) + 7)
        taken = []
        for rank in range(processes):
            engine.place = engines.Place(torch.device("cpu"), rank, processes)
            x, y, count = engine._share(images, labels)
            assert len(x) == len(y) == max(count, 1)
            assert count in (size // processes, -(-size // processes))
            np.testing.assert_array_equal(x + 7, y)
            taken += x[:count].tolist()
        assert taken == list(range(size))
