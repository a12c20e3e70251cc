"""`bench`: measuring from the command line."""

import json
import re

import pytest

from tinygrad_cnn.benchmark.peers import PEERS

QUICK = "--quick --rounds 2 --threads 1"
ALONE = f"{QUICK} --peers tinygrad_cnn"


def test_the_list_names_every_case_and_peer(run):
    outcome = run("bench --list")
    assert outcome.status == 0
    for name in ("lenet5-b64", "vgg-b64", "multiply-1000", "operations", *PEERS):
        assert re.search(rf"^{name} ", outcome.out, re.MULTILINE)


def test_ours_alone_is_measured_and_written(run, working_directory):
    pytest.importorskip("matplotlib")
    files = "--json b.json --markdown docs/b.md --picture pictures/b.svg"
    outcome = run(f"bench relu log-softmax-nll {ALONE} {files}")
    assert outcome.status == 0, outcome.err
    assert "relu: operation, ReLU on 6x28x28, batch 64" in outcome.out
    assert re.search(r"^tinygrad_cnn +1\.00 +1\.00 ", outcome.out, re.MULTILINE)
    assert [line.split(",")[0] for line in outcome.err.splitlines()] == [
        "relu",
        "log-softmax-nll",
    ]
    found = json.loads((working_directory / "b.json").read_text("utf-8"))
    assert [case["name"] for case in found["cases"]] == ["relu", "log-softmax-nll"]
    assert len(found["cases"][0]["peers"][0]["seconds"]) == 2
    assert found["machine"]["threads"] == 1
    assert found["command"].startswith(
        "tinygrad-cnn bench relu log-softmax-nll --quick"
    )
    page = (working_directory / "docs" / "b.md").read_text("utf-8")
    assert "](../pictures/b.svg)" in page
    assert (working_directory / "pictures" / "b.svg").exists()


@pytest.mark.slow
def test_scale_is_measured_and_written(run, working_directory, monkeypatch):
    axes = {"batch": (1, 2), "depth": (1,)}
    monkeypatch.setattr("tinygrad_cnn.benchmark.scale.AXES", axes)
    outcome = run(f"bench scale {ALONE} --json s.json --markdown s.md")
    assert outcome.status == 0, outcome.err
    assert re.search(r"^images in the batch +tinygrad_cnn$", outcome.out, re.MULTILINE)
    found = json.loads((working_directory / "s.json").read_text("utf-8"))["axes"]
    assert {axis: [p["value"] for p in points] for axis, points in found.items()} == {
        **{axis: list(values) for axis, values in axes.items()},
        "threads": [1],
    }
    assert "| residual blocks |" in (working_directory / "s.md").read_text("utf-8")


@pytest.mark.slow
def test_pytorch_is_compared_where_it_is(run):
    pytest.importorskip("torch")
    outcome = run(f"bench lenet5-b1 {QUICK} --peers tinygrad_cnn,torch")
    assert outcome.status == 0, outcome.err
    assert re.search(r"^PyTorch +\d+\.\d\d ", outcome.out, re.MULTILINE)


@pytest.mark.slow
def test_a_file_of_your_own_is_measured(run):
    outcome = run(f"bench --model net.py --set hidden=8 --batch-size 5 {ALONE}")
    assert outcome.status == 0, outcome.err
    assert "net: model, Net on digits, batch 5" in outcome.out
    assert re.search(r"^tinygrad_cnn +1\.00", outcome.out, re.MULTILINE)


@pytest.mark.slow
def test_the_same_file_runs_under_pytorch(run, working_directory):
    pytest.importorskip("torch")
    outcome = run(f"bench --model net.py {QUICK}")  # it has dropout, too
    assert outcome.status == 0, outcome.err
    assert re.search(r"^PyTorch +\d+\.\d\d ", outcome.out, re.MULTILINE), outcome.out


@pytest.mark.slow
def test_a_file_that_pytorch_cannot_run_is_measured_alone(run, working_directory):
    pytest.importorskip("torch")
    path = working_directory / "net.py"
    ours = "self.layers(x + 0 * x._array.sum())"  # no Tensor of PyTorch has that
    path.write_text(path.read_text().replace("self.layers(x)", ours))
    outcome = run(f"bench --model net.py {QUICK}")
    assert outcome.status == 0, outcome.err
    assert re.search(r"^tinygrad_cnn +1\.00", outcome.out, re.MULTILINE)
    assert re.search(r"^PyTorch failed: AttributeError: ", outcome.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ("lenet", 1, "there is no case 'lenet'"),
        ("relu scale", 1, "there is no case 'scale'"),
        ("relu --peers torche", 1, "there is no peer torche"),
        ("relu --model net.py", 2, "--model is a case itself"),
        ("relu --set hidden=3", 2, "are of --model"),
        ("relu --rounds 0", 2, "expected at least 1"),
        ("--model nowhere.py", 1, "there is no model file nowhere.py"),
        (f"relu {ALONE} --picture b.jpg", 1, "b.jpg is no picture"),
    ],
)
def test_what_cannot_be_measured_is_one_line(run, options, status, message):
    outcome = run(f"bench {options}")
    assert outcome.status == status
    assert message in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err


def test_who_is_not_installed_is_said(run, monkeypatch):
    monkeypatch.setattr("tinygrad_cnn.benchmark.peers.base.metadata.version", missing)
    outcome = run("bench relu --peers tinygrad_cnn,torch")
    assert outcome.status == 2
    assert "PyTorch cannot take part: not available here" in outcome.err
    outcome = run(f"bench relu {QUICK}")
    assert outcome.status == 0, outcome.err
    assert "without PyTorch, PyTorch compiled, JAX jit: not" in outcome.err


def missing(name):
    from importlib import metadata

    raise metadata.PackageNotFoundError(name)


def test_progress_guesses_the_time_left(monkeypatch, capsys):
    from tinygrad_cnn.cli import bench, display

    now = 0.0
    monkeypatch.setattr(display.time, "perf_counter", lambda: now)
    shown = bench.Progress(cases=2, peers=1, rounds=2)
    assert shown.left() == ""
    shown.begin("first")
    for what in ("builds", "warms up", "round 1", "round 2"):
        shown.tell(what)
    now = 30.0
    assert shown.share == 0.5
    shown.begin("second")
    assert capsys.readouterr().err.splitlines() == [
        "first, 1 of 2",
        "second, 2 of 2, about 0:00:30 left",
    ]


def test_the_bar_shows_what_goes_on(capsys):
    pytest.importorskip("rich")
    from tinygrad_cnn.cli.bench import Progress

    with Progress(cases=1, peers=1, rounds=1, live=True) as shown:
        shown.begin("lenet5-b1")
        shown.tell("PyTorch warms up")
        (task,) = shown.bar.tasks
        assert task.description == "lenet5-b1: PyTorch warms up"
        assert task.completed == pytest.approx(1 / 3)
