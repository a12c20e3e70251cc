"""DOT text: valid, complete, and with every name as it is."""

import re
import warnings
from xml.etree import ElementTree

import pytest
from pictured import faces, node_named, resnet

from tinygrad_cnn import Tensor, nn, ones
from tinygrad_cnn.graph import draw
from tinygrad_cnn.graph.data import Edge, Graph, Node, Saved, Statistics

MODES = ["forward", "backward", "both"]
NASTY = [
    'a"b',
    "a<b>&c",
    "back\\slash\\",
    "\\N \\l",
    "<<b>x</b>>",
    "αβ∂é漢",
    "a;b->c",
    "]{}|",
]


def parsed(drawing):
    pygraphviz = pytest.importorskip("pygraphviz")
    return pygraphviz.AGraph(string=str(drawing))


def ends_of(parsed_edge):
    """The nodes of our graph that an edge joins: what a port names, or the node itself."""
    for end, port in zip(parsed_edge, ("tailport", "headport"), strict=True):
        yield parsed_edge.attr[port] or end


@pytest.mark.parametrize("mode", MODES)
def test_every_node_and_every_edge_is_there(mode):
    model, x, labels = resnet(1)
    drawing = draw(model, x, labels=labels, mode=mode, show=["names", "saved"])
    found = parsed(drawing)
    assert set(faces(drawing)) == set(drawing.drawn.nodes)
    names = set(found.nodes())
    assert set(drawing.drawn.nodes) <= names | set(
        re.findall('PORT="(.*?)"', str(drawing))
    )
    # Gradients are drawn upwards in the columns of "both": the edge is turned round.
    turned = {True: -1, False: 1}
    edges = [
        tuple(ends_of(e))[:: turned[e.attr["dir"] == "back"]] for e in found.edges()
    ]
    pairs = [tuple(e) for e in found.edges() if e.attr["dir"] == "none"]
    expected = [(e.source, e.target) for e in drawing.drawn.edges]
    assert sorted(edges) == sorted(expected + pairs)
    backward = {n.id: n.backward_of for n in drawing.drawn}
    assert all(backward[b] == f for f, b in pairs)


def test_modules_are_clusters_within_each_other():
    model, x, _ = resnet(2)
    whole = parsed(draw(model, x, collapse=False))
    tops = clusters(whole)
    assert set(tops) == {"stem", "blocks", "head"}
    blocks = clusters(tops["blocks"])
    assert set(blocks) == {"0", "1"}
    assert set(clusters(blocks["0"])) == {"conv1", "norm1", "conv2", "norm2"}


def clusters(graph):
    """The clusters directly in a graph, by their titles."""
    found = [c for c in graph.subgraphs() if (c.name or "").startswith("cluster")]
    return {re.sub("<[^>]*>", "", c.graph_attr["label"]): c for c in found}


def test_modules_called_again_are_another_cluster():
    """A net that uses one ReLU twice does not get a frame around half of the page."""
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 3), relu, nn.Linear(3, 3), relu)
    drawing = draw(model, ones(2, 3), collapse=False)
    assert [text for text in faces(drawing).values() if "ReLU" in text] == [
        "1: ReLU\n2×3"
    ] * 2


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize(
    "show", [["names", "shapes"], ["names", "formula", "saved", "numbers"]]
)
def test_names_of_any_characters(name, show):
    """In titles, modules, formulas, tooltips, and even as ids of nodes."""
    graph = Graph(title=name)
    graph.add(Node(name, "parameter", name, module=name, numbers=[1.0]))
    graph.add(
        Node(
            *("n1", "operation", f"Op{name}"),
            name=name,
            module=name,
            shape=(2,),
            formula=f"y = {name}",
            documentation=name,
            where=name,
            attributes={"a": name},
            saved=[Saved(name, (2,), 8, name)],
        )
    )
    graph.edges = [Edge(name, "n1", name)]
    drawing = draw(graph, show=show)
    assert faces(drawing)["n1"].startswith(f"{name} = Op{name}")
    found = parsed(drawing)
    assert sorted(found.nodes()) == sorted(["n1", "before n1"])
    id = name.replace("\\", "\\\\")  # the same in every statement
    assert [tuple(ends_of(e)) for e in found.edges()] == [(id, "n1")]
    svg = ElementTree.fromstring(drawing.svg())
    # A word joiner, which has no width, keeps Graphviz from replacing "\\N".
    said = ["".join(e.itertext()).replace("\u2060", "") for e in svg.iter()]
    assert {name, f"{name} = Op{name}"} <= set(said)
    tips = [v for e in svg.iter() for k, v in e.attrib.items() if k.endswith("title")]
    assert any(f"a = {name}" in tip.replace("\u2060", "") for tip in tips)


