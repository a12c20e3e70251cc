"""`train --engine torch`: its checkpoints, several processes, and what it refuses."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.checkpoint import load

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"
)


def weights(path):
    return {k: t.numpy() for k, t in load(path)["model"].items()}


@needs_torch
def test_it_writes_what_every_command_reads(train, run):
    train("--epochs 1 --engine torch --log log.jsonl")
    with open("log.jsonl") as log:
        records = [json.loads(line) for line in log]
    assert [r["event"] for r in records] == ["batch"] * 10 + ["epoch", "end"]
    scores = json.loads(run("eval net.py runs/net.ckpt --json").out)
    assert scores["accuracy"] == records[-2]["test"]["accuracy"]
    assert scores["loss"] == pytest.approx(records[-2]["test"]["loss"], rel=1e-5)
    assert load("runs/net.ckpt")["manifest"]["engine"].startswith("PyTorch ")


@needs_torch
def test_a_run_in_two_parts_is_the_run_in_one_to_the_bit_dropout_too(train, run):
    train("--epochs 2 --engine torch --out whole.ckpt")
    train("--epochs 1 --engine torch")
    outcome = run("train net.py --resume --epochs 2 --engine torch")
    assert outcome.status == 0
    assert "to the bit" not in outcome.err
    np.testing.assert_equal(weights("runs/net.ckpt"), weights("whole.ckpt"))


@needs_torch
@pytest.mark.filterwarnings("default:the run of")
def test_either_engine_goes_on_from_a_checkpoint_of_the_other(
    train, run, working_directory
):
    text = (working_directory / "net.py").read_text()
    (working_directory / "net.py").write_text(text.replace("Dropout(0.1)", "ReLU()"))
    train("--epochs 3 --dtype float64 --out whole.ckpt")
    train("--epochs 1 --dtype float64")
    for epochs, engine in ((2, "--engine torch"), (3, "")):
        outcome = run(f"train net.py --resume --epochs {epochs} {engine}")
        assert outcome.status == 0
        assert "does not go on to the bit: engine was" in outcome.err
    found, wanted = weights("runs/net.ckpt"), weights("whole.ckpt")
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, atol=1e-12)


def test_without_pytorch_it_says_how_to_install_it(run, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    outcome = run("train net.py --engine torch")
    assert outcome.status == 1
    assert outcome.err == "error: --engine torch needs PyTorch: pip install torch\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--device cpu", "--device is for --engine torch"),
        ("--planned --engine torch", "--planned replays steps of this package"),
    ],
)
def test_options_that_belong_to_the_other_engine_are_refused(run, line, says):
    outcome = run(f"train net.py {line}")
    assert outcome.status == 2
    assert says in outcome.err


def test_several_processes_are_for_pytorch_only(run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = run("train net.py")
    assert outcome.status == 2
    assert "torchrun is for --engine torch" in outcome.err


@needs_torch
def test_a_gpu_that_is_not_here_is_told_in_a_line(run):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    outcome = run("train net.py --engine torch --device cuda")
    assert outcome.status == 1
    assert outcome.err.count("\n") == 1
    assert "finds no cuda on this computer; --device cpu" in outcome.err


def started(command, **more):
    line = [*command, "train", "net.py", "--data", "digits", *more.pop("words")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, **pipes, **more)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM of this kind")
@pytest.mark.parametrize("first", [[], ["sh", "-c", "trap '' INT; exec \"$@\"", "-"]])
def test_sigterm_stops_between_two_batches_as_ctrl_c_does(first):
    """Also where Ctrl-C is ignored, as in the background of a shell."""
    words = ["--limit", "640", "--epochs", "1000", "--json"]
    process = started([*first, sys.executable, "-m", "tinygrad_cnn"], words=words)
    for _ in range(30):
        process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate()
    assert process.returncode == 130
    assert "tinygrad-cnn train net.py --resume" in messages
    assert load("runs/net.ckpt")["progress"]["epoch"] >= 2


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
TORCHRUN += ["-m", "--", "tinygrad_cnn"]


def logged(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@needs_torch
@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(run, working_directory):
    """The last batch has 10 images of 650, and 1 of 129: one process has none of it."""
    text = (working_directory / "net.py").read_text()
    (working_directory / "net.py").write_text(text.replace("Dropout(0.1)", "ReLU()"))
    for limit in (650, 129):
        words = f"--limit {limit} --dtype float64 --engine torch"
        assert (
            run(
                f"train net.py --data digits {words} --log one{limit} --out one.ckpt"
            ).status
            == 0
        )
        more = f"{words} --log two{limit} --out two.ckpt".split()
        process = started(TORCHRUN, words=more)
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert out.count("test accuracy") == 1
        assert "2 processes" in errors
        one, two = logged(f"one{limit}"), logged(f"two{limit}")
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            for key in {"loss", "accuracy", "lr"} & a.keys():
                assert a[key] == pytest.approx(b[key], rel=1e-12)
        a, b = one[-2]["test"], two[-2]["test"]
        assert a.pop("loss") == pytest.approx(b.pop("loss"), rel=1e-12)
        assert a == b
        for name, value in weights("one.ckpt").items():
            np.testing.assert_allclose(weights("two.ckpt")[name], value, rtol=1e-9)


@needs_torch
@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="finds processes in /proc")
@pytest.mark.filterwarnings("default:the run of")  # one process goes on
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_leaves_a_whole_checkpoint(rank, run):
    words = ["--limit", "640", "--epochs", "1000", "--engine", "torch"]
    process = started(TORCHRUN, words=words, start_new_session=True)
    try:
        wait_for(lambda: os.path.exists("runs/net.ckpt"))
        os.kill(child_of(process.pid, rank), signal.SIGKILL)
        _, messages = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "SIGKILL" in messages  # says torchrun
    if rank == 1:  # the first process says what it noticed first
        assert re.search("another process of this run has ended|to go on: ", messages)
    epoch = load("runs/net.ckpt")["progress"]["epoch"]
    assert epoch >= 1
    more = f"--resume --epochs {epoch + 2} --engine torch"
    assert run(f"train net.py {more}").status == 0


def child_of(parent, rank):
    """The process of that rank that torchrun has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            variables = (folder / "environ").read_text().split("\0")
        except OSError:
            continue
        if int(fields[1]) == parent and f"RANK={rank}" in variables:
            return int(folder.name)
    raise LookupError(f"no process of rank {rank}")
