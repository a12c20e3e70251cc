"""`explain`: one number of a gradient, from the command line."""

from itertools import pairwise

import pytest

CONVOLUTION = """
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F

class Net(nn.Module):
    loss = staticmethod(F.nll_loss)
    defaults = {"dtype": "float64"}

    def __init__(self, channels=2):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 5, stride=2)
        self.dense = nn.Linear(channels * 36, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return F.log_softmax(self.dense(x.flatten(1)), 1)
"""


@pytest.fixture
def explain(run, working_directory):
    """Runs `explain` on a small convolutional net and the digits."""
    (working_directory / "conv.py").write_text(CONVOLUTION)
    return lambda line: run(f"explain conv.py --data digits {line}")


def test_a_kernel_weight_is_explained_by_its_terms(explain):
    lines = explain("conv.weight 1,0,2,2 --terms 3").out.splitlines()
    assert lines[0].startswith("Net on digits 0, labelled [")
    assert lines[2].startswith("∂L/∂conv.weight[1, 0, 2, 2] = ")
    assert lines[4].startswith("as w of Conv2d in conv at ")
    assert lines[4].endswith("conv.py:15")
    rows = [line.split(":")[0] for line in lines if ":  y[" in line]
    assert rows == ["0", "1", "2"]
    assert "sum of 144 terms: " in "\n".join(lines)


def test_json_has_a_line_for_each_level(explain):
    records = explain("conv.weight 1,0,2,2 --json --depth 2 --terms 3").records
    assert [r["name"] for r in records] == ["conv.weight", "x", "x"]
    assert [r["dtype"] for r in records] == ["float64"] * 3
    for record, behind in pairwise(records):
        largest = record["uses"][0]["terms"][0]
        assert behind["value"] == largest["g"]
        assert behind["index"] == largest["position"]
        assert record["total"] == pytest.approx(record["value"], rel=1e-12)


def test_depth_ends_at_the_loss(explain):
    records = explain("dense.bias 0 --json --depth 50").records
    assert records[-1]["name"] == "L"
    assert records[-1]["value"] == 1


def test_the_image_is_called_input(explain):
    (record,) = explain("input 2,0,14,14 --image 3 --batch 4 --json").records
    assert record["shape"] == [4, 1, 28, 28]
    assert (record["data"], record["image"], record["batch"]) == ("digits", 3, 4)


def test_a_batch_has_the_mean_loss_of_its_images(explain):
    found = [
        explain(f"dense.bias 0 --json {images}").records[0]
        for images in ("--image 5", "--image 6", "--image 5 --batch 2")
    ]
    for key in ("loss", "value"):
        first, second, both = (record[key] for record in found)
        assert both == pytest.approx((first + second) / 2, rel=1e-12)


def test_settings_and_a_checkpoint_are_taken(run, train):
    assert run("explain net.py layers.1.bias 31 --data digits").status == 1
    line = "explain net.py layers.4.bias 0 --json --batch 300"
    untrained = run(f"{line} --data digits --set hidden=32").records[0]
    train()
    trained = run(f"{line} --checkpoint runs/net.ckpt").records[0]
    assert trained["data"] == "digits"
    assert trained["loss"] < untrained["loss"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("conv.wieght 1,0,2,2", "give one of conv.weight, conv.bias, dense.weight"),
        ("conv.weight 1,0,2", "the shape [2, 1, 5, 5]"),
        ("conv.weight 1,0,2,5", "the shape [2, 1, 5, 5]"),
        ("conv.bias 0 --image 1000", "test images 0 to 999"),
        ("conv.bias 0 --image 999 --batch 2", "test images 0 to 999"),
    ],
)
def test_mistakes_are_answered_in_a_line(explain, line, words):
    outcome = explain(line)
    assert outcome.status == 1
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize("index", ["1,:,2,2", "a", "1,,2,2"])
def test_an_index_that_is_no_integers_is_wrong_usage(explain, index):
    outcome = explain(f"conv.weight {index}")
    assert outcome.status == 2
    assert "one integer for each axis, as 1,0,2,2" in outcome.err
