"""`summary`: what a model costs, from the command line."""

import csv
import io
import json

import pytest

PARAMETERS = 784 * 16 + 16 + 16 * 10 + 10
MACS = 784 * 16 + 16 * 10
"""Of one image, of net.py."""


def total(run, line):
    (record,) = run(f"summary net.py --json {line}").records
    return record["total"]


def test_parameters_and_multiply_adds_are_those_of_the_layers(run):
    figures = total(run, "--batch-size 3")
    assert figures["parameters"] == PARAMETERS
    assert figures["macs"] == 3 * MACS


def test_the_batch_is_as_large_as_in_training(run, working_directory):
    assert total(run, "")["macs"] == 64 * MACS
    text = (working_directory / "net.py").read_text()
    (working_directory / "net.py").write_text(
        text.replace('"epochs"', '"batch_size": 5, "epochs"')
    )
    assert total(run, "")["macs"] == 5 * MACS
    assert total(run, "--set hidden=3")["parameters"] == 784 * 3 + 3 + 3 * 10 + 10


def test_the_table_says_what_was_run(run):
    outcome = run("summary net.py")
    assert outcome.status == 0, outcome.err
    title, _, heading, *_ = outcome.out.splitlines()
    assert title == "Net, a training step on 64 images of digits"
    assert "parameters" in heading
    assert f"{PARAMETERS:,}" in outcome.out


def test_the_other_formats_are_what_they_are_called(run):
    rows = list(csv.DictReader(io.StringIO(run("summary net.py --csv").out)))
    assert int(rows[-1]["parameters"]) == PARAMETERS
    lines = run("summary net.py --markdown").out.splitlines()
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    latex = run("summary net.py --latex").out
    assert latex.startswith(r"\begin{tabular}")
    assert latex.rstrip().endswith(r"\end{tabular}")


def test_the_memory_of_a_step_is_drawn(run, working_directory):
    pytest.importorskip("matplotlib")
    outcome = run("summary net.py --memory memory.svg")
    assert outcome.status == 0, outcome.err
    title, peak, *holders = outcome.out.splitlines()
    assert title == "memory.svg: Net, a training step on 64 images of digits"
    assert peak.startswith("peak ")
    assert holders
    text = (working_directory / "memory.svg").read_text("utf-8")
    assert "<svg" in text
    outcome = run("summary net.py --memory memory.svg --json")
    assert json.loads(outcome.out)["peak"] > 0


@pytest.mark.parametrize("options", ["--json --csv", "--memory memory.svg --csv"])
def test_two_formats_at_once_are_wrong_usage(run, options):
    outcome = run(f"summary net.py {options}")
    assert outcome.status == 2
    assert outcome.err
