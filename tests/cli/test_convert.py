"""`convert`, and weights of other programs in the commands that take a checkpoint."""

import pytest


@pytest.fixture
def scores(run, train):
    """What `eval` says of net.py as it was trained."""
    train("--out net.ckpt")
    return run("eval net.py net.ckpt --data digits --limit 300 --json").records


@pytest.mark.parametrize("ending", ["pth", "pt", "safetensors", "npz"])
def test_converted_weights_score_as_before(run, scores, ending):
    outcome = run(f"convert net.ckpt out.{ending}")
    assert outcome.status == 0, outcome.err
    assert outcome.out == f"out.{ending}: 4 tensors, 12,730 numbers\n"
    left_out = "left out, for" in outcome.err
    assert left_out == (ending in ("safetensors", "npz"))
    again = run(f"eval net.py out.{ending} --data digits --limit 300 --json")
    assert again.records == scores
    assert run(f"diff net.py net.ckpt out.{ending}").status == 0
    assert "class" in run(f"predict net.py out.{ending} --data digits 0").out


def test_the_weights_alone_can_be_converted(run, scores):
    assert run("convert net.ckpt out.pth --weights").status == 0
    assert run("convert out.pth back.safetensors").err == ""
    again = run("eval net.py back.safetensors --data digits --limit 300 --json")
    assert again.records == scores


def test_other_weights_are_neither_written_over_nor_trained_on(run, scores):
    run("convert net.ckpt out.pth --weights")
    for words in ("--out out.pth", "--resume out.pth"):
        refused = run(f"train net.py --data digits {words}")
        assert refused.status == 1
        assert "out.pth was not written by `tinygrad-cnn train`" in refused.err


def test_what_is_no_file_of_weights_is_refused_in_one_line(run, working_directory):
    (working_directory / "a.pth").write_bytes(b"no weights")
    for line in ("convert a.pth b.npz", "convert none.pth b.npz", "eval net.py a.pth"):
        refused = run(line)
        assert refused.status == 1
        assert len(refused.err.splitlines()) == 1, refused.err
    assert not (working_directory / "b.npz").exists()
