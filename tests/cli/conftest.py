"""A user's working directory with a small model file, and the command line."""

import functools
import json

import pytest

from tinygrad_cnn.cli.main import main
from tinygrad_cnn.data import datasets

MODEL = """
import tinygrad_cnn.nn as nn

class Net(nn.Module):
    defaults = {"optimizer": "sgd", "lr": 0.1, "momentum": 0.5, "epochs": 2}

    def __init__(self, in_channels, image_size, num_classes, hidden=16):
        super().__init__()
        pixels = in_channels * image_size * image_size
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, hidden),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, x):
        return self.layers(x)
"""

draw_once = functools.cache(datasets.draw_digits)


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """An empty directory with net.py; no data but the digits; digits drawn only once."""
    monkeypatch.setattr(datasets, "draw_digits", draw_once)
    monkeypatch.delenv("TINYGRAD_CNN_DATA_DIR", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # or else `main` would, for good
    # what a process of a student's file imports need not be compiled each time
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(MODEL)
    return tmp_path


class Outcome:
    def __init__(self, status, captured):
        self.status, self.out, self.err = status, captured.out, captured.err

    @property
    def records(self):
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(capsys):
    """Runs a command line, given as one string, in this process."""

    def command(line):
        capsys.readouterr()
        return Outcome(main(line.split()), capsys.readouterr())

    return command


@pytest.fixture
def train(run):
    """Trains net.py quickly on 640 digits; fails where that fails."""

    def command(more=""):
        outcome = run(f"train net.py --data digits --limit 640 {more}")
        assert outcome.status == 0, outcome.err
        return outcome

    return command
