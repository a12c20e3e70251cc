"""The command line as a whole: help, exit status, and errors in one line."""

import subprocess
import sys

import pytest

HEAVY = "numpy rich pooch matplotlib asyncio"


def python(*arguments, **options):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_help_lists_the_commands_and_imports_nothing_heavy():
    code = (
        "import sys; from tinygrad_cnn.cli.main import main; status = main(['--help']);"
        f"print(status, [m for m in '{HEAVY}'.split() if m in sys.modules])"
    )
    result = python("-c", code)
    assert result.stdout.splitlines()[-1] == "0 []"
    for command in ("train", "eval", "predict"):
        assert f"    {command} " in result.stdout


def test_python_m_is_the_same_program():
    result = python("-m", "tinygrad_cnn", "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: tinygrad-cnn ")


@pytest.mark.parametrize("command", ["train", "eval", "predict"])
def test_each_command_has_help(run, command):
    outcome = run(f"{command} --help")
    assert outcome.status == 0
    assert outcome.out.startswith(f"usage: tinygrad-cnn {command} ")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "tran net.py",
        "train",
        "train net.py --epochs 0",
        "train net.py --data imagenet",
        "train net.py --set hidden",
        "train net.py --stop-at 95",
        "train net.py --data digits --optimizer adagrad --momentum 0.9",
        "predict net.py x.ckpt",
    ],
)
def test_wrong_usage_is_status_2(run, line):
    outcome = run(line)
    assert outcome.status == 2
    assert outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train nowhere.py", "there is no model file nowhere.py"),
        ("train net.py --resume", "there is no checkpoint runs/net.ckpt"),
        ("eval net.py nowhere.ckpt", "there is no checkpoint nowhere.ckpt"),
        ("eval net.py net.py", "net.py is damaged or no checkpoint"),
        ("train net.py --data digits --set hiden=3", "Net takes no hiden"),
        ("train net.py --data digits --limit 64 --lr 1e30", "lower learning rate"),
    ],
)
def test_an_error_is_status_1_and_one_line(run, line, message):
    outcome = run(line)
    assert outcome.status == 1
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in outcome.err


BROKEN = """
import tinygrad_cnn.nn as nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(100, 10)

    def forward(self, x):
        return self.first(x.flatten(1))
"""


def test_an_error_inside_the_model_names_the_operation_and_the_line(
    run, working_directory
):
    (working_directory / "broken.py").write_text(BROKEN)
    outcome = run("train broken.py --data digits --limit 64")
    assert outcome.status == 1
    (line,) = [x for x in outcome.err.splitlines() if x.startswith("error: ")]
    assert "broken.py:10" in line
    assert "784" in line
    assert "100" in line


def test_a_mistake_in_the_model_names_its_kind_and_line(run, working_directory):
    (working_directory / "broken.py").write_text(BROKEN.replace("x.flat", "y.flat"))
    outcome = run("train broken.py --data digits --limit 64")
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: NameError: name 'y' is not defined")
    assert "broken.py:10; --debug shows more" in last


def test_debug_shows_the_traceback(run):
    outcome = run("train nowhere.py --debug")
    assert outcome.status == 1
    assert "Traceback" in outcome.err
    assert "ModelFileError" in outcome.err


def test_a_reader_that_goes_away_is_no_traceback(working_directory):
    line = "train net.py --data digits --limit 64 --epochs 500 --json"
    process = subprocess.Popen(
        [sys.executable, "-m", "tinygrad_cnn", *line.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
