"""Pictures: by the program `dot`, by pygraphviz, or a line that says how to get one."""

import base64
import stat
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, randn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.graph import draw
from tinygrad_cnn.graph.data import Graph, Node
from tinygrad_cnn.graph.drawing import render
from tinygrad_cnn.graph.drawing.render import RenderError, render_dot

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


def a_drawing(**options):
    w = Tensor([[1.0, 2.0]], requires_grad=True)
    loss = (w * w).sum()
    return draw(loss, **options)


@pytest.fixture
def no_graphviz(monkeypatch, tmp_path):
    """A machine with neither the program nor the package."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setitem(sys.modules, "pygraphviz", None)


@pytest.fixture
def pygraphviz(monkeypatch, tmp_path):
    """A machine with the package alone."""
    pytest.importorskip("pygraphviz")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.fixture
def dot(monkeypatch, tmp_path):
    """A machine with a program `dot` of some version that does as it is told."""

    def install(script, version="3.0.0"):
        program = tmp_path / "bin" / "dot"
        program.parent.mkdir(exist_ok=True)
        answer = (
            f"if '-V' in sys.argv: sys.exit('dot - graphviz version {version} (0)')"
        )
        program.write_text(
            f"#!{sys.executable}\nimport sys, time\n{answer}\n{script}\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", str(program.parent))
        render._is_old.cache_clear()

    return install


def test_each_format_is_what_its_name_says(pygraphviz, tmp_path):
    drawing = a_drawing()
    starts = {"svg": b"<svg", "png": b"\x89PNG\r\n", "pdf": b"%PDF"}
    for ending, start in starts.items():
        path = drawing.save(tmp_path / f"graph.{ending}")
        assert path == tmp_path / f"graph.{ending}"
        assert path.read_bytes().startswith(start)
    text = (drawing.save(str(tmp_path / "graph.dot"))).read_text("utf-8")
    assert text == drawing.dot == str(drawing)
    data = Graph.from_json(drawing.save(tmp_path / "graph.JSON").read_text("utf-8"))
    assert list(data.nodes) == list(drawing.graph.nodes)
    assert str(draw(data)) == str(drawing)


def test_a_png_is_sharp_enough_for_a_slide(pygraphviz, tmp_path):
    """Twice the 96 pixels per inch of a screen; the size stands in bytes 16 to 23."""
    drawing = a_drawing()
    content = drawing.save(tmp_path / "graph.png").read_bytes()
    width = int.from_bytes(content[16:20], "big")
    points = float(
        ElementTree.fromstring(drawing.svg()).get("width").removesuffix("pt")
    )
    assert width == pytest.approx(points / 72 * 192, rel=0.02)


def test_an_svg_stands_alone_and_fits_into_a_page(pygraphviz):
    svg = a_drawing().svg()
    element = ElementTree.fromstring(svg)
    assert element.tag == f"{SVG}svg" and "max-width:100%" in element.get("style")
    texts = ["".join(e.itertext()) for e in element.iter(f"{SVG}text")]
    assert "loss = Sum" in texts and "1×2" in texts


def test_tooltips_have_formula_statistics_and_line(pygraphviz):
    svg = ElementTree.fromstring(a_drawing(show=["values"]).svg())
    tips = [v for e in svg.iter() for k, v in e.attrib.items() if k.endswith("title")]
    (tip,) = [tip for tip in tips if tip.startswith("Mul\n")]
    assert "y = a · b" in tip and "∂L/∂a = g · b" in tip
    assert "values: 1 … 4, mean 2.5\nnorm 4.12" in tip  # of 1 and 4: √17
    assert f"{__file__}:" in tip


def test_thumbnails_are_inside_the_svg(pygraphviz, tmp_path):
    model, images = nn.Conv2d(1, 3, 3), randn(2, 1, 9, 9)
    drawing = draw(model, images, show="images")
    svg = ElementTree.fromstring(drawing.svg())
    links = [e.get(LINK) for e in svg.iter(f"{SVG}image")]
    assert len(links) == 2
    for link in links:
        kind, _, data = link.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
    assert len(drawing.save(tmp_path / "graph.png").read_bytes()) > 1000
    assert "IMG" not in str(drawing)  # the text names no files, which nobody would have


def test_the_program_comes_first(dot):
    dot("print('<svg>', sys.argv[1], len(sys.stdin.read()) > 100, '</svg>')")
    assert (
        render_dot("digraph {" + " " * 100 + "}", "svg") == b"<svg> -Tsvg True </svg>\n"
    )


@pytest.mark.parametrize("version", ["2.43.0", "2.50.0"])
def test_the_program_comes_last_if_it_is_old(dot, version, monkeypatch):
    """Edges strike through formulas; it is asked for its version once."""
    pytest.importorskip("pygraphviz")
    dot("print('<svg/>')", version)
    asked = []
    run = render.subprocess.run

    def count(command, **options):
        asked.append(command[1])
        return run(command, **options)

    monkeypatch.setattr(render.subprocess, "run", count)
    for _ in range(2):
        assert b"</svg>" in render_dot("digraph {}", "svg")
    assert asked == ["-V", "-c", "-c"]
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    assert render_dot("digraph {}", "svg") == b"<svg/>\n"


def test_what_graphviz_says_to_a_picture_is_a_warning(dot):
    said = "Fontconfig warning: old\\nWarning: node a, no image"
    dot(f"print('<svg/>'); print('{said}', file=sys.stderr)")
    with pytest.warns(UserWarning, match="said: Warning: node a, no image$"):
        assert render_dot("digraph {}", "svg") == b"<svg/>\n"


def test_what_graphviz_brought_by_a_package_says_is_a_warning(pygraphviz):
    with pytest.warns(UserWarning, match="nowhere"):
        render_dot('digraph { a [image="nowhere.png"] }', "svg")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("sys.exit('no cairo here')", "no cairo here"),
        ("sys.stdin.read()", "it said nothing"),
        ("import os; os.abort()", "did not draw"),
    ],
)
def test_a_program_that_fails_is_quoted(dot, script, message):
    dot(script)
    with pytest.raises(RenderError, match=message):
        render_dot("digraph {}", "png")


def test_a_layout_without_end_is_ended(dot):
    dot("time.sleep(60)")
    with pytest.raises(RenderError, match="timed out"):
        render_dot("digraph {}", "svg", seconds=0.3)


def test_a_text_that_is_no_dot_is_refused(pygraphviz):
    with pytest.raises(RenderError, match="did not draw"):
        render_dot("digraph { a -> ", "svg")


def test_without_graphviz_the_text_is_saved_and_a_line_says_so(
    no_graphviz, tmp_path, capsys
):
    drawing = a_drawing()
    for ending in ("svg", "png", "pdf"):
        path = drawing.save(tmp_path / f"graph.{ending}")
        assert path == tmp_path / "graph.dot"
        assert path.read_text("utf-8") == drawing.dot
        assert not (tmp_path / f"graph.{ending}").exists()
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and str(path) in said
        assert "dot" in said and "tinygrad-cnn[viz]" in said
    with pytest.raises(RenderError, match="no Graphviz was found"):
        drawing.svg()
    assert drawing._repr_mimebundle_() == {"text/plain": drawing.dot}


def test_notebooks_get_the_picture(pygraphviz):
    bundle = a_drawing()._repr_mimebundle_(include=None, exclude=None)
    assert ElementTree.fromstring(bundle["image/svg+xml"]).tag == f"{SVG}svg"


@pytest.mark.parametrize("error", [OSError("x"), ValueError("x"), MemoryError()])
def test_notebooks_get_the_text_whatever_goes_wrong(error, monkeypatch, dot):
    def fail(*arguments, **options):
        raise error

    dot("pass")
    drawing = a_drawing()
    monkeypatch.setattr(render.subprocess, "run", fail)
    assert drawing._repr_mimebundle_() == {"text/plain": drawing.dot}


def test_notebooks_get_the_text_of_a_graph_that_takes_minutes_to_lay_out(dot):
    dot("time.sleep(60)")
    graph = Graph()
    for i in range(2000):
        graph.add(Node(f"n{i}", "input", "x"))
    assert list(draw(graph)._repr_mimebundle_()) == ["text/plain"]


def test_a_file_is_replaced_only_by_a_whole_one(pygraphviz, tmp_path, monkeypatch):
    path = tmp_path / "graph.svg"
    path.write_text("before")

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("tinygrad_cnn.checkpoint.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        a_drawing().save(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="svg, png, pdf, dot, json"):
        a_drawing().save(tmp_path / "graph.gif")


def test_pictures_have_room_for_their_words(pygraphviz):
    """The width of each text lies within the frame of its node.

    By the metrics of Helvetica "values: 1 … 4, mean 2.5", the tightest line, is 0.471 of
    its height a letter; Graphviz estimates more only where no fonts are installed.
    """
    svg = ElementTree.fromstring(a_drawing(show=["names", "formula", "values"]).svg())
    for group in svg.iter(f"{SVG}g"):
        shapes = list(group.iter(f"{SVG}path"))
        if group.get("class") != "node" or not shapes:
            continue
        numbers = shapes[0].get("d").replace("M", "").replace("C", " ").split()
        xs = np.array([float(pair.split(",")[0]) for pair in numbers])
        for text in group.iter(f"{SVG}text"):
            x = float(text.get("x"))
            room = 0.475 * float(text.get("font-size")) * len(text.text)
            centred = text.get("text-anchor") == "middle"
            left, right = (x - room / 2, x + room / 2) if centred else (x, x + room)
            assert xs.min() <= left and right <= xs.max()
