"""A name that is missing says what was meant, or that only PyTorch has it."""

import importlib

import pytest

import tinygrad_cnn as ours
from tinygrad_cnn import data, nn, optim
from tinygrad_cnn.missing import closest, pytorch_names


@pytest.mark.parametrize(
    ("holder", "name", "meant"),
    [
        (nn, "Conv2D", "Conv2d"),
        (nn, "conv_2d", "Conv2d"),
        (nn.functional, "maxpool2d", "max_pool2d"),
        (ours, "mtmul", "matmul"),
        (optim, "Adamm", "Adam"),
        (optim.lr_scheduler, "StepLr", "StepLR"),
        (data.transforms, "ToTensr", "ToTensor"),
        (nn.init, "kaimin_uniform_", "kaiming_uniform"),
        (ours.ones(2), "sofmax", "softmax"),
        (ours.ones(2), "requires_gard", "requires_grad"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_right_one(holder, name, meant):
    with pytest.raises(AttributeError, match=rf"no .*{name}; did you mean {meant}\?"):
        getattr(holder, name)


def test_also_where_it_is_imported():
    with pytest.raises(ImportError, match=r"did you mean Conv2d\?"):
        from tinygrad_cnn.nn import Conv2D  # noqa: F401
    with pytest.raises(ImportError, match=r"did you mean matmul\?"):
        from tinygrad_cnn import matmull  # noqa: F401


def test_a_name_that_only_pytorch_has_is_said_to_be_one():
    with pytest.raises(
        AttributeError, match=r"PyTorch has nn\.CTCLoss, tinygrad_cnn has"
    ):
        _ = nn.CTCLoss
    with pytest.raises(AttributeError, match=r"PyTorch has Tensor\.sparse_mask, tiny"):
        _ = ours.ones(2).sparse_mask


def test_a_name_like_no_other_is_only_missing():
    with pytest.raises(AttributeError, match=r"no nn\.qqqq$"):
        _ = nn.qqqq
    assert not hasattr(nn, "qqqq")
    assert not hasattr(ours.ones(2), "qqqq")


@pytest.mark.parametrize(("name", "meant"), [("trian", "train"), ("mnst", "mnist")])
def test_the_closest_of_words(name, meant):
    assert closest(name, ["train", "draw", "mnist"]) == meant
    assert closest("xyzzy", ["train", "draw"]) == ""


def test_pytorchs_names_are_those_of_the_pytorch_that_is_compared_with():
    pytest.importorskip("torch")
    names = importlib.import_module("parity.pytorch_names").text()
    lines = dict(line.split(":") for line in names.splitlines())
    assert pytorch_names() == {k: frozenset(v.split()) for k, v in lines.items()}
