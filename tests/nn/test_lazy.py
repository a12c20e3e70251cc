"""Layers that learn their size from the first input."""

import copy

import pytest
from pytorch import torch

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.core.running import unchanged
from tinygrad_cnn.errors import ArgumentError, ModuleError
from tinygrad_cnn.graph import draw, memory, summary
from tinygrad_cnn.verify import lint, verify

LAYERS = [
    ("LazyLinear", (3,), (2, 4)),
    ("LazyConv2d", (4, 3), (2, 2, 5, 5)),
    ("LazyConv2d", (4, 3, 2, 1, 1, 2), (4, 5, 5)),
    ("LazyConvTranspose2d", (4, 3, 2), (2, 2, 5, 5)),
    ("LazyBatchNorm1d", (), (3, 2)),
    ("LazyBatchNorm2d", (1e-3, None, False), (3, 2, 4, 4)),
    ("LazyBatchNorm3d", (), (3, 2, 4, 4, 2)),
]
every_layer = pytest.mark.parametrize(("name", "args", "shape"), LAYERS)


@every_layer
def test_a_lazy_layer_becomes_what_it_is_named_after(name, args, shape):
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    assert repr(ours) == repr(theirs)
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))
    ours(tg.zeros(shape))
    theirs(torch.zeros(shape))
    assert repr(ours) == repr(theirs)
    assert type(ours) is getattr(nn, name.removeprefix("Lazy"))
    shapes = {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == shapes


@every_layer
def test_a_lazy_layer_starts_as_that_layer_would(name, args, shape):
    tg.manual_seed(0)
    lazy = getattr(nn, name)(*args).double().eval()
    assert lazy(tg.ones(shape, dtype=tg.float64)).dtype == tg.float64
    sizes = "in_features", "in_channels", "num_features"
    (size,) = (v for k, v in vars(lazy).items() if k in sizes)
    tg.manual_seed(0)
    whole = getattr(nn, name.removeprefix("Lazy"))(size, *args)
    for key, value in whole.state_dict().items():
        assert tg.equal(lazy.state_dict()[key].to(value.dtype), value), key


def model():
    layers = nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(3)
    return nn.Sequential(*layers)


def test_an_optimizer_may_hold_what_has_no_shape_yet():
    net = model()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    net(tg.randn(2, 1, 5, 5)).sum().backward()
    before = net[3].bias.detach().clone()
    optimizer.step()
    assert not tg.equal(net[3].bias, before)


def test_a_state_gives_the_shapes_and_cannot_be_taken_without_them():
    net, other = model(), model()
    copied = copy.deepcopy(other)
    with pytest.raises(ModuleError, match="before the first call"):
        net.state_dict()
    with pytest.raises(ArgumentError, match="Call `forward`"):
        _ = net[0].weight.shape
    x = tg.randn(2, 1, 5, 5)
    net(x)
    for loaded in (other, copied):
        loaded.load_state_dict(net.state_dict())
        assert tg.equal(loaded.eval()(x), net.eval()(x))


def parts(net):
    """All objects that the model is made of, with their classes."""
    held = [
        m for module in net.modules() for m in (module, *module._parameters.values())
    ]
    return [(type(m), id(m)) for m in held] + [b.shape for b in net.buffers()]


@pytest.mark.parametrize("tied", [False, True])
def test_a_run_that_is_put_back_leaves_a_lazy_model_lazy(tied):
    net, x = model(), tg.randn(2, 1, 5, 5)
    if tied:
        net.append(nn.LazyLinear(3))
        net[4].bias = net[3].bias
    before = parts(net)
    with unchanged(net):
        y = net(x)
        assert type(net[3]) is nn.Linear and net[3].weight.shape == (3, 36)
    assert parts(net) == before
    y.sum().backward()  # what was recorded still has its parameters
    for look in (summary, draw, memory):
        look(net, x)
        assert parts(net) == before
    total = summary(net, x).total.parameters
    net(x)
    assert total == sum(p.numel() for p in net.parameters())


def test_what_names_parameters_needs_their_shapes():
    x, labels = tg.randn(2, 1, 5, 5), tg.tensor([0, 1])
    for look in (lint, lambda m, x, y: verify(m, x, labels=y)):
        with pytest.raises(ModuleError, match=r"3\.bias of Sequential have no shape"):
            look(model(), x, labels)
