"""`summary`: its totals, against counts of one's own."""

import csv
import io
import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn import Tensor, cat, manual_seed, nn, no_grad, random, tensor
from tinygrad_cnn.graph.costs.layer_table import summary
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.training.model_file import load_class

MODELS = Path(__file__).parents[2] / "models"


def batch(*shape, classes=10):
    draw = np.random.default_rng(0)
    images = Tensor(draw.normal(size=shape).astype(np.float32))
    return images, Tensor(draw.integers(0, classes, shape[0]))


class Branches(nn.Module):
    """A net with a branch, a shared layer, a list, and parameters of its own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.blocks = nn.ModuleList([Block(4), Block(4)])
        self.unused = nn.Linear(2, 2)
        self.shared = nn.Linear(16, 16)
        self.scale = nn.Parameter(Tensor(np.ones(16, np.float32)))

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        x = x.mean((2, 3))
        x = cat([x, x, x, x], 1)
        return (
            self.shared(F.dropout(self.shared(x).relu(), 0.5, self.training))
            * self.scale
        )


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False, groups=2)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)) + x)


def saved_bytes(loss):
    """The memory that records hold for a backward pass, each piece once."""
    held, stack, seen = {}, [loss.grad_fn], set()
    while stack:
        record = stack.pop()
        if isinstance(record, Tensor) or record is None or record in seen:
            continue
        seen.add(record)
        stack += [parent for parent, _ in record.next_functions]
        for value, *_ in record.saved.values():
            if isinstance(value, np.ndarray):
                while isinstance(value.base, np.ndarray):
                    value = value.base
                held[id(value)] = value
    return sum(array.nbytes for array in held.values())


def rows_by_name(found):
    rows = {}
    for row in found.rows:
        rows.setdefault((row.path, row.name), row)
    return rows


# ------------------------------------------------------------------------------- LeNet-5


def lenet():
    manual_seed(0)
    model = load_class(f"{MODELS}/lenet5.py:LeNet5")()
    return model, batch(8, 1, 32, 32)


def test_lenet_in_figures_of_the_document():
    model, (x, labels) = lenet()
    found = summary(model, x, labels, repeats=1)
    rows = rows_by_name(found)
    n = 8
    convolutions = {"conv1": (6, 28, 1, 5), "conv2": (16, 10, 6, 5)}
    for name, (o, size, c, k) in convolutions.items():
        row = rows[name, name]
        assert row.output == [(n, o, size, size)]
        assert row.macs == n * o * size * size * c * k * k
        assert row.parameters == o * c * k * k + o
        assert row.activations == n * o * size * size * 4
    for name, (i, o) in {
        "dense1": (400, 120),
        "dense2": (120, 84),
        "dense3": (84, 10),
    }.items():
        row = rows[name, name]
        assert (row.output, row.macs) == ([(n, o)], n * i * o)
        assert (row.parameters, row.activations) == (i * o + o, n * o * 4)
    assert found.total.parameters == 61_706  # `lenet` §2.1
    assert [row.name for row in found.rows] == [
        *("LeNet5", "conv1", "ReLU", "norm1", "MaxPool2d"),
        *("conv2", "ReLU", "norm2", "MaxPool2d", "Reshape"),
        *("dense1", "ReLU", "norm3", "dense2", "ReLU", "norm4", "dense3", "LogSoftmax"),
        *("(loss)", "NLLLoss"),
    ]
    assert rows["", "Reshape"].activations == 0  # a view
    assert rows["", "ReLU"].saved == rows["conv1", "conv1"].activations
    assert rows["conv1", "conv1"].saved == x.nbytes


def models():
    small = batch(4, 3, 6, 6, classes=16)
    yield "lenet", *lenet()
    normed = load_class(f"{MODELS}/lenet5.py:LeNet5")(batch_norm=True)
    yield "batch norm", normed, batch(8, 1, 32, 32)
    yield "branches", Branches(), small


@pytest.mark.parametrize(
    "name, model, data", [pytest.param(*m, id=m[0]) for m in models()]
)
class TestTotals:
    def test_parameters(self, name, model, data):
        sizes = {id(p): math.prod(p.shape) for p in model.parameters()}
        assert summary(model, *data, repeats=1).total.parameters == sum(sizes.values())

    def test_macs(self, name, model, data):
        """From the shapes that the layers see."""
        counted = []

        def count(layer, args, y):
            if isinstance(layer, nn.Conv2d):
                counted.append(math.prod(y.shape) * math.prod(layer.weight.shape[1:]))
            elif isinstance(layer, nn.Linear):
                counted.append(math.prod(y.shape) * args[0].shape[-1])

        handles = [m.register_forward_hook(count) for m in model.modules()]
        model(data[0])
        for handle in handles:
            handle.remove()
        assert summary(model, *data, repeats=1).total.macs == sum(counted)

    def test_values_saved(self, name, model, data):
        x, labels = data
        loss = getattr(model, "loss", F.cross_entropy)(model(x), labels)
        found = summary(model, *data, repeats=1)
        assert found.total.saved == saved_bytes(loss)

    def test_rows_add_up(self, name, model, data):
        found = summary(model, *data, repeats=1)
        parts = defaultdict(list)
        above = []
        for row in found.rows:
            del above[row.depth :]
            if above:
                parts[id(above[-1])].append(row)
            above.append(row)
        figures = (
            "macs",
            "activations",
            "saved",
            "seconds",
            "backward_seconds",
            "share",
        )
        for row in found.rows:
            for figure in figures if parts[id(row)] else ():
                inside = sum(getattr(part, figure) for part in parts[id(row)])
                assert getattr(row, figure) == pytest.approx(inside), (row, figure)
        tops = [row for row in found.rows if row.depth == 0]
        for figure in figures:
            total = sum(getattr(row, figure) for row in tops)
            assert getattr(found.total, figure) == pytest.approx(total)
        assert found.total.seconds > 0 and found.total.backward_seconds > 0
        assert found.total.share == 1


# -------------------------------------------------------------------------- other models


def test_a_branching_net_row_by_row():
    found = summary(Branches(), *batch(4, 3, 6, 6, classes=16), repeats=1)
    names = ["  " * row.depth + row.name for row in found.rows]
    assert names == [
        *("Branches", "  first", "    0", "    1"),
        *("  blocks", "    0", "      conv", "      norm", "      Add", "      ReLU"),
        *("    1", "      conv", "      norm", "      Add", "      ReLU"),
        *("  Mean", "  Concatenate", "  shared", "    Linear", "    Linear"),
        *("  ReLU", "  Dropout", "  Mul", "  unused"),
        *("(loss)", "  LogSoftmax", "  NLLLoss"),
    ]
    rows = {
        row.path: row for row in found.rows if row.kind not in ("operation", "loss")
    }
    assert rows["shared"].macs == 2 * 4 * 16 * 16
    assert rows["shared"].parameters == 16 * 16 + 16
    assert rows["blocks"].parameters == 2 * (4 * 2 * 9 + 8)
    assert (rows["unused"].parameters, rows["unused"].seconds) == (6, 0)
    assert rows["unused"].output == []
    assert rows["first.0"].kind == "Conv2d"


def test_shared_parameters_count_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    found = summary(Tied(), batch(2, 3)[0], repeats=1)
    rows = {row.path: row.parameters for row in found.rows}
    assert rows == {"": 15, "a": 12, "b": 3}
    assert found.total.parameters == 15


def test_frozen_layers_compute_but_keep_nothing():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4))
    for layer in (model[0], model[1]):
        layer.requires_grad_(False)
    x, labels = batch(5, 1, 6, 6, classes=4)
    rows = {row.path: row for row in summary(model, x, labels, repeats=1).rows}
    assert rows["0"].macs == 5 * 2 * 4 * 4 * 9 and rows["0"].seconds > 0
    assert (rows["0"].saved, rows["0"].backward_seconds) == (0, 0)
    assert rows["0"].activations == 5 * 2 * 4 * 4 * 4
    assert rows["3"].saved == 5 * 32 * 4  # x; no gradient goes on through w
    assert rows["3"].backward_seconds > 0


def test_nothing_recorded_at_all():
    class Quiet(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(3, 2)

        def forward(self, x):
            with no_grad():
                return self.dense(x)

    found = summary(Quiet(), batch(4, 3)[0], repeats=1)
    assert found.total.macs == 4 * 3 * 2
    assert (found.total.saved, found.total.backward_seconds) == (0, 0)


def test_several_arguments_and_results():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(3, 2)

        def forward(self, a, b):
            return {"sum": self.dense(a) + self.dense(b), "parts": (a, [b])}

    a, b = batch(4, 3)[0], batch(5, 3)[0][:4]
    found = summary(Two(), (a, b), loss=lambda out: out["sum"].sum(), repeats=1)
    assert found.rows[0].output == [(4, 2), (4, 3), (4, 3)]
    assert [row.name for row in found.rows][-2:] == ["(loss)", "Sum"]
    plain = summary(Two(), (a, b), repeats=1)
    assert "(loss)" not in [row.name for row in plain.rows]
    assert plain.total.backward_seconds > 0


def test_the_model_stays_as_it_was():
    model, (x, labels) = Branches(), batch(4, 3, 6, 6, classes=16)
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    state = random.default_generator.get_state()
    summary(model, x, labels, repeats=1)
    assert random.default_generator.get_state() == state
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_evaluation_is_another_computation():
    model, (x, labels) = Branches(), batch(4, 3, 6, 6, classes=16)
    names = [row.name for row in summary(model.eval(), x, labels, repeats=1).rows]
    assert "Dropout" not in names and not model.training


# ------------------------------------------------------------------------------- formats


def small():
    model = nn.Sequential(nn.Linear(3, 1000), nn.ReLU(), nn.Linear(1000, 2))
    return summary(
        model, tensor([[1.0, 2.0, 3.0]] * 4), tensor([0, 1, 0, 1]), repeats=1
    )


def test_as_text():
    found = small()
    heading, rule, *rows, rule_below, total, note = str(found).splitlines()
    assert rule == rule_below == "-" * max(map(len, [heading, *rows, total]))
    assert len(rows) == len(found.rows)
    # Numbers end where their headings end.
    for word in ("parameters", "MACs", "saved, KiB", "backward, ms", "share"):
        end = heading.index(word) + len(word)
        assert all(line[end : end + 1] in ("", " ") for line in [*rows, total])
    assert all(line[heading.index("MACs") + 3].isdigit() for line in [*rows, total])
    assert "6,002" in total and "20,000" in total
    # weights of the second layer and the inputs of the first
    assert found.existing == 2000 * 4 + 12 * 4
    assert note == "saved: 7.9 KiB of it are parameters and inputs"


def test_as_markdown():
    found = small()
    heading, align, *rows = found.to_markdown().splitlines()
    assert {line.count("|") for line in (heading, align, *rows)} == {11}
    assert len(rows) == len(found.rows) + 1
    assert rows[1].startswith("| &nbsp;&nbsp;0 | Linear | [4, 1000] | 4,000 | 12,000 |")


def test_as_latex():
    class Under_score(nn.Linear):
        pass

    found = summary(Under_score(3, 2), batch(4, 3)[0], repeats=1)
    lines = found.to_latex().splitlines()
    assert lines[0] == r"\begin{tabular}{lllrrrrrrr}" and lines[-1] == r"\end{tabular}"
    rows = [line for line in lines[1:-1] if line != r"\hline"]
    assert all(line.count(" & ") == 9 and line.endswith(r" \\") for line in rows)
    assert r"Under\_score" in rows[1] and r"100.0\%" in rows[-1]


def test_as_csv():
    found = small()
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [row["name"] for row in rows] == [row.name for row in found.rows] + ["total"]
    assert rows[1]["output"] == "4x1000"
    assert [int(row["saved"]) for row in rows[:-1]] == [row.saved for row in found.rows]
    assert float(rows[-1]["seconds"]) == found.total.seconds


def test_as_json():
    found = small()
    values = json.loads(found.to_json())
    assert values["total"]["parameters"] == 6002
    assert values["existing"] == found.existing
    assert values["rows"][1]["output"] == [[4, 1000]]
    assert values["rows"][1]["kind"] == "Linear"
