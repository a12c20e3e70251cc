"""`diff`: two model files, or two checkpoints, compared from the command line."""

import pytest


@pytest.fixture
def other(working_directory):
    """A second model file, with one activation changed and one layer more."""
    text = (working_directory / "net.py").read_text()
    changed = text.replace("ReLU", "Tanh").replace(
        "hidden, num_classes),", "hidden, num_classes), nn.LogSoftmax(1),"
    )
    (working_directory / "other.py").write_text(changed)
    return "other.py"


def test_a_model_file_is_like_itself_and_the_status_is_0(run):
    outcome = run("diff net.py net.py")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("Net → Net: no difference of ")


def test_structure_that_differs_is_listed_and_the_status_is_1(run, other):
    outcome = run(f"diff net.py {other}")
    assert outcome.status == 1
    _, _, *found = outcome.out.splitlines()
    assert "− layers.2.ReLU, 2×16 float32" in found
    assert "+ layers.2.Tanh, 2×16 float32" in found
    (record,) = run(f"diff net.py {other} --json").records
    kinds = {n["kind"] for n in record["nodes"]}
    assert kinds >= {"added", "removed"}
    assert len(record["nodes"]) == len(found)


def test_a_setting_of_the_second_alone_makes_the_difference(run):
    assert run("diff net.py net.py --set hidden=3").status == 0
    outcome = run("diff net.py net.py --set-b hidden=3")
    assert outcome.status == 1
    assert outcome.out.startswith("Net → Net hidden=3: ")
    assert "~ layers.1.Linear: shape 2×16 → 2×3" in outcome.out.splitlines()


@pytest.fixture
def checkpoints(train):
    """Two training runs with other seeds."""
    train("--epochs 1 --seed 1 --out a.ckpt")
    train("--epochs 1 --seed 2 --out b.ckpt")


def test_checkpoints_of_a_model_differ_in_values_gradients_and_parameters(
    run, checkpoints
):
    outcome = run("diff net.py a.ckpt b.ckpt")
    assert outcome.status == 1
    assert outcome.out.startswith("a → b: ")
    (line,) = [x for x in outcome.out.splitlines() if "layers.1.Linear" in x]
    assert "values norm" in line
    assert "gradient norm" in line
    assert "~ layers.1.weight: 12,544 of 12,544 differ, by up to" in outcome.out
    assert run("diff net.py a.ckpt a.ckpt").status == 0
    assert run("diff net.py a.ckpt b.ckpt --rtol 1e9").status == 0


def test_checkpoints_can_be_compared_without_the_model(run, checkpoints):
    outcome = run("diff a.ckpt b.ckpt --json")
    assert outcome.status == 1
    (record,) = outcome.records
    assert len(record["parameters"]) == 4
    assert record["nodes"] == []
    assert run("diff a.ckpt a.ckpt").status == 0


def test_the_picture_is_written(run, other, working_directory):
    outcome = run(f"diff net.py {other} --out diff.dot --theme dark")
    assert outcome.status == 1
    assert outcome.err == "diff.dot has both side by side\n"
    assert "only here" in (working_directory / "diff.dot").read_text("utf-8")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("net.py", 2),
        ("net.py a.ckpt", 2),
        ("a.ckpt b.ckpt net.py", 2),
        ("net.py net.py net.py net.py", 2),
        ("net.py a.ckpt b.ckpt --set-b hidden=3", 2),
        ("a.ckpt b.ckpt --set hidden=3", 2),
        ("net.py nowhere.py", 1),
        ("nowhere.ckpt elsewhere.ckpt", 1),
    ],
)
def test_what_cannot_be_compared_is_an_error_in_one_line(run, line, status):
    outcome = run(f"diff {line}")
    assert outcome.status == status
    assert outcome.err.startswith("error: ")
    assert len(outcome.err.splitlines()) == 1
