"""Folding: fewer nodes, the same sums."""

import math
import random

import numpy as np
import pytest
from pictured import Deep, ResNet, faces, resnet

from tinygrad_cnn import Tensor, cat, manual_seed, nn, ones, randn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.graph import draw
from tinygrad_cnn.graph.data import Edge, Graph, Node, Statistics
from tinygrad_cnn.graph.fold import fold
from tinygrad_cnn.graph.repeats import fold_repeats
from tinygrad_cnn.nn import functional as F

EVERYTHING = ["parameters", "macs", "saved", "time"]
FOLDINGS = {
    "repeats": {},
    "depth 1": {"depth": 1},
    "depth 2": {"depth": 2},
    "a predicate": {"collapse": lambda path: path.startswith("blocks.")},
    "nothing": {"collapse": False},
}


def multiply_adds(images, size, channels, blocks):
    """Of a ResNet: each output of a convolution meets 9 taps of every channel."""
    stem = images * channels * size * size * 9 * 3
    block = 2 * images * channels * size * size * 9 * channels
    return stem + blocks * block + images * 10 * channels


@pytest.mark.parametrize("mode", ["forward", "both"])
@pytest.mark.parametrize("folding", FOLDINGS)
def test_the_sums_are_those_of_the_model(folding, mode):
    model, x, labels = resnet(12)
    options = FOLDINGS[folding] | {"mode": mode, "show": EVERYTHING}
    drawing = draw(model, x, labels=labels, **options)
    whole, drawn = drawing.graph, list(drawing.drawn)
    forward = [n for n in drawn if n.backward_of is None]
    loose = [n for n in forward if n.kind == "parameter" and not n.folded]
    parameters = sum(n.parameters for n in forward) + sum(
        math.prod(n.shape) for n in loose
    )
    assert parameters == sum(p.numel() for p in model.parameters())
    assert sum(n.macs or 0 for n in forward) == multiply_adds(2, 8, 4, 12)
    seconds = [n.seconds for n in whole.operations()]
    assert math.fsum(n.seconds or 0 for n in forward) == pytest.approx(
        math.fsum(seconds)
    )
    kept = [s.bytes for n in whole.operations() for s in n.saved]
    assert sum(s.bytes for n in forward for s in n.saved) == sum(kept)


@pytest.mark.parametrize("folding", FOLDINGS)
def test_edges_join_what_is_there_and_inputs_come_first(folding):
    model, x, labels = resnet(12)
    drawn = draw(model, x, labels=labels, mode="both", **FOLDINGS[folding]).drawn
    place = {id: i for i, id in enumerate(drawn.nodes)}
    assert all(place[e.source] < place[e.target] for e in drawn.edges)
    assert len({(e.source, e.target, e.input) for e in drawn.edges}) == len(drawn.edges)
    assert set(drawn.outputs) <= set(drawn.nodes)


def test_each_node_is_drawn_once():
    model, x, _ = resnet(12)
    for options in FOLDINGS.values():
        drawing = draw(model, x, **options)
        drawn = [id for n in drawing.drawn for id in n.folded or [n.id]]
        assert sorted(drawn) == sorted(drawing.graph.nodes)


def test_twelve_equal_blocks_are_drawn_once():
    model, x, labels = resnet(12)
    drawing = draw(model, x, labels=labels)
    assert "blocks.0…11 ×12" in str(drawing)
    modules = {n.module for n in drawing.drawn if n.kind == "operation"}
    inside = {"conv1", "norm1", "conv2", "norm2"}
    assert modules == {"", "stem", "head", "blocks.0…11 ×12"} | {
        f"blocks.0…11 ×12.{part}" for part in inside
    }
    (weight,) = [n for n in drawing.drawn if n.label.endswith("conv1.weight")]
    assert weight.parameters == 12 * 4 * 4 * 9 and weight.shape == (4, 4, 3, 3)


def test_in_both_passes_as_well():
    model, x, labels = resnet(12)
    few, many = (
        draw(model, x, labels=labels, mode="both", collapse=c) for c in (None, False)
    )
    one = draw(*resnet(1)[:2], labels=labels, mode="both", collapse=False)
    assert len(few.drawn) == len(one.drawn) < len(many.drawn) / 5


def test_two_equal_blocks_are_drawn_as_they_are():
    model, x, _ = resnet(2)
    assert "×2" not in str(draw(model, x, show="names"))


