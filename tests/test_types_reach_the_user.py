"""A user's type checker and editor know what the package gives."""

import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest

USERS_FILE = """\
import tinygrad_cnn as torch
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import Tensor, nn

x = torch.randn(2, 3, 8, 8)
reveal_type(x)
reveal_type(nn.Linear(4, 3))
reveal_type(nn.Conv2d(3, 4, 3)(x))
reveal_type(F.conv2d(x, torch.ones(4, 3, 3, 3)))
reveal_type(torch.relu(x + 1).sum())
"""
EXPECTED = ["Tensor", "Linear", "Tensor", "Tensor", "Tensor"]


def revealed(command, tmp_path, text):
    """What a type checker says of each reveal_type, as the last part of the name."""
    file = tmp_path / "users_file.py"
    file.write_text(text)
    done = subprocess.run(
        [*command, file.name], cwd=tmp_path, capture_output=True, text=True
    )
    words = ("Revealed type is ", "Type of ")
    lines = [line for line in done.stdout.splitlines() if any(w in line for w in words)]
    types = [line.replace('"', " ").split()[-1].rpartition(".")[2] for line in lines]
    return types, done.returncode, done.stdout


@pytest.fixture(params=["mypy", "pyright"])
def checker(request):
    if request.param == "mypy":
        pytest.importorskip("mypy")
        return [sys.executable, "-m", "mypy", "--strict"]
    if not (find_spec("pyright") or shutil.which("pyright")):
        pytest.skip("pyright is not installed")
    return [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]


@pytest.mark.slow
def test_ten_lines_of_a_users_file(checker, tmp_path):
    types, status, output = revealed(checker, tmp_path, USERS_FILE)
    assert types == EXPECTED, output
    assert status == 0, output


@pytest.mark.slow
def test_a_misspelled_name_is_found(checker, tmp_path):
    _, status, output = revealed(
        checker, tmp_path, "import tinygrad_cnn\n\ntinygrad_cnn.relo\n"
    )
    assert status == 1
    assert "relo" in output
