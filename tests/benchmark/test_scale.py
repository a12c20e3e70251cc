"""How cost grows: the points, their networks, the tables and the picture."""

import json
from xml.etree import ElementTree

import pytest
from small_cases import QUICK

from tinygrad_cnn.benchmark import report, scale, scale_report
from tinygrad_cnn.benchmark.cases import multiply_adds
from tinygrad_cnn.benchmark.machine import describe
from tinygrad_cnn.benchmark.peers import PEERS
from tinygrad_cnn.benchmark.results import of_case
from tinygrad_cnn.benchmark.rounds import Outcome

RATES = {"multiply_adds": 1e9, "bytes": 1e10, "threads": 2}


@pytest.fixture
def results():
    """Each step takes a millisecond for each unit of the axis; PyTorch fails at depth 3."""
    ours, torch = PEERS["tinygrad_cnn"], PEERS["torch"]
    axes = {}
    for axis, value in scale.points(threads=3, quick=True):
        seconds = [value / 1000] * 3
        outcomes = [Outcome(ours, seconds=seconds)]
        outcomes += [Outcome(torch, seconds=[value / 500] * 3)]
        if (axis, value) == ("depth", 3):
            outcomes[1] = Outcome(torch, "failed", "no memory")
        found = of_case(scale.case_of(axis, value), outcomes, RATES)
        axes.setdefault(axis, []).append({"value": value, **found})
    machine = describe([ours], threads=3)
    said = {"version": 1, "command": "tinygrad-cnn bench scale", "machine": machine}
    return {**said, "rounds": 3, "roofline": RATES, "axes": axes}


def test_every_axis_begins_at_its_least_and_ends_at_its_most():
    ends = {}
    for axis, value in scale.points(threads=6):
        ends.setdefault(axis, []).append(value)
    assert {axis: (found[0], found[-1]) for axis, found in ends.items()} == {
        "batch": (1, 1024),
        "channels": (1, 256),
        "image": (8, 224),
        "depth": (1, 100),
        "threads": (1, 6),
    }
    assert ends["threads"] == [1, 2, 4, 6]
    assert set(scale.points(6, quick=True)) < set(scale.points(6))


def test_only_one_thing_grows_along_an_axis():
    base = multiply_adds(scale.case_of("threads", 1))
    assert base == multiply_adds(scale.case_of("threads", 8))
    assert multiply_adds(scale.case_of("batch", 64)) == 4 * base
    # Of each block 16 · 16 channels meet in 3 · 3 pixels, forward and twice back.
    block = 3 * scale.BASE["batch"] * 16 * 16 * (16 * 16 * 9)
    grown = multiply_adds(scale.case_of("depth", 10)) - base
    assert grown == (10 - scale.BASE["depth"]) * block


def test_the_tables_and_the_page(results):
    columns = scale_report.labels(results)
    assert columns == ["tinygrad_cnn", "PyTorch"]
    assert scale_report.rows(results["axes"]["depth"], columns) == [
        ["1", "1 (1.00)", "2 (2.00)"],
        ["3", "3 (1.00)", "–"],
        ["10", "10 (1.00)", "20 (2.00)"],
    ]
    text = scale_report.to_markdown(results, "s.svg")
    assert "| images in the batch | tinygrad_cnn | PyTorch |" in text
    assert "- depth 3: PyTorch failed: no memory; not timed" in text
    assert "](s.svg)" in text


def test_a_page_keeps_the_results_of_the_cases(results, tmp_path):
    page = tmp_path / "page.md"
    marks = [*report.marks(), *report.marks("scale")]
    page.write_text("{}\n\nthe cases\n\n{}\n\n{}\n{}\n".format(*marks))
    for _ in range(2):
        report.write_markdown(scale_report.to_markdown(results), page, "scale")
    text = page.read_text("utf-8")
    assert text.count("the cases") == text.count("| residual blocks |") == 1
    assert all([text.count(mark) == 1 for mark in marks])


def test_the_picture_has_a_panel_for_each_axis(results, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("a", "b"):
        scale_report.save(results, tmp_path / f"{name}.svg")
    text = (tmp_path / "a.svg").read_text("utf-8")
    words = " ".join(ElementTree.fromstring(text).itertext())
    for word in (*scale.WHAT.values(), "tinygrad_cnn", "PyTorch"):
        assert word in words
    assert (tmp_path / "b.svg").read_text("utf-8") == text


def test_points_are_measured_one_after_the_other():
    begun, points = [], [("channels", 1), ("threads", 2)]
    silent = lambda what: None
    told = begun.append, silent
    peers = [PEERS["tinygrad_cnn"]]
    *_, found = scale.measure(points, peers, QUICK, "the command", *told)
    assert begun == ["channels-1", "threads-2"]
    assert [point["value"] for point in found["axes"]["threads"]] == [2]
    (peer,) = found["axes"]["channels"][0]["peers"]
    assert len(peer["seconds"]) == QUICK.rounds
    assert json.loads(json.dumps(found)) == found
