"""`train`: its options, its records, and going on after an interruption."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.checkpoint import load
from tinygrad_cnn.cli import models as saved


def weights(path):
    return {k: t.numpy() for k, t in load(path)["model"].items()}


def assert_same_weights(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


def options(path="runs/net.ckpt"):
    return saved.read(Path(path))[0].options


def test_training_prints_its_summary_on_stdout_and_its_progress_on_stderr(train):
    outcome = train()
    for name in ("epochs", "training loss", "test accuracy", "test F1", "seconds"):
        assert name in outcome.out
    assert "runs/net.ckpt" in outcome.out
    assert "test accuracy" in outcome.err.splitlines()[2]
    assert "640 images to train, 1,000 to test" in outcome.err


def test_the_checkpoint_of_another_file_is_never_written_over(run, working_directory):
    other = working_directory / "other"
    other.mkdir()
    (other / "net.py").write_text((working_directory / "net.py").read_text())
    quick = "--data digits --limit 64 --epochs 1"
    assert run(f"train net.py {quick}").status == 0
    before = weights("runs/net.ckpt")
    for more in ("", "--out runs/net.ckpt"):
        found = run(f"train other/net.py {quick} {more}")
        assert found.status == 1
        assert (
            "runs/net.ckpt is the checkpoint of another model, ../net.py:Net"
            in found.err
        )
        assert "--out OTHER.ckpt" in found.err
    np.testing.assert_equal(weights("runs/net.ckpt"), before)
    assert run(f"train net.py {quick}").status == 0
    assert run(f"train other/net.py {quick} --out runs/other.ckpt").status == 0
    assert "runs/net.Net.ckpt" in run(f"train net.py:Net {quick}").out
    (working_directory / "notes.txt").write_text("mine")
    assert run(f"train net.py {quick} --out notes.txt").status == 1
    assert (working_directory / "notes.txt").read_text() == "mine"


def test_a_network_learns_the_built_in_digits(train):
    records = train("--epochs 5 --json").records
    assert records[-1]["test"]["accuracy"] > 0.8


def test_json_is_an_object_for_each_batch_and_epoch_and_for_the_end(train):
    records = train("--json --batch-size 100").records
    one_epoch = ["batch"] * 7 + ["epoch"]
    assert [r["event"] for r in records] == [*one_epoch, *one_epoch, "end", "summary"]
    assert records[-1]["checkpoint"] == "runs/net.ckpt"
    assert records[-1]["epoch"] == 2
    assert records[7]["accuracy"] == records[6]["accuracy"]


def test_options_come_from_the_user_then_the_model_then_the_defaults(train):
    train("--lr 0.2")
    used = options()
    assert used["lr"] == 0.2
    assert used["momentum"] == 0.5
    assert used["epochs"] == 2
    assert used["batch_size"] == 64


def test_another_optimizer_does_not_get_what_the_model_says_for_its_own(train):
    train("--optimizer adam --epochs 1")
    used = options()
    assert used["lr"] is None
    assert used["momentum"] is None


def test_the_optimizer_that_holds_anyway_may_be_named(train):
    train("--optimizer sgd --epochs 1")
    assert options()["lr"] == 0.1


def test_set_gives_the_model_its_keyword_arguments(train, working_directory):
    train("--epochs 1 --set hidden=5")
    assert weights("runs/net.ckpt")["layers.1.weight"].shape == (5, 784)
    assert saved.read(working_directory / "runs/net.ckpt")[0].settings == {
        "in_channels": 1,
        "image_size": 28,
        "num_classes": 10,
        "hidden": 5,
    }


def test_the_seed_decides_the_result(train):
    train("--epochs 1 --seed 3 --out a.ckpt")
    train("--epochs 1 --seed 3 --out b.ckpt")
    assert_same_weights("a.ckpt", "b.ckpt")
    train("--epochs 1 --seed 4 --out c.ckpt")
    with pytest.raises(AssertionError):
        assert_same_weights("a.ckpt", "c.ckpt")


def test_float64_is_float64_in_every_weight(train):
    train("--epochs 1 --dtype float64")
    assert {w.dtype for w in weights("runs/net.ckpt").values()} == {np.dtype("float64")}


@pytest.mark.filterwarnings("default:steps are not replayed")
def test_planned_training_says_where_steps_are_not_replayed(train, working_directory):
    assert "not replayed" not in train("--epochs 1 --planned").err
    model = (working_directory / "net.py").read_text()
    (working_directory / "net.py").write_text(model.replace("Dropout", "AlphaDropout"))
    assert "steps are not replayed" in train("--epochs 1 --planned --out a.ckpt").err
    assert "not replayed" not in train("--epochs 1 --out b.ckpt").err


def test_plans_change_no_bit(train):
    train("--epochs 1 --out planned.ckpt")
    train("--epochs 1 --no-plan --out recorded.ckpt")
    assert_same_weights("planned.ckpt", "recorded.ckpt")


def test_stop_at_ends_training_at_that_training_accuracy(train):
    records = train("--epochs 30 --stop-at 0.7 --json").records
    epochs = [r for r in records if r["event"] == "epoch"]
    assert len(epochs) < 30
    assert epochs[-1]["accuracy"] >= 0.7
    assert all(r["accuracy"] < 0.7 for r in epochs[:-1])


def test_patience_ends_training_without_progress(train):
    records = train("--epochs 30 --lr 0 --patience 2 --json").records
    assert [r["epoch"] for r in records if r["event"] == "epoch"] == [1, 2, 3]


def test_the_log_has_the_records_that_json_prints(train):
    printed = train("--log log.jsonl --json").records
    with open("log.jsonl") as log:
        logged = [json.loads(line) for line in log]
    assert logged == [r for r in printed if r["event"] != "summary"]


@pytest.mark.parametrize("scheduler", ["none", "cosine", "onecycle"])
def test_the_learning_rate_follows_the_scheduler(train, scheduler):
    records = train(f"--epochs 3 --scheduler {scheduler} --json").records
    rates = [r["lr"] for r in records if r["event"] == "batch"]
    if scheduler == "none":
        assert set(rates) == {0.1}
    if scheduler == "cosine":
        assert rates[::10] == pytest.approx([0.1, 0.075, 0.025])
    if scheduler == "onecycle":
        assert max(rates) == pytest.approx(0.1)
        assert rates[0] == pytest.approx(0.1 / 25)
        assert rates[-1] < 1e-6


def test_resume_goes_on_with_the_options_of_the_checkpoint(train, run):
    train("--epochs 4 --lr 0.05 --set hidden=7 --out whole.ckpt")
    train("--epochs 2 --lr 0.05 --set hidden=7")
    assert run("train net.py --resume --epochs 4").status == 0
    assert_same_weights("whole.ckpt", "runs/net.ckpt")
    assert options()["lr"] == 0.05


def test_resume_of_a_finished_run_says_that_nothing_is_left(train, run):
    train()
    outcome = run("train net.py --resume")
    assert outcome.status == 0
    assert "nothing left to do; --epochs" in outcome.err


def test_resume_can_read_one_file_and_write_another(train, run):
    train("--epochs 1 --out one.ckpt")
    assert run("train net.py --resume one.ckpt --out two.ckpt --epochs 2").status == 0
    assert load("one.ckpt")["progress"]["epoch"] == 1
    assert load("two.ckpt")["progress"]["epoch"] == 2


@pytest.mark.parametrize("option", ["--lr 1", "--set hidden=3", "--data mnist"])
def test_resume_refuses_what_cannot_change_any_more(train, run, option):
    train("--epochs 1")
    outcome = run(f"train net.py --resume {option}")
    assert outcome.status == 2
    assert f"{option.split()[0]} cannot be given again" in outcome.err


def test_resume_refuses_more_epochs_than_the_scheduler_was_planned_for(train, run):
    train("--scheduler onecycle")
    outcome = run("train net.py --resume --epochs 5")
    assert outcome.status == 2
    assert "was planned for 2 epochs" in outcome.err


def test_without_mnist_training_falls_back_to_digits_and_says_so(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)  # as where it is not installed
    outcome = run("train net.py --epochs 1 --limit 64")
    assert outcome.status == 0
    assert "using the built-in digits, since mnist/" in outcome.err
    assert options()["data"] == "digits"


def test_mnist_asked_for_by_name_is_never_replaced(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    outcome = run("train net.py --data mnist")
    assert outcome.status == 1
    assert "TINYGRAD_CNN_DATA_DIR" in outcome.err


def command_line(line):
    return [sys.executable, "-m", "tinygrad_cnn", *line.split()]


def summary_of(line):
    """Of the command line in a process of its own, with the threads that one has."""
    result = subprocess.run(command_line(line), capture_output=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
def test_ctrl_c_and_resume_give_what_an_uninterrupted_run_gives():
    line = "train net.py --data digits --limit 640 --epochs 3 --batch-size 4 --json"
    whole = summary_of(f"{line} --out whole.ckpt")
    process = subprocess.Popen(
        command_line(line), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for _ in range(200):  # an epoch has 160 batches
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate()
    assert process.returncode == 130
    assert "tinygrad-cnn train net.py --resume" in messages
    assert "Traceback" not in messages
    position = load("runs/net.ckpt")["progress"]
    assert 199 <= 160 * position["epoch"] + position["batch"] < 480

    resumed = summary_of("train net.py --resume --json")
    assert_same_weights("whole.ckpt", "runs/net.ckpt")
    for key in ("loss", "accuracy", "test"):
        assert resumed[key] == whole[key]


def test_json_stays_on_stdout_beside_a_live_bar(working_directory):
    pty = pytest.importorskip("pty")
    pytest.importorskip("rich")
    ours, terminal = pty.openpty()
    shown = []
    reader = threading.Thread(target=lambda: shown.extend(pieces_of(ours)))
    reader.start()
    line = "train net.py --data digits --limit 64 --epochs 1 --json"
    result = subprocess.run(
        command_line(line), stdout=subprocess.PIPE, stderr=terminal, text=True
    )
    os.close(terminal)
    reader.join()
    assert [json.loads(x)["event"] for x in result.stdout.splitlines()] == [
        *("batch", "epoch", "end", "summary")
    ]
    assert b"images/s" in b"".join(shown)
    os.close(ours)


def pieces_of(terminal):
    """What is shown on a terminal until its other end is closed, which is an error here."""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 10_000):
            yield piece


def test_ctrl_c_before_the_first_batch_promises_no_checkpoint(working_directory):
    (working_directory / "slow.py").write_text(
        "import time\nprint('loading', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen(
        command_line("train slow.py"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("", "stopped\n")
    assert process.returncode == 130
    assert not os.path.exists("runs")


def test_an_option_that_the_model_invents_is_refused(run, working_directory):
    text = (working_directory / "net.py").read_text()
    (working_directory / "net.py").write_text(text.replace('"lr"', '"learning_rate"'))
    outcome = run("train net.py --data digits")
    assert outcome.status == 1
    assert "Net.defaults has learning_rate, which `train` does not know" in outcome.err
