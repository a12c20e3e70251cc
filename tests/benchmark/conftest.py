"""Peers that misbehave."""

import os
from pathlib import Path

import pytest

from tinygrad_cnn.benchmark.peers import Peer


@pytest.fixture
def odd(monkeypatch):
    """A peer of tests/benchmark/peers by the name of its file."""
    here = str(Path(__file__).parent / "peers")
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, before]))
    return lambda name: Peer(name, name.replace("_", " "), f"{name}:load")
