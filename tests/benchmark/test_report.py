"""Tables, pages and pictures of results."""

import json
from xml.etree import ElementTree

import pytest
from small_cases import SMALL

from tinygrad_cnn.benchmark import picture, report
from tinygrad_cnn.benchmark.machine import cores, describe, processor, vector_bytes
from tinygrad_cnn.benchmark.peers import PEERS
from tinygrad_cnn.benchmark.results import VERSION, of_case
from tinygrad_cnn.benchmark.rounds import Outcome
from tinygrad_cnn.errors import ArgumentError

BEGIN, END = report.marks()
RATES = {"multiply_adds": 1e9, "bytes": 1e10, "threads": 2}


@pytest.fixture
def results():
    """Of two cases: ours, PyTorch twice as fast, JAX that disagrees."""
    ours, torch, jax = (PEERS[name] for name in ("tinygrad_cnn", "torch", "jax"))
    outcomes = [
        Outcome(ours, steps=5, seconds=[0.2, 0.4, 0.3], growth=2**20, total=2**24),
        Outcome(torch, steps=9, seconds=[0.1, 0.2, 0.15], growth=2**21, total=2**25),
        Outcome(jax, "disagrees", "the loss of step 1 is 3, not 2"),
    ]
    cases = [of_case(SMALL[kind], outcomes, RATES) for kind in ("training", "chain")]
    machine = describe([ours], threads=2)
    return {
        "version": VERSION,
        "command": "tinygrad-cnn bench",
        "machine": machine,
        "rounds": 3,
        "roofline": RATES,
        "cases": cases,
    }


def test_the_figures_of_a_peer(results):
    ours, torch, jax = results["cases"][0]["peers"]
    assert torch["ratio"]["of_medians"] == torch["ratio"]["median"] == 0.5
    assert ours["ratio"]["of_medians"] == 1
    count = results["cases"][0]["multiply_adds"]
    assert torch["matrix_share"] == pytest.approx(count / 0.15 / 1e9)
    assert jax["spread"] is jax["ratio"] is None


def test_a_row_for_each_that_was_timed_and_a_note_for_each_other(results):
    case = results["cases"][0]
    rows, notes = report.rows(case), report.notes(case)
    assert [row[:4] for row in rows] == [
        ["tinygrad_cnn", "1.00", "1.00", "300"],
        ["PyTorch", "0.50", "0.50", "150"],
    ]
    assert rows[1][5:7] == ["125 to 175", "200"]
    assert rows[1][-1] == "2 of 32"
    assert {len(row) for row in rows} == {len(report.HEADINGS)}
    assert notes == ["JAX jit disagrees: the loss of step 1 is 3, not 2; not timed"]


def test_markdown_goes_between_the_marks_and_can_go_there_again(results, tmp_path):
    page = tmp_path / "page.md"
    before, after = f"# Page\n\n{BEGIN}\n", f"{END}\n\nThe end.\n"
    page.write_text(f"{before}{after}")
    for _ in range(2):
        report.write_markdown(report.to_markdown(results, "p.svg"), page)
        text = page.read_text("utf-8")
        assert text.startswith(before)
        assert text.endswith(after)
        assert text.count("### small: training") == 1
    assert "| PyTorch | 0.50 |" in text
    assert "](p.svg)" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {len(report.HEADINGS) + 1}


def test_without_a_page_the_tables_are_the_page(results, tmp_path):
    report.write_markdown(report.to_markdown(results), tmp_path / "new" / "page.md")
    text = (tmp_path / "new" / "page.md").read_text("utf-8")
    assert text.startswith("`tinygrad-cnn bench`")
    assert BEGIN not in text


def test_json_holds_all_of_it(results, tmp_path):
    report.write_json(results, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == results
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_file_stays_whole_where_writing_fails(results, tmp_path):
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        report.write_json(results | {"bad": object()}, path)
    assert path.read_text() == "old"


def test_the_picture_has_the_names_and_the_ratios(results, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "pictures" / "bench.svg"
    picture.save(results, path)
    text = path.read_text("utf-8")
    words = " ".join(ElementTree.fromstring(text).itertext())
    for word in ("small", "chain", "tinygrad_cnn", "PyTorch", "0.50×", "1.00×"):
        assert word in words
    assert "JAX" not in words
    picture.save(results, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_is_the_same_each_time(results, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("a", "b"):
        picture.save(results, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_another_ending_is_an_error(results, tmp_path):
    with pytest.raises(ArgumentError, match="svg"):
        picture.save(results, tmp_path / "bench.jpg")


def test_the_processor_that_kernels_are_compiled_for_is_named(results):
    results["machine"]["compiled_for"] = {"processor": "znver4", "vector_bytes": 64}
    line = report.conditions(results)[0]
    assert "(kernels for znver4, vectors of 64 bytes), " in line
    results["machine"]["compiled_for"] = None
    assert "kernels" not in report.conditions(results)[0]


def test_the_vectors_of_processors():
    found = [["+sse2", "-avx"], ["+avx", "+avx2", "-avx512f"], ["+avx2", "+avx512f"]]
    assert [vector_bytes(features) for features in found] == [16, 32, 64]


def test_the_machine_is_described():
    found = describe([PEERS["tinygrad_cnn"]], threads=3)
    assert found["threads"] == 3
    assert found["cores"] == cores() >= 1
    assert found["processor"] == processor() != ""
    assert {"numpy", "tinygrad_cnn"} <= found["versions"].keys()