def test_blocks_that_differ_are_drawn_one_by_one():
    """In settings, shapes, the operation, or what is shown of them."""
    x = ones(1, 4)
    wider = nn.Sequential(*[nn.Linear(4 + i, 5 + i) for i in range(6)])
    other = nn.Sequential(*[nn.LeakyReLU(0.1 + i) for i in range(6)])
    kinds = nn.Sequential(nn.Tanh(), nn.ReLU(), nn.Sigmoid(), nn.LeakyReLU(), nn.Tanh())
    for model in (wider, other, kinds):
        leaf = Tensor(x.numpy().copy(), requires_grad=True)
        drawn = draw(model, leaf).drawn
        assert not any("×" in n.module for n in drawn)


def test_the_first_block_may_get_its_input_from_anywhere():
    """From the data or from another operation: the first of 5 is drawn, ×5."""
    manual_seed(0)
    deep = Deep(5)
    for x in (ones(2, 8), ones(2, 8, requires_grad=True) * 2):
        operations = draw(deep, x).drawn.operations()
        assert [n.label for n in operations if n.module.startswith("×5")] == [
            *("Linear", "ReLU")
        ]


def test_a_block_that_is_used_from_outside_ends_the_row():
    """As in a net whose middle is joined to its end."""
    x = ones(2, 8, requires_grad=True)
    layers = [nn.Linear(8, 8) for _ in range(8)]
    values = [x]
    for layer in layers:
        values.append(layer(values[-1]))
    drawing = draw(cat([values[8], values[4]], 1), names={})
    linear = [n for n in drawing.drawn.operations() if n.label == "Linear"]
    assert sorted(len(n.folded) for n in linear) == [4, 4]
    (joined,) = [n for n in drawing.drawn if n.label == "Concatenate"]
    sources = [e.source for e in drawing.drawn.edges if e.target == joined.id]
    assert sorted(sources) == sorted(n.id for n in linear)


def test_rows_within_rows():
    """3 stages of 4 layers: a row of 3, and a row of 4 in it."""
    stages = [
        nn.Sequential(*[nn.Linear(6, 6) for _ in range(4)], nn.Tanh()) for _ in range(3)
    ]
    drawing = draw(nn.Sequential(*stages), ones(1, 6))
    operations = drawing.drawn.operations()
    assert [n.label for n in operations] == ["Linear", "Tanh"]
    assert [len(n.folded) for n in operations] == [12, 3]
    assert operations[0].module == "0…2 ×3.0…3 ×4"


def test_blocks_begin_where_modules_do():
    """A row that could be cut anywhere is cut between two modules."""
    manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(5)]
    drawing = draw(nn.Sequential(nn.Tanh(), *blocks), ones(1, 6, requires_grad=True))
    assert [n.label for n in drawing.drawn.operations()] == ["Tanh", "Linear", "Tanh"]
    assert [n.module for n in drawing.drawn.operations()][1:] == [
        "1…5 ×5.0",
        "1…5 ×5.1",
    ]


def test_a_row_is_not_folded_over_what_is_pointed_out():
    deep, x = Deep(6), ones(2, 8, requires_grad=True)
    deep.layers[2].bias.data.fill_(-100)
    drawing = draw(deep, x, highlight="dead")
    operations = drawing.drawn.operations()
    assert [n.label for n in operations] == ["Linear", "ReLU"] * 4
    assert list(drawing.reasons) == [operations[5].id]
    assert [len(n.folded) for n in operations] == [0] * 6 + [3] * 2


@pytest.mark.slow
def test_three_hundred_layers_fit_a_page():
    def alternating():
        return [nn.Linear(8, 8) if i % 2 == 0 else nn.Tanh() for i in range(300)]

    x = ones(2, 8)
    for model in (nn.Sequential(*alternating()), Deep(150), ResNet(50)):
        x = randn(1, 3, 8, 8) if isinstance(model, ResNet) else x
        for mode in ("forward", "both"):
            for options in ({}, {"depth": 1}):
                drawing = draw(model, x, mode=mode, **options)
                drawn = [n for n in drawing.drawn if n.backward_of is None]
                assert len(drawn) < 40
                assert len(drawing.graph.operations()) >= 300


def test_modules_are_one_node_each_at_a_depth():
    model, x, labels = resnet(2)
    drawing = draw(model, x, labels=labels, depth=1)
    modules = [n.label for n in drawing.drawn if n.kind == "module"]
    assert modules == ["stem", "blocks", "head"]
    deeper = draw(model, x, labels=labels, depth=2).drawn
    modules = [n.label for n in deeper if n.kind == "module"]
    assert modules == ["stem", "blocks.0", "blocks.1", "head"]
    assert not any(n.kind == "parameter" for n in deeper)
    # 2 convolutions of 4·4·9 + 4, and 2 normalisations of 2·4
    assert (
        "312 parameters"
        in faces(draw(model, x, depth=2, show=["names", "parameters"]))[
            next(n.id for n in deeper if n.label == "blocks.0")
        ]
    )


