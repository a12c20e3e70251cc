"""`lint`: mistakes in the graph of a model file, from the command line."""

import pytest

MISTAKEN = """
import tinygrad_cnn.nn as nn
import tinygrad_cnn.nn.functional as F

class Net(nn.Module):
    def __init__(self, last="softmax"):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.dense = nn.Linear(4 * 144, 10)
        self.last = last

    def forward(self, x):
        x = self.norm(self.conv(x))
        x = self.dense(F.relu(x).flatten(1))
        return F.softmax(x, dim=1) if self.last == "softmax" else x
"""


@pytest.fixture
def lint(run, working_directory):
    """Runs `lint` on a net with two mistakes and the digits."""
    (working_directory / "mistaken.py").write_text(MISTAKEN)
    return lambda line: run(f"lint --data digits {line}")


def test_findings_are_printed_with_their_lines_and_the_status_is_1(lint):
    outcome = lint("mistaken.py")
    assert outcome.status == 1
    blocks = outcome.out.split("\n\n")
    assert blocks[0].startswith("2 findings in ")
    assert blocks[0].endswith(" of Net, run on 64 images of digits")
    for block, code, line in zip(
        blocks[1:],
        ["softmax-before-cross-entropy", "bias-before-batch-norm"],
        [16, 14],
        strict=True,
    ):
        title, *rest = block.splitlines()
        assert title.split()[0] == code
        assert title.endswith(f"mistaken.py:{line}")
        words = [text.split()[0] for text in rest if not text.startswith("   ")]
        assert words == ["found", "why", "do"]


def test_settings_reach_the_model(lint):
    assert "softmax" not in lint("mistaken.py --set last=none").out


def test_the_findings_as_json(lint):
    outcome = lint("mistaken.py --json --batch-size 8")
    (record,) = outcome.records
    assert outcome.status == 1
    codes = [finding["code"] for finding in record["findings"]]
    assert codes == ["softmax-before-cross-entropy", "bias-before-batch-norm"]
    assert record["findings"][1]["module"] == "conv"
    assert "8 images are too few" in record["notes"][0]


def test_a_clean_model_is_said_to_be_clean_and_the_status_is_0(lint):
    outcome = lint("net.py")
    assert outcome.status == 0
    assert outcome.out.startswith("nothing found in ")


def test_a_model_file_that_is_not_there_is_an_error(lint):
    outcome = lint("nowhere.py")
    assert outcome.status == 1
    assert outcome.err.endswith("there is no model file nowhere.py\n")
