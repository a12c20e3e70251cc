"""The folder of a reproduction: what is done is kept, and nothing is mixed."""

import json

import pytest

from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.reproduce.experiment import Part, Picture, Setup, Table
from tinygrad_cnn.reproduce.folder import Folder
from tinygrad_cnn.reproduce.pages import markdown
from tinygrad_cnn.reproduce.run import reproduce

MANIFEST = {
    "seed": 0,
    "quick": False,
    "tinygrad_cnn": "1",
    "data": {},
    "versions": {"numpy": "2"},
    "dtype": "float32",
    "threads": 2,
    "processor": "abacus",
    "python": "3",
}


class Counting:
    """An experiment of two parts; it counts how often each works, and can be stopped."""

    TITLE = "Counting"

    def __init__(self):
        self.worked = []
        self.stop = False
        self.PARTS = [Part("one", self.one), Part("two", self.two, seconds=3)]

    def one(self, setup):
        self.worked.append("one")
        yield 0.5
        return {"value": 1}

    def two(self, setup):
        note = setup.state / "note"
        self.worked.append(f"two after {note.exists()}")
        note.write_text("begun")
        yield 0.5
        if self.stop:
            raise KeyboardInterrupt
        return {"value": setup.seed + 2}

    def tables(self, results):
        rows = [[name, result["value"]] for name, result in results.items()]
        return [Table("Numbers", {"part": "", "value": ".1f"}, rows, "That is all.")]

    def pictures(self, results):
        return [Picture("line", "A line.", lambda figure: figure.subplots().plot([1]))]


@pytest.fixture
def experiment():
    return Counting()


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("matplotlib")
    folder = Folder(tmp_path / "out")
    folder.begin(MANIFEST)
    return folder


def run(experiment, folder, seed=0):
    setup = Setup(folder.path, seed, False, folder.path)
    return list(reproduce({"counting": experiment}, folder, setup))


def test_tables_pictures_and_results_are_written(experiment, folder):
    run(experiment, folder)
    place = folder.path / "counting"
    text = (place / "tables.md").read_text("utf-8")
    assert "### Numbers" in text and "| two | 2.0 |" in text and "That is all." in text
    assert "](line.svg)" in text and (place / "line.svg").read_text().startswith(
        "<?xml"
    )
    (table,) = json.loads((place / "tables.json").read_text())
    assert table["rows"][1] == {"part": "two", "value": 2}
    kept = json.loads((place / "results" / "two.json").read_text())
    assert kept["result"] == {"value": 2} and kept["seconds"] >= 0
    assert not (place / "state").exists()


def test_the_page_of_all_has_what_is_done(experiment, folder):
    run(experiment, folder)
    folder.index({"counting": experiment, "missing": Counting()})
    text = (folder.path / "README.md").read_text("utf-8")
    assert "## counting: Counting" in text and "](counting/line.svg)" in text
    assert "missing" not in text
    assert (
        "seed 0, networks in float32, checks in float64, on 2 threads of abacus; "
        "Python 3, numpy 2." in text
    )


def test_steps_tell_the_share_of_the_estimated_time(experiment, folder):
    steps = [(step.part, step.done, step.share) for step in run(experiment, folder)]
    assert steps == [
        *[("one", 0, 0), ("one", 0.5, 1 / 8), ("one", 1, 1 / 4)],
        *[("two", 0, 1 / 4), ("two", 0.5, 1 / 4 + 3 / 8), ("two", 1, 1)],
    ]


def test_what_is_done_is_not_done_again(experiment, folder):
    run(experiment, folder)
    assert run(experiment, folder) == []
    assert experiment.worked == ["one", "two after False"]


def test_a_stopped_run_goes_on_where_it_was(experiment, folder):
    experiment.stop = True
    with pytest.raises(KeyboardInterrupt):
        run(experiment, folder)
    assert folder.spent("counting", "two") > 0
    experiment.stop = False
    run(experiment, folder)
    assert experiment.worked == ["one", "two after False", "two after True"]


def test_results_are_made_again(experiment, folder):
    run(experiment, folder)
    folder.begin(MANIFEST | {"seed": 5}, again=["counting"])
    run(experiment, folder, seed=5)
    assert folder.results("counting", experiment) == {
        "one": {"value": 1},
        "two": {"value": 7},
    }


@pytest.mark.parametrize("key", ["seed", "quick", "tinygrad_cnn", "data"])
def test_results_of_other_settings_are_not_mixed(experiment, folder, key):
    run(experiment, folder)
    other = MANIFEST | {key: "another"}
    for again in ((), ["day2"]):
        with pytest.raises(ArgumentError, match=f"counting .*{key} .* now 'another'"):
            folder.begin(other, again)
    assert folder.manifest() == MANIFEST
    assert folder.results("counting", experiment)
    folder.begin(other, again=["counting"])
    assert folder.manifest() == other
    assert not folder.has("counting", "one")


def test_another_processor_may_go_on(experiment, folder):
    run(experiment, folder)
    folder.begin(MANIFEST | {"processor": "fingers"})
    assert folder.has("counting", "one")


def test_a_damaged_result_is_named(experiment, folder):
    run(experiment, folder)
    (folder.path / "counting" / "results" / "one.json").write_text("{")
    with pytest.raises(ArgumentError, match=r"one\.json is no result .* remove it"):
        run(experiment, folder)


def test_cells_are_formatted_or_empty_or_text():
    columns = {"name": "", "share": ".1%", "count": ",d"}
    table = Table("T", columns, [["a", 0.5, 1000], ["b", None, "many"]])
    assert markdown(table).splitlines() == [
        "### T",
        "",
        "| name | share | count |",
        "| --- | ---: | ---: |",
        "| a | 50.0% | 1,000 |",
        "| b |  | many |",
    ]
