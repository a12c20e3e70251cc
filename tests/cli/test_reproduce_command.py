"""`tinygrad-cnn reproduce`: what it prints, keeps and refuses."""

import os
from pathlib import Path

import pytest

from tinygrad_cnn.cli import display, reproduce
from tinygrad_cnn.reproduce.run import Step

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("TINYGRAD_CNN_DATA_DIR")


def test_the_list_names_every_experiment(run):
    found = run("reproduce --list")
    assert found.status == 0
    names = [line.split()[0] for line in found.out.splitlines()[1:]]
    assert names == ["day2", "day3", "numpy-cnn", "patches", "lenet", "rnn", "cifar"]


@pytest.mark.parametrize("more", ["day4", "day4 --list"])
def test_an_unknown_name_is_one_line(run, more):
    found = run(f"reproduce {more}")
    assert found.status == 1
    assert found.err.startswith("error: there is no experiment day4; there are day2")
    assert found.err.count("\n") == 1


def test_models_that_are_not_there_are_told_of(run):
    pytest.importorskip("matplotlib")
    found = run("reproduce day2 --models nowhere")
    assert found.status == 1
    assert "there are no model files in nowhere" in found.err


def test_data_that_are_not_there_are_told_of(run, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("TINYGRAD_CNN_DATA_DIR", str(tmp_path))
    found = run("reproduce day2")
    assert found.status == 1
    assert "mnist" in found.err.lower()
    assert not Path("reproduced").exists()


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="TINYGRAD_CNN_DATA_DIR is not set")
def test_results_are_kept_and_shown(run, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("TINYGRAD_CNN_DATA_DIR", str(DATA))
    first = run("reproduce day2 --out found")
    assert first.status == 0, first.err
    assert "day2: sobel" in first.err
    assert first.out.splitlines() == ["found/day2/tables.md", "found/README.md"]
    assert "150,528" in Path("found/README.md").read_text("utf-8")
    again = run("reproduce day2 --out found")
    assert "sobel" not in again.err
    other = run("reproduce day2 --out found --seed 1")
    assert (
        other.status == 1
        and "of day2 in found" in other.err
        and "seed 0 is now 1" in other.err
    )
    anew = run("reproduce day2 --out found --seed 1 --again")
    assert anew.status == 0 and "day2: sobel" in anew.err


def test_progress_guesses_the_time_left(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(display.time, "perf_counter", lambda: now)
    shown = reproduce.Progress()
    shown.show(Step("lenet", "shapes", 0, 0))
    now = 30.0
    shown.show(Step("lenet", "shapes", 0.9, 0.3))
    shown.show(Step("lenet", "adam", 0, 0.4))
    now = 100.0
    shown.show(Step("lenet", "adam", 0.5, 0.5))
    assert capsys.readouterr().err.splitlines() == [
        "lenet: shapes",
        "lenet: adam, about 0:00:45 left",
        "lenet: adam, 50%, about 0:01:40 left",
    ]
