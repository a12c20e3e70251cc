"""Model files: which class is taken, and what it is built with."""

import sys

import pytest

from tinygrad_cnn import nn, ones
from tinygrad_cnn.cli.options import parse_value
from tinygrad_cnn.errors import ModelFileError
from tinygrad_cnn.training.model_file import build, load_class

TWO = """
import tinygrad_cnn.nn as nn
from tinygrad_cnn.nn import Linear

class Block(nn.Module):
    pass

class Net(nn.Module):
    pass
"""


class Choosy(nn.Module):
    def __init__(self, image_size, hidden, activation="relu"):
        super().__init__()


class Takes(nn.Module):
    def __init__(self, **settings):
        super().__init__()
        self.settings = settings


@pytest.fixture
def write(tmp_path):
    def file(text, name="model.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return file


def test_the_only_class_of_a_file_needs_no_name(write):
    path = write(TWO.replace("class Block(nn.Module)", "class Block"))
    assert load_class(str(path)).__name__ == "Net"


def test_imported_classes_are_not_the_files_own(write):
    path = write("from tinygrad_cnn.nn import Linear, Module\nclass A(Module): pass")
    assert load_class(str(path)).__name__ == "A"


def test_a_class_can_be_named(write):
    assert load_class(f"{write(TWO)}:Block").__name__ == "Block"


def test_several_classes_are_listed(write):
    path = write(TWO)
    with pytest.raises(ModelFileError, match=r"more than one .*:Block, .*:Net"):
        load_class(str(path))


def test_an_unknown_class_lists_those_there_are(write):
    with pytest.raises(ModelFileError, match=r"no model class Nat.*:Block, .*:Net"):
        load_class(f"{write(TWO)}:Nat")


def test_a_file_without_a_model_says_what_a_model_is(write):
    with pytest.raises(ModelFileError, match=r"derived from nn\.Module"):
        load_class(str(write("x = 1")))


def test_a_syntax_error_is_named_with_its_line(write):
    with pytest.raises(ModelFileError, match=r"model\.py, line 2: "):
        load_class(str(write("x = 1\ndef f(:\n")))


def test_a_missing_file_is_named():
    with pytest.raises(ModelFileError, match="no model file nowhere"):
        load_class("nowhere.py:Net")


def test_a_file_may_have_the_name_of_a_library(write):
    path = write(
        "import random\nfrom tinygrad_cnn.nn import Module\nclass A(Module): pass"
    )
    load_class(str(path.rename(path.with_name("random.py"))))
    import random

    assert random.random() < 1


def test_what_the_data_say_fills_in_what_the_user_leaves_out():
    known = {"image_size": 28, "in_channels": 1}
    _, settings = build(Choosy, {"hidden": 5}, known)
    assert settings == {"image_size": 28, "hidden": 5}
    _, settings = build(Choosy, {"hidden": 5, "image_size": 9}, known)
    assert settings["image_size"] == 9


def test_an_unknown_setting_lists_those_there_are():
    with pytest.raises(ModelFileError, match=r"takes no hiden.*image_size, hidden"):
        build(Choosy, {"hiden": 5}, {})


def test_a_missing_setting_says_how_to_give_it():
    with pytest.raises(ModelFileError, match="--set image_size=VALUE --set hidden="):
        build(Choosy, {}, {})


def test_a_class_with_keyword_arguments_takes_any():
    model, _ = build(Takes, {"anything": 1}, {})
    assert model.settings == {"anything": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", False),
        ("none", None),
        ("relu", "relu"),
        ("128,64", (128, 64)),
        ("128,", (128,)),
        ("1,a,true", (1, "a", True)),
        ("__import__('os')", "__import__('os')"),
    ],
)
def test_values_are_read_as_python_would_without_running_anything(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


THEIRS = """
import torch
import torch.nn as nn

class Block(nn.Module):
    def forward(self, x):
        return x

class Net(nn.Module):
    def __init__(self, block, num_classes=10):
        super().__init__()
        self.block, self.last = block(), nn.Linear(4, num_classes)

    def forward(self, x):
        return self.last(self.block(torch.flatten(x, 1)))

def small(num_classes=10):
    return Net(Block, num_classes)

def nothing():
    return 1
"""


def test_a_file_written_for_pytorch_needs_no_change(write):
    path = write(THEIRS)
    model, settings = build(load_class(f"{path}:small"), {}, {"num_classes": 3})
    assert isinstance(model, nn.Module)
    assert model(ones(2, 1, 2, 2)).shape == (2, 3)
    assert settings == {"num_classes": 3}


def test_a_function_that_makes_no_model_is_named(write):
    with pytest.raises(ModelFileError, match="nothing makes no model: it returns int"):
        build(load_class(f"{write(THEIRS)}:nothing"), {}, {})


def test_a_misspelt_function_is_answered_with_the_right_one(write):
    with pytest.raises(
        ModelFileError, match=r"no model class smal; did you mean small\?"
    ):
        load_class(f"{write(THEIRS)}:smal")


def test_a_file_may_import_those_beside_it_and_be_a_part_of_a_package(write, tmp_path):
    (tmp_path / "nets").mkdir()
    write("", "nets/__init__.py")
    write("import torch.nn as nn\nclass Base(nn.Module): pass", "nets/base.py")
    beside = write("from base import Base\nclass A(Base): pass", "nets/beside.py")
    inside = write("from .base import Base\nclass A(Base): pass", "nets/inside.py")
    for path in (beside, inside):
        assert issubclass(load_class(str(path)), nn.Module)
    assert not {"base", "nets", "nets.base"} & {*sys.modules}


def test_a_file_for_this_package_that_imports_pytorch_gets_pytorch(write):
    torch = pytest.importorskip("torch")
    text = "import torch\nimport tinygrad_cnn.nn as nn\nclass A(nn.Module): t = torch"
    assert load_class(str(write(text))).t is torch
