"""What docs/reproduced shows is made from the results that lie beside it."""

from pathlib import Path

import pytest

from tinygrad_cnn.reproduce import EXPERIMENTS
from tinygrad_cnn.reproduce.folder import Folder
from tinygrad_cnn.reproduce.pages import markdown
from tinygrad_cnn.reproduce.run import experiments

ROOT = Path(__file__).parents[2]
FOLDER = Folder(ROOT / "docs" / "reproduced")


def test_it_is_a_whole_run_on_all_data():
    manifest = FOLDER.manifest()
    assert manifest["quick"] is False
    assert set(manifest["data"]) == {"mnist", "cifar10"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_tables_are_those_of_the_results(name):
    experiment = experiments([name])[name]
    text = (FOLDER.path / name / "tables.md").read_text("utf-8")
    page = (FOLDER.path / "README.md").read_text("utf-8")
    results = FOLDER.results(name, experiment)
    for table in experiment.tables(results):
        assert markdown(table) in text
        assert markdown(table) in page
    for picture in experiment.pictures(results):
        assert f"![{picture.caption}]({picture.name}.svg)" in text
        assert (FOLDER.path / name / f"{picture.name}.svg").is_file()