def test_the_name_of_a_folded_module_is_whole():
    model, x, labels = resnet(12)
    for mode in ("forward", "both"):
        said = faces(draw(model, x, labels=labels, depth=2, mode=mode, show="names"))
        assert {"stem", "blocks.0…11 ×12", "head"} <= set(said.values())
    assert {"stem backward", "blocks.0…11 ×12 backward"} <= set(said.values())


def test_the_predicate_sees_the_paths_of_the_model():
    model, x, _ = resnet(4)
    seen = set()
    draw(model, x, collapse=lambda path: seen.add(path))
    assert seen <= {name for name, _ in model.named_modules()}
    drawing = draw(model, x, collapse=lambda path: path == "blocks.0")
    assert [n.label for n in drawing.drawn if n.kind == "module"] == ["blocks.0…3 ×4"]


def test_a_module_called_twice_is_a_node_for_each_call():
    """Else the layer between the calls would come before and after it."""
    shared, between = nn.Linear(4, 4), nn.Tanh()

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.between = shared, between

        def forward(self, x):
            return self.shared(self.between(self.shared(x)))

    drawing = draw(Twice(), ones(2, 4), depth=1)
    modules = [n.label for n in drawing.drawn if n.kind == "module"]
    assert modules == ["shared", "between", "shared (call 2)"]
    # The weight and the bias belong to both calls, and are counted once.
    parameters = [n for n in drawing.drawn if n.kind == "parameter"]
    assert sum(math.prod(n.shape) for n in parameters) == 20
    assert not any(n.parameters for n in drawing.drawn)


def test_parts_of_one_call_that_do_not_touch_are_one_node():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.spread = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x):
            return self.mean(x), self.spread(x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.heads = nn.Linear(3, 4), Heads()

        def forward(self, x):
            return self.heads(F.relu(self.first(x)))

    drawing = draw(Net(), ones(1, 3), depth=1)
    assert [n.label for n in drawing.drawn if n.kind == "module"] == ["first", "heads"]


def test_random_graphs_stay_without_cycles():
    """Whatever modules the operations of a random graph are said to be in."""
    draw_from = random.Random(0)
    for _ in range(50):
        graph = Graph()
        for i in range(30):
            module = draw_from.choice(["", "a", "b", "a.c", "a.d", "b.e"])
            graph.add(Node(f"n{i}", "operation", "Op", module=module, macs=i))
            sources = draw_from.sample(range(i), min(i, draw_from.randint(1, 2)))
            graph.edges += [Edge(f"n{s}", f"n{i}") for s in sources]
        for path in ("a", "b", "a.c"):
            folded = fold(graph, collapse=path.__eq__)
            place = {id: i for i, id in enumerate(folded.nodes)}
            assert all(place[e.source] < place[e.target] for e in folded.edges)
            assert sum(n.macs for n in folded) == sum(range(30))


def test_statistics_of_a_row_are_those_of_all_its_values():
    values = [np.random.default_rng(i).normal(size=8) for i in range(4)]
    values[2][3] = np.nan
    graph = Graph()
    graph.add(Node("x", "input", "x", shape=(8,)))
    for i, x in enumerate(values):
        finite = x[np.isfinite(x)]
        node = Node(f"n{i}", "operation", "Exp", shape=(8,))
        node.values = Statistics(
            *(float(f(finite)) for f in (np.min, np.mean, np.max, np.linalg.norm)),
            not_finite=int(8 - finite.size),
        )
        graph.add(node)
        graph.edges.append(Edge(f"n{i - 1}" if i else "x", f"n{i}", "x"))
    (node,) = fold_repeats(graph).operations()
    together = np.concatenate(values)
    together = together[np.isfinite(together)]
    expected = [f(together) for f in (np.min, np.mean, np.max, np.linalg.norm)]
    found = [node.values.min, node.values.mean, node.values.max, node.values.norm]
    assert found == pytest.approx(expected, rel=1e-12)
    assert node.values.not_finite == 1


@pytest.mark.slow
def test_a_long_chain_of_irregular_operations_is_searched_quickly():
    """In time that grows with the length, not with its square."""
    draw_from = random.Random(1)
    graph = Graph()
    graph.add(Node("n0", "input", "x"))
    for i in range(1, 20_001):
        graph.add(Node(f"n{i}", "operation", draw_from.choice(["Exp", "Tanh"])))
        graph.edges.append(Edge(f"n{i - 1}", f"n{i}", "x"))
    folded = fold_repeats(graph)
    assert sum(len(n.folded) or 1 for n in folded) == 20_001


def test_depth_begins_at_one():
    with pytest.raises(ArgumentError, match="1 deep or more"):
        draw(nn.Linear(2, 2), ones(1, 2), depth=0)
