"""`draw`: pictures of a model's graph from the command line."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tinygrad_cnn.graph import Graph
from tinygrad_cnn.graph.drawing.theme import LIGHT

ROOT = Path(__file__).parents[2]


@pytest.fixture
def drawn(run, working_directory):
    """Draws net.py with these options into a JSON file; its graph."""

    def command(options=""):
        outcome = run(f"draw net.py {options} --out net.json")
        assert outcome.status == 0, outcome.err
        return Graph.from_json((working_directory / "net.json").read_text("utf-8"))

    return command


@pytest.fixture
def dot(run, working_directory):
    """Draws a model file with these options; the DOT text without tooltips."""

    def command(line):
        outcome = run(f"draw {line} --out out.dot")
        assert outcome.status == 0, outcome.err
        text = (working_directory / "out.dot").read_text("utf-8")
        return re.sub(r'tooltip=".*?"', "", text, flags=re.DOTALL)

    return command


def labels(graph, kind="operation"):
    return [node.label for node in graph if node.kind == kind]


def test_the_forward_pass_on_one_image_is_drawn(drawn):
    graph = drawn()
    shapes = [(node.label, node.shape) for node in graph.operations()]
    assert shapes == [
        ("Reshape", (1, 784)),
        ("Linear", (1, 16)),
        ("ReLU", (1, 16)),
        ("Dropout", (1, 16)),
        ("Linear", (1, 10)),
    ]
    assert labels(graph, "input") == ["x"]
    assert labels(graph, "parameter") == [
        f"layers.{i}.{name}" for i in (1, 4) for name in ("weight", "bias")
    ]


@pytest.mark.parametrize("options", ["--mode backward", "--show gradients"])
def test_where_gradients_are_asked_for_a_training_step_is_drawn(drawn, options):
    graph = drawn(f"{options} --batch-size 3")
    forward = [node.label for node in graph.operations()]
    assert forward[-6:-2] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert "labels" in labels(graph, "input")
    assert graph.nodes[graph.outputs[0]].shape == ()
    if options == "--mode backward":
        ends = {n.label for n in graph if n.kind == "gradient" and n.backward_of}
        assert ends == {
            f"∂L/∂layers.{i}.{name}" for i in (1, 4) for name in ("weight", "bias")
        }


def test_one_line_says_what_was_written(run, working_directory):
    outcome = run("draw net.py --out picture.dot")
    assert outcome.out == "picture.dot: Net on digits, 11 nodes\n"
    assert (working_directory / "picture.dot").read_text().startswith("digraph")


def test_without_options_an_svg_is_written_beside(run, working_directory):
    if not shutil.which("dot"):
        pytest.importorskip("pygraphviz")
    outcome = run("draw net.py")
    assert outcome.status == 0
    assert outcome.out.startswith("net.svg: ")
    text = (working_directory / "net.svg").read_text("utf-8")
    assert text.startswith("<svg")
    assert "Linear" in text


def test_where_nothing_can_render_the_text_is_written_with_a_hint(
    run, working_directory, monkeypatch
):
    monkeypatch.setattr("shutil.which", lambda *_: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    outcome = run("draw net.py --out net.png")
    assert outcome.status == 0
    assert outcome.out.startswith("net.dot: ")
    assert "pip install" in outcome.err
    assert (working_directory / "net.dot").read_text().startswith("digraph")


def test_the_options_reach_the_drawing(dot):
    plain = dot("net.py")
    assert "1×784" in plain
    assert "1×16" in plain
    assert "12,560 parameters" in dot("net.py --depth 2 --show parameters")
    assert "1×784" not in dot("net.py --show formula")
    assert "Σ" in dot("net.py --show formula")
    assert "#ffffff" in plain
    assert "#ffffff" not in dot("net.py --theme dark").split("node [")[0]
    assert "8×3" in dot("net.py --set hidden=3 --batch-size 8")
    path = dot("net.py --highlight path:layers.1.bias,dead")
    assert path.count(LIGHT.highlight) > plain.count(LIGHT.highlight) + 3


def test_a_checkpoint_gives_the_values(drawn, train):
    train()
    line = "--show values"
    # The mean of the last layer's bias stays, for its gradient adds up to 0.
    means = [
        [n.values.mean for n in drawn(f"{line} {more}") if n.label == "layers.1.bias"]
        for more in ("", "--checkpoint runs/net.ckpt")
    ]
    assert means[0] != means[1]


BROKEN = ROOT / "docs" / "pictures" / "broken_net.py"


def test_the_wrong_operation_is_highlighted(dot, working_directory):
    """Of the net of the gallery, made small: its whole is drawn in test_documentation."""
    text = BROKEN.read_text("utf-8").replace(
        "Conv2d(1, 8, kernel_size=3)", "Conv2d(1, 2, 3, 4)"
    )
    text = text.replace("MaxPool2d(2)", "MaxPool2d(3)").replace(
        "8 * 13 * 13", "2 * 2 * 2"
    )
    (working_directory / "broken.py").write_text(text, "utf-8")
    text = dot("broken.py --highlight wrong")
    assert "first wrong gradient" in text.replace("<BR/>", " ")
    (culprit,) = re.findall(r"<B>(\w+)</B>(?:(?!<B>\w).)*?first wrong", text)
    assert culprit == "ForgetfulReLU"


def test_no_path_of_this_machine_is_in_the_file(run, working_directory):
    for ending in ("dot", "json"):
        assert run(f"draw net.py --out net.{ending}").status == 0
        text = (working_directory / f"net.{ending}").read_text("utf-8")
        assert str(working_directory) not in text
        assert "net.py:" in text
    run(f"draw {BROKEN} --out net.json")
    graph = json.loads((working_directory / "net.json").read_text("utf-8"))
    files = {node["where"].partition(":")[0] for node in graph["nodes"]}
    assert files == {"", "broken_net.py"}


@pytest.mark.parametrize("model", ["lenet5", "mlp", "mnist_net", "numpy_cnn"])
def test_the_models_of_this_project_can_be_drawn(dot, model):
    text = dot(f"{ROOT}/models/{model}.py --mode both --show shapes,formula")
    assert "Linear backward" in text


def test_batch_normalization_gets_the_images_that_it_needs(dot):
    text = dot(f"{ROOT}/models/lenet5.py --set batch_norm=true")
    assert len(re.findall(r"BatchNorm</B>", text)) == 4
    assert "2×84" in text


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ("--show shape", 1, "show='shape' is none of names, shapes"),
        ("--highlight wrongs", 1, "highlight='wrongs' is none of"),
        ("--highlight path:conv.bias", 1, "there is no 'conv.bias' in the graph"),
        ("--out net.jpg", 1, "'jpg' is none of svg, png, pdf, dot, json"),
        ("--mode sideways", 2, "invalid choice"),
        ("--depth 0", 2, "expected at least 1"),
    ],
)
def test_an_option_that_is_none_is_said(run, options, status, message):
    outcome = run(f"draw net.py {options}")
    assert outcome.status == status
    assert message in outcome.err
