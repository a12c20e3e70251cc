"""Turns, and peers that are sent away: they never stop the others."""

import dataclasses

import pytest
from small_cases import QUICK, SMALL

from tinygrad_cnn.benchmark.peers import PEERS
from tinygrad_cnn.benchmark.processes import Process, environment
from tinygrad_cnn.benchmark.results import of_case
from tinygrad_cnn.benchmark.rounds import measure_roofline, run_case

OURS = PEERS["tinygrad_cnn"]
CASE = SMALL["training"]
RATES = {"multiply_adds": 1e9, "bytes": 1e9, "threads": 1}


def silent(what):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        ("wrong_gradient", "disagrees", "differs by 0.01 of its norm"),
        ("wrong_loss", "disagrees", "the loss of step 1 is "),
        ("unable", "unsupported", "it has no such layer"),
        ("raising", "failed", "ValueError: shapes do not fit"),
        ("dying", "failed", "its process ended with status 3: out of luck"),
    ],
)
def test_who_computes_otherwise_or_fails_is_not_timed(odd, name, state, reason):
    first, bad, last = run_case(CASE, [OURS, odd(name), OURS], QUICK, silent)
    assert (bad.state, bad.seconds) == (state, [])
    assert reason in bad.reason
    assert first.state == last.state == "timed"
    assert len(first.seconds) == len(last.seconds) == QUICK.rounds
    assert min(first.seconds) > 0
    assert first.total > first.growth >= 0
    found = of_case(CASE, [first, bad, last], RATES)["peers"]
    assert found[1]["ratio"] is None
    assert found[0]["ratio"]["of_medians"] == 1
    assert found[2]["ratio"]["of_medians"] > 0


@pytest.mark.slow
def test_who_does_not_answer_in_time_is_out(odd):
    plan = dataclasses.replace(QUICK, limit=1.5)
    hanging, ours = run_case(CASE, [odd("hanging"), OURS], plan, silent)
    assert hanging.state == "failed"
    assert "no answer after" in hanging.reason
    assert ours.state in ("timed", "failed")  # on a busy machine 1.5 s may be too few


def test_where_the_first_fails_the_second_is_what_others_are_compared_with(odd):
    outcomes = run_case(CASE, [odd("unable"), OURS, odd("wrong_loss")], QUICK, silent)
    assert [o.state for o in outcomes] == ["unsupported", "timed", "disagrees"]
    found = of_case(CASE, outcomes, RATES)["peers"]
    assert found[1]["ratio"] is None  # there is nothing to be a ratio to
    assert found[1]["spread"]["median"] > 0


def test_what_goes_on_is_told(odd):
    told = []
    run_case(SMALL["chain"], [OURS], QUICK, told.append)
    assert told == [
        "tinygrad_cnn builds and is checked",
        "tinygrad_cnn warms up",
        "round 1 of 3",
        "round 2 of 3",
        "round 3 of 3",
    ]


def test_a_process_has_the_threads_that_it_is_given():
    found = environment(3)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
    assert {found[name] for name in (*names, "TINYGRAD_CNN_THREADS")} == {"3"}


def test_a_process_that_waits_costs_nothing():
    import time

    with Process(OURS, 1) as process:
        process.ask("build", case=_values())
        process.ask("calibrate", seconds=0.01)
        time.sleep(0.1)
        before = _cpu(process.process.pid)
        time.sleep(0.5)
        assert _cpu(process.process.pid) - before <= 0.02
    assert process.process.poll() is not None


def _values():
    return CASE.to_json()


def _cpu(pid):
    """Seconds of processor time."""
    import os
    from pathlib import Path

    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        pytest.skip("the system does not say")
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_the_machine_is_measured_in_a_process():
    found = measure_roofline(OURS, QUICK)
    assert found["threads"] == QUICK.threads
    assert min(found["multiply_adds"], found["bytes"]) > 1e7
