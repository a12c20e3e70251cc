"""The oracle of these tests is PyTorch itself: the same code is run with both libraries."""

import re

import pytest
from pytorch import from_pytorch, torch

import tinygrad_cnn


def plain(value):
    """Tensors as lists, and texts without what only names the library."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, str):
        value = re.sub(r"torch\.Size\(\[(\d+)\]\)", r"(\1,)", value)
        value = re.sub(r"torch\.Size\(\[(.*?)\]\)", r"(\1)", value)
        value = re.sub(r"<class '\S*\.(\w+)'>", r"<class \1>", value)
        value = re.sub(r"torch\.nn\.modules\.\w+\.", "", value)
        value = value.replace("torch.FloatTensor", "Tensor").replace("torch.nn.", "nn.")
        value = value.replace("nn.Buffer, torch.Tensor", "Tensor")
        return value.replace("torch.", "").replace("torch Tensor", "Tensor")
    if isinstance(value, dict):
        return [[plain(k), plain(v)] for k, v in value.items()]
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    return value


def outcome(scenario, library):
    try:
        return plain(scenario(library)), None
    except Exception as error:
        return plain(str(error.args[0])), error


@pytest.fixture
def agree():
    """agree(scenario): scenario(library) gives, or raises, the same with both.

    refused: it must raise.
    """

    def theirs(scenario):
        value, error = outcome(scenario, torch)
        return value, None if error is None else type(error).__name__

    def check(scenario, refused=False):
        expected, kind = from_pytorch(lambda: theirs(scenario))
        ours, error = outcome(scenario, tinygrad_cnn)
        assert kind is not None or not refused
        if kind is None:
            if error is not None:
                raise error
            assert ours == expected
        else:
            assert kind in [k.__name__ for k in type(error).__mro__], error
            assert isinstance(error, tinygrad_cnn.errors.TinygradError), error
            assert ours.startswith(expected)

    return check
