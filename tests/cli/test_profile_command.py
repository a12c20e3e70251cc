"""`profile`: where the time of a step goes."""

import pytest

MACS = 784 * 16 + 16 * 10
"""Of one image, of net.py."""


def test_each_operation_has_a_row_and_shares_add_up(run):
    outcome = run("profile net.py --batch-size 4 --repeats 2 --json")
    assert outcome.status == 0, outcome.err
    *rows, machine = outcome.records
    calls = {row["name"]: row["calls"] for row in rows}
    assert calls["Linear"] == 2
    assert {"ReLU", "Dropout", "(between operations)"} <= calls.keys()
    assert sum([row["share"] for row in rows]) == pytest.approx(1)
    linear = next(row for row in rows if row["name"] == "Linear")
    assert linear["macs"] == 4 * MACS
    assert linear["backward_macs"] == 4 * (MACS + 16 * 10)  # the images ask for nothing
    assert machine["step"] > 0
    assert machine["roofline"]["threads"] == 1


def test_the_longest_comes_first(run):
    *rows, _, _ = run("profile net.py --repeats 1 --json").records
    times = [row["seconds"] + row["backward_seconds"] for row in rows]
    assert times == sorted(times, reverse=True)


def test_the_table_says_what_was_run(run):
    outcome = run("profile net.py --set hidden=3 --repeats 1")
    title, limits, _, heading, *_ = outcome.out.splitlines()
    assert title.startswith("Net, a training step on 64 images of digits: ")
    assert limits.startswith("at most ")
    assert heading.split()[:2] == ["operation", "calls"]
    assert "(between operations)" in outcome.out