def test_a_name_that_looks_like_dot():
    graph = Graph(title="digraph")
    for name in ("node", "graph", "n", "edge"):
        graph.add(Node(name, "input", name))
    assert set(parsed(draw(graph)).nodes()) == {"node", "graph", "n", "edge"}


def test_both_puts_each_operation_and_its_gradient_on_one_line():
    model, x, labels = resnet(1)
    drawing = draw(model, x, labels=labels, mode="both")
    lines = re.findall(r"\{rank=same; (.*)\}", str(drawing))
    together = [set(line.replace('"', "").split("; ")) for line in lines]
    for node in drawing.drawn:
        if node.backward_of and node.kind == "operation":
            assert any({node.id, node.backward_of} <= line for line in together)


def test_both_hides_what_is_saved_unless_it_is_asked_for():
    model, x, labels = resnet(1)
    assert "style=dotted" not in str(draw(model, x, labels=labels, mode="both"))
    assert "style=dotted" in str(
        draw(model, x, labels=labels, mode="both", show="saved")
    )


def test_data_flow_down_and_gradients_up():
    w = Tensor([2.0], requires_grad=True)
    y = w.exp().tanh()
    drawing = draw(y, mode="both", show="names")
    exp, tanh = node_named(drawing, "Exp"), node_named(drawing, "y = Tanh")
    exp_back = node_named(drawing, "Exp backward")
    tanh_back = node_named(drawing, "Tanh backward")
    assert f"{exp} -> {tanh} [tooltip" in str(drawing)
    assert f"{exp_back} -> {tanh_back} [dir=back" in str(drawing)


def test_a_chain_goes_across_where_it_fits_a_slide_and_down_where_it_is_long():
    x = Tensor([1.0], requires_grad=True)
    few, many = x, x
    for _ in range(6):
        few = few.exp()
    for _ in range(60):
        many = many.exp()
    assert "rankdir=LR" in str(draw(few, collapse=False))
    assert "rankdir=TB" in str(draw(many, collapse=False))


def test_formulas_name_the_inputs_on_the_edges():
    a, b = Tensor([1.0], requires_grad=True), Tensor([2.0], requires_grad=True)
    y = a / b
    assert 'label=" a "' in str(draw(y, show="formula"))
    assert 'label=" a "' not in str(draw(y))


@pytest.mark.slow
def test_fifty_thousand_operations_are_written_without_recursion():
    y = Tensor([1.0], requires_grad=True)
    for _ in range(25_000):
        y = (y * 0.5).tanh()
    drawing = draw(y, collapse=False)
    assert len(drawing.drawn) == 50_001
    assert str(drawing).count(" -> ") == 50_000


def test_not_finite_statistics_are_said():
    graph = Graph()
    nan = float("nan")
    graph.add(Node("n0", "input", "x", values=Statistics(nan, nan, nan, nan, 7)))
    graph.add(Node("n1", "input", "y", values=Statistics(1, 2, 3, 4, 5)))
    again = Graph.from_json(graph.to_json())
    for drawing in (draw(graph, show="values"), draw(again, show="values")):
        assert faces(drawing)["n0"] == "x\nvalues: none finite, 7 inf or NaN"
        assert faces(drawing)["n1"] == "y\nvalues: 1 … 3, mean 2\nnorm 4, 5 inf or NaN"


def test_no_warnings_from_the_quoting():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = Graph(title="ends with \\")
        graph.add(Node("x\\", "input", "\\"))
        assert str(draw(graph)).count("\\\\") >= 3
