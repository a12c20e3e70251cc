"""The profile of a step: what is counted, and how time is divided."""

import pytest

from tinygrad_cnn.benchmark.profiling import BETWEEN, cells, profile
from tinygrad_cnn.benchmark.roofline import Roofline
from tinygrad_cnn.graph.data import Graph, Node, Saved

ROOFLINE = Roofline(multiply_adds=1000.0, bytes=100.0, threads=1)


def operation(id, label, inputs, shapes, asked, **more):
    node = Node(id, "operation", label, inputs=inputs, input_shapes=shapes, **more)
    node.gradients = dict.fromkeys(asked, "formula")
    node.dtype = "float32"
    return node


@pytest.fixture
def graph():
    """A dense layer on images, a ReLU, the same layer, and a view."""
    found = Graph()
    first = operation(
        "n0", "Linear", ["x", "w", "b"], [(2, 3), (4, 3), (4,)], ["w", "b"]
    )
    again = operation("n2", "Linear", ["x", "w"], [(2, 4), (4, 4)], ["x", "w"])
    relu = operation("n1", "ReLU", ["x"], [(2, 4)], ["x"])
    view = operation("n3", "Reshape", ["x"], [(2, 4)], ["x"], view=True)
    first.macs, again.macs, relu.macs, view.macs = 24, 32, 0, 0
    first.saved = [Saved("x", (2, 3), 24, "images")]
    for node in (first, relu, again, view):
        node.shape, node.bytes = (2, 4), 32
        node.seconds, node.backward_seconds = 1.0, 2.0
        found.add(node)
    return found


def test_calls_of_an_operation_are_one_row_and_the_longest_is_first(graph):
    found = profile(graph, step=16.0, roofline=ROOFLINE)
    assert [(r.name, r.calls) for r in found.rows] == [
        ("Linear", 2),
        ("ReLU", 1),
        ("Reshape", 1),
    ]
    assert (found.rows[0].seconds, found.rows[0].backward_seconds) == (2, 4)


def test_shares_add_up_and_the_rest_lies_between(graph):
    found = profile(graph, step=16.0, roofline=ROOFLINE)
    assert (found.between.name, found.between.total) == (BETWEEN, 4)
    assert [r.share for r in found.rows] == [6 / 16, 3 / 16, 3 / 16]
    assert sum([r.share for r in (*found.rows, found.between)]) == 1
    assert profile(graph, step=1.0, roofline=ROOFLINE).between.total == 0


def test_multiply_adds_go_back_for_each_factor_that_asks(graph):
    linear, *_ = profile(graph, step=1.0, roofline=ROOFLINE).rows
    assert linear.macs == 24 + 32
    assert linear.backward_macs == 24 + 2 * 32  # the images ask for nothing


def test_bytes_are_each_array_once(graph):
    linear, relu, view = profile(graph, step=1.0, roofline=ROOFLINE).rows
    assert relu.bytes == 32 + 32
    assert relu.backward_bytes == 32 + 32
    assert linear.bytes == 4 * (6 + 12 + 4 + 8) + 4 * (8 + 16 + 8)
    assert linear.backward_bytes == 4 * (8 + 6 + 12 + 4) + 4 * (8 + 8 + 16)
    assert view.bytes == view.backward_bytes == 0


def test_the_share_of_the_roofline_is_the_least_time_over_the_time(graph):
    _, relu, view = profile(graph, step=1.0, roofline=ROOFLINE).rows
    assert relu.of_roofline == pytest.approx((0.64 + 0.64) / 3)
    assert view.of_roofline is None


def test_the_cells_fit_the_headings(graph):
    from tinygrad_cnn.benchmark.profiling import HEADINGS

    rows = list(cells(profile(graph, step=16.0, roofline=ROOFLINE)))
    assert {len(row) for row in rows} == {len(HEADINGS)}
    assert rows[0][:4] == ["Linear", "2", "2000.000", "4000.000"]
