"""Model files: which class is taken, and what it is built with."""

import pytest

from tinygrad_cnn import nn
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
    with pytest.raises(ModelFileError, match=r"derived from tinygrad_cnn\.nn\.Module"):
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
