"""`eval`: the scores of a checkpoint."""

import numpy as np
import pytest


@pytest.fixture
def trained(train):
    return train("--json").records[-1]


def test_eval_repeats_the_scores_that_training_ended_with(run, trained):
    scores = run("eval net.py runs/net.ckpt --json").records[0]
    assert scores["data"] == "digits"
    assert scores["images"] == 1000
    for name in ("loss", "accuracy", "precision", "recall", "f1", "confusion"):
        assert scores[name] == trained["test"][name]


def test_eval_prints_the_figures_and_the_confusion_matrix(run, trained):
    lines = run("eval net.py runs/net.ckpt").out.splitlines()
    assert f"{trained['test']['accuracy']:.2%}" in lines[2]
    matrix = [line.split()[-10:] for line in lines[-10:]]
    np.testing.assert_array_equal(np.array(matrix, int), trained["test"]["confusion"])


def test_eval_measures_the_training_images_on_request(run, trained):
    line = "eval net.py runs/net.ckpt --train --limit 640 --json"
    scores = run(line).records[0]
    assert scores["images"] == 640
    assert scores["accuracy"] >= trained["accuracy"]


def test_a_checkpoint_of_another_model_does_not_fit(run, trained):
    outcome = run("eval net.py runs/net.ckpt --set hidden=3")
    assert outcome.status == 1
    assert "size mismatch for layers.1.weight" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_file_that_train_did_not_write_is_refused(run, working_directory):
    from tinygrad_cnn.checkpoint import save

    save({"model": {}, "metadata": None}, working_directory / "other.ckpt")
    outcome = run("eval net.py other.ckpt")
    assert outcome.status == 1
    assert "was not written by `tinygrad-cnn train`" in outcome.err
