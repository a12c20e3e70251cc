"""`draw`: what is in the picture, what nodes say, and what is pointed out."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pictured import Deep, faces, node_named, resnet

from tinygrad_cnn import Tensor, manual_seed, nn, no_grad, ones, rand, randn, zeros
from tinygrad_cnn.errors import ArgumentError, AutogradError
from tinygrad_cnn.graph import draw, walk
from tinygrad_cnn.graph.drawing.theme import DARK, LIGHT, THEMES, Theme
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.ops import Op
from tinygrad_cnn.training.model_file import load_class
from tinygrad_cnn.verify import verify

MODELS = Path(__file__).parents[2] / "models"


def lenet():
    manual_seed(0)
    model = load_class(f"{MODELS / 'lenet5.py'}:LeNet5")()
    return model, randn(4, 1, 32, 32), Tensor([1.0, 2.0, 3.0, 4.0]).long()


def said(drawing, title):
    """What the node that is called so says below its title."""
    return faces(drawing)[node_named(drawing, title)].split("\n")[1:]


# ------------------------------------------------------------------ what is drawn


def test_lenet_as_its_paper_describes_it():
    model, x, labels = lenet()
    drawing = draw(model, x, labels=labels)
    said = list(faces(drawing).values())
    for line in (
        *("x\n4×1×32×32", "Conv2d\n4×6×28×28", "MaxPool2d\n4×6×14×14"),
        *("Conv2d\n4×16×10×10", "MaxPool2d\n4×16×5×5", "Linear\n4×120", "Linear\n4×84"),
        *("Linear\n4×10", "loss = NLLLoss\nscalar", "weight\n16×6×5×5", "bias\n120"),
    ):
        assert line in said
    assert "rankdir=LR" in str(drawing)  # it fits a slide so


def test_a_result_any_nesting_of_results_or_a_graph():
    w = ones(2, requires_grad=True)
    a, b = w.exp(), w.tanh()
    both = draw({"first": a, "more": [b, (a,)]})
    assert {"w\n2", "a = Exp\n2", "b = Tanh\n2"} == set(faces(both).values())
    graph = walk([a, b], {"w": w, "a": a, "b": b})
    assert str(draw(graph)) == str(both)


def test_a_model_and_its_input_or_inputs():
    class Sum(nn.Module):
        def forward(self, left, right):
            return left + right

    left, right = ones(2), ones(2, requires_grad=True)
    drawing = draw(Sum(), (left, right))
    assert {"left\n2", "right\n2", "Add\n2"} == set(faces(drawing).values())
    assert drawing.graph.title == "Sum"
    assert draw(Sum(), (left, right), title="").graph.title == ""


def test_the_loss_is_the_models_own_or_another():
    model, x, labels = resnet(1)
    assert "loss = NLLLoss" in str(draw(model, x, labels=labels))
    other = draw(model, x, labels=ones(2, 10), loss=F.mse_loss)
    assert "loss = MSELoss" in str(other) or "loss = Mean" in str(other)
    usual = draw(nn.Linear(4, 4), ones(2, 4), labels=labels)
    assert "loss = NLLLoss" in str(usual) and "LogSoftmax" in str(usual)
    with pytest.raises(ArgumentError, match=re.escape("draw(model, x)")):
        draw(model)
    with pytest.raises(ArgumentError, match="a result already"):
        draw(ones(2), labels=labels)


def test_names_are_those_of_the_code_that_draws():
    scale = Tensor([2.0], requires_grad=True)
    layer = nn.Linear(1, 1)
    hidden = layer(scale)
    result = hidden * scale
    drawing = draw(result)
    titles = {face.split("\n")[0] for face in faces(drawing).values()}
    assert titles == {
        *("scale", "hidden = Linear", "result = Mul", "layer.weight", "layer.bias")
    }
    other = draw(result, names={"s": scale, "y": result})
    titles = {face.split("\n")[0] for face in faces(other).values()}
    assert titles == {"s", "Linear", "y = Mul", "parameter"}


def test_a_part_of_a_model_does_not_rename_its_parameters():
    model, x, _ = resnet(1)
    stem = model.stem
    assert node_named(draw(stem(x)), "model.stem.weight")


def test_drawing_leaves_no_trace():
    """Statistics of the data, random numbers and gradients are as they were."""
    model, x, labels = resnet(1)
    model.append = nn.Dropout(0.5)
    loss = model.loss(model(x), labels)
    loss.backward(retain_graph=True)
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    gradients = [p.grad.numpy().copy() for p in model.parameters()]
    manual_seed(3)
    expected = rand(3).numpy().copy()
    manual_seed(3)
    for mode in ("forward", "both"):
        draw(model, x, labels=labels, mode=mode, show=["gradients", "values", "time"])
        draw(loss, mode=mode, show=["gradients", "values", "saved"])
    assert np.array_equal(rand(3).numpy(), expected)
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), before[name])
    for p, g in zip(model.parameters(), gradients, strict=True):
        assert np.array_equal(p.grad.numpy(), g)
    loss.backward()


def test_a_graph_that_backward_has_used_up_is_drawn_all_the_same():
    w = ones(2, requires_grad=True)
    loss = (w * w).sum()
    loss.backward()
    assert "6" not in said(draw(loss, show="gradients"), "w")
    assert said(draw(loss, mode="both", show="gradients"), "w") == ["gradient: all 2"]


def test_a_value_without_a_graph_is_one_node():
    with no_grad():
        y = ones(2) * 2
    assert list(faces(draw(y)).values()) == ["y\n2"]
    with pytest.raises(AutogradError, match="requires a gradient"):
        draw(y, mode="both")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"mode": "sideways"}, "forward, backward, both"),
        ({"show": ["names", "magic"]}, "'magic' is none of names, shapes"),
        ({"theme": "pink"}, "light or dark"),
        ({"highlight": "pink"}, "'vanishing'"),
        ({"highlight": ("path", "nobody")}, "no 'nobody' in the graph; it has w"),
    ],
)
def test_unknown_options_are_refused_with_what_is_known(option, message):
    w = ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match=message):
        draw(w.sum(), **option)


def test_a_graph_of_the_forward_pass_alone_has_no_backward_to_draw():
    with pytest.raises(ArgumentError, match="no backward pass"):
        draw(walk(ones(2, requires_grad=True).sum()), mode="both")


# -------------------------------------------------------------------------- modes


def test_forward_has_no_gradients():
    model, x, labels = lenet()
    kinds = {n.kind for n in draw(model, x, labels=labels).drawn}
    assert kinds == {"operation", "parameter", "input"}


def test_both_has_one_node_for_the_backward_pass_of_each_operation():
    model, x, labels = lenet()
    drawn = draw(model, x, labels=labels, mode="both").drawn
    forward = [n for n in drawn if n.backward_of is None and n.kind == "operation"]
    backward = [n for n in drawn if n.backward_of and n.kind == "operation"]
    assert [n.id for n in forward] == [n.backward_of for n in backward][::-1]
    ends = [n.label for n in drawn if n.kind == "gradient" and n.backward_of]
    assert sorted(ends) == sorted(f"∂L/∂{name}" for name, _ in model.named_parameters())


def test_backward_has_what_the_gradients_are_computed_from_and_nothing_else():
    w, x = Tensor([2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    y = (w * x).tanh()
    drawn = draw(y, mode="backward").drawn
    forward = {n.name or n.label for n in drawn if n.backward_of is None}
    assert forward == {
        "w",
        "x",
        "y",
        "1",
    }  # tanh' = 1 − y²; the product itself is unused
    used = {e.source for e in drawn.edges}
    assert all(n.id in used or n.backward_of for n in drawn)


def test_gradients_of_several_results_are_those_of_their_sum():
    w = Tensor([[1.0, 2.0]], requires_grad=True)
    drawing = draw([w * 3, w.sum()], mode="both", show="gradients")
    assert said(drawing, "w") == ["gradient: all 4"]


# --------------------------------------------------------------- what nodes say


def test_shapes_and_dtypes():
    w = ones(2, 3, requires_grad=True)
    assert said(draw(w.sum()), "w") == ["2×3"]
    assert said(draw(w.sum(), show=["dtype"]), "w") == ["float32"]
    assert said(draw(w.sum(), show=["shapes", "dtype"]), "Sum") == ["scalar float32"]
    assert said(draw(w.sum(), show="names"), "w") == []


def test_statistics_of_values_and_of_gradients():
    w = Tensor([[-3.0, 4.0]], requires_grad=True)
    frozen = ones(1, 2)
    drawing = draw((w * w * frozen).sum(), show=["values", "gradients"])
    assert said(drawing, "w") == [
        *("values: −3 … 4, mean 0.5", "norm 5"),
        *("gradient: −6 … 8, mean 1", "norm 10"),
    ]
    assert said(drawing, "frozen") == ["values: all 1", "gradient: not computed"]


def test_a_gradient_that_was_not_computed_is_not_zero():
    """Only w gets a gradient, and it is 0; the other gets none."""
    w, other = zeros(2, requires_grad=True), ones(2)
    drawing = draw((w * w + other).sum(), show="gradients")
    assert said(drawing, "w") == ["gradient: 0"]
    assert said(drawing, "other") == ["gradient: not computed"]


def test_formulas_of_results_and_of_gradients():
    a, b = Tensor([2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    y = a * b
    assert said(draw(y, show="formula"), "Mul") == ["y = a · b"]
    both = draw(y, mode="both", show="formula")
    assert said(both, "Mul backward") == ["∂L/∂a = g · b", "∂L/∂b = g · a"]
    backward = str(draw(y, mode="backward", show="formula"))
    assert "Mul backward" in backward and "∂L/∂a = g · b" in backward


def test_long_formulas_are_wrapped_outside_of_brackets():
    model, x, labels = lenet()
    drawing = draw(model, x, labels=labels, mode="both", show="formula")
    for face in faces(drawing).values():
        for line in face.split("\n"):
            assert len(line) <= 60
            assert line.count("[") == line.count("]")


def test_parameters_time_and_multiply_adds():
    layer = nn.Linear(30, 40)
    x = randn(5, 30)
    show = ["parameters", "macs", "time"]
    drawing = draw(layer(x), show=show)
    assert said(drawing, "layer.weight") == ["1,200 parameters, 4.69 KiB"]
    macs, forward, backward = said(drawing, "Linear")
    assert macs == "6 k multiply-adds"  # 5 · 40 · 30
    assert re.fullmatch(r"forward [\d.]+ (µs|ms|s)", forward)
    assert re.fullmatch(r"backward [\d.]+ (µs|ms|s)", backward)
    layer = nn.Sequential(nn.Sequential(layer))
    (module,) = [
        n for n in draw(layer, x, depth=1, show=show).drawn if n.kind == "module"
    ]
    assert (module.parameters, module.parameter_bytes) == (1240, 4960)


def test_what_is_saved_and_who_holds_it():
    w, x = ones(3, requires_grad=True), ones(3)
    drawing = draw((w * x).exp(), show=["names", "saved"])
    assert said(drawing, "Mul") == ["keeps 12 B:", "b 3, of x"]
    assert said(drawing, "Exp") == ["keeps 12 B:", "y 3, its own"]


def test_branches():
    w = Tensor([-1.0, 1.0, 2.0, 3.0], requires_grad=True)
    assert said(draw(F.relu(w), show="branches"), "ReLU") == ["75 % alive"]
    image = zeros(1, 1, 4, 4, requires_grad=True)
    drawing = draw(F.max_pool2d(image, 2), show="branches")
    assert said(drawing, "MaxPool2d") == ["4 ties"]


def test_numbers_of_small_tensors():
    w = Tensor([[1.0, 0.25], [-2.0, 1e-7]], requires_grad=True)
    drawing = draw(w * ones(100, 2, 2), show="numbers")
    assert said(drawing, "w") == ["10.25", "−21e−07"]  # cells of a table, in rows
    assert said(drawing, "Mul") == []


# ---------------------------------------------------------------- what stands out


def reasons(drawing, title):
    return drawing.reasons.get(node_named(drawing, title), [])


def test_reasons_are_written_on_the_node_with_a_thick_border():
    w = Tensor([1.0, 0.0], requires_grad=True)
    y = w.log()
    z = y * 2
    drawing = draw(z, highlight="nonfinite")
    assert reasons(drawing, "y = Log")[0] == "inf or NaN in 1 of 2 values, first here"
    assert reasons(drawing, "z = Mul")[0] == "inf or NaN in 1 of 2 values"
    assert "inf or NaN in 1 of 2 values of its gradient, first here" in reasons(
        drawing, "w"
    )
    face = faces(drawing)[node_named(drawing, "y = Log")]
    assert "▲ inf or NaN in 1 of 2 values" in face
    (line,) = [line for line in str(drawing).splitlines() if "y = Log</B>" in line]
    assert "penwidth=3" in line
    assert "penwidth=3" not in str(draw(z))


def test_dead_units():
    w = ones(4, requires_grad=True)
    alive, dead = F.relu(w), F.relu(w - 2)
    drawing = draw(alive + dead, highlight="dead")
    assert reasons(drawing, "dead = ReLU") == [
        "dead: 0 of 4 are alive, so no gradient passes"
    ]
    assert reasons(drawing, "alive = ReLU") == []


def test_vanishing_in_one_step_and_little_by_little():
    w = ones(4, requires_grad=True)
    sudden = draw((w * 1e-4).sum(), highlight="vanishing")
    assert list(sudden.reasons) == [node_named(sudden, "w")]
    (reason,) = reasons(sudden, "w")
    assert reason.startswith("vanishing: gradient norm 1.0e-04 × the next")
    slow = ones(1, requires_grad=True)
    y = slow
    for _ in range(6):
        y = y * 0.1
    slowly = draw(y, highlight="vanishing", collapse=False)
    norms = sorted(n.gradient.norm for n in slowly.graph if n.gradient)
    assert len(slowly.reasons) == sum(norm < 1e-4 for norm in norms) == 2
    assert not draw((w * 0.1).sum(), highlight="vanishing").reasons


def test_exploding():
    w = ones(4, requires_grad=True)
    drawing = draw((w * 1e5).sum(), highlight=["exploding", "vanishing"])
    assert list(drawing.reasons) == [node_named(drawing, "w")]
    assert reasons(drawing, "w")[0].startswith("exploding: gradient norm 1.0e+05 ×")


def test_the_measure_of_vanishing_is_the_largest_and_of_exploding_the_smallest():
    """Of the nodes that use a value, and of all on the way; the norms are the factors'."""
    w = ones(1, requires_grad=True)
    request = {"highlight": ["exploding", "vanishing"], "collapse": False}
    large = draw((w * 2000) + (w * 1) * 1000, **request)
    (reason,) = reasons(large, "w")  # it is 3000, and those that use w are 1 and 1000
    assert reason.startswith("exploding: gradient norm 3.0e+03 × the next")
    small = draw((w * 0.005) + (w * 5e-6) * 1000, **request)
    (reason,) = reasons(small, "w")  # 0.01, of the same 1 and 1000
    assert reason.startswith("vanishing: gradient norm 1.0e-05 × the next")
    down_and_up = draw(((w * 300) * 300) * 1e-3, **request)
    (reason,) = reasons(down_and_up, "w")  # 1, 0.001, 0.3, 90
    assert reason.startswith("exploding: gradient norm 9.0e+04 × the smallest later")
    up_and_down = draw(((w * 0.003) * 0.003) * 1e3, **request)
    (reason,) = reasons(up_and_down, "w")  # 1, 1000, 3, 0.009
    assert reason.startswith("vanishing: gradient norm 9.0e-06 × the largest later")
    for drawing in (large, small, down_and_up, up_and_down):
        assert list(drawing.reasons) == [node_named(drawing, "w")]


def test_a_deep_net_of_sigmoids_vanishes_at_its_beginning():
    manual_seed(0)
    deep = Deep(10, lambda x: x.sigmoid())
    drawing = draw(deep, randn(4, 8), highlight="vanishing", collapse=False)
    weights = [n for n in drawing.graph if n.label.endswith("weight")]
    pointed = [n.id in drawing.reasons for n in weights]
    assert pointed == sorted(pointed, reverse=True) and pointed[0] and not pointed[-1]


def test_the_path_from_a_parameter_to_the_loss():
    model, x, labels = lenet()
    drawing = draw(model, x, labels=labels, highlight=("path", "dense2.weight"))
    graph = drawing.graph
    on_path = {graph.nodes[id].label for id in drawing.reasons}
    assert on_path == {"dense2.weight", "Linear", "ReLU", "LogSoftmax", "NLLLoss"}
    assert len(drawing.reasons) == 6  # two Linear
    begins = [r for found in drawing.reasons.values() for r in found if "begins" in r]
    assert begins == ["the path begins here"]
    thick = [s for s in str(drawing).splitlines() if " -> " in s and "penwidth=3" in s]
    assert len(thick) == 5


def test_the_culprit_of_a_report():
    @dataclass(frozen=True)
    class WrongSquare(Op, register=False):
        """y = x².   ∂L/∂x = 2 g x, and this forgets the 2."""

        def forward(self, x):
            return x * x

        def grad_x(self, g, x):
            return g * x

    def f(x):
        return (WrongSquare()(x.exp()) * 3).sum()

    x = Tensor(np.array([0.5, 1.0]), requires_grad=True)
    report = verify(f, [x])
    drawing = draw(f(x), highlight=report)
    (reason,) = [r for found in drawing.reasons.values() for r in found if "first" in r]
    assert reason == "the first wrong gradient is here: ∂L/∂x"
    assert reason in reasons(drawing, "WrongSquare")
    assert not draw(f(x), highlight=verify(lambda x: x.exp(), [x])).reasons


def test_a_folded_node_gives_the_reasons_of_what_is_inside():
    deep, x = Deep(2), ones(2, 8, requires_grad=True)
    deep.between = nn.ReLU()
    deep.layers[1].bias.data.fill_(-100)
    drawing = draw(deep, x, highlight="dead", depth=1)
    (found,) = drawing.reasons.values()
    assert found == ["ReLU: dead: 0 of 16 are alive, so no gradient passes"]


# ------------------------------------------------------------------------- themes


def luminance(color):
    """Relative luminance of sRGB (WCAG 2.2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    ]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(a, b):
    high, low = sorted([luminance(a), luminance(b)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_text_can_be_read_on_every_ground(theme):
    """A contrast of 4.5 at least for text, and of 3 for lines (WCAG 2.2, AA)."""
    grounds = [
        theme.background,
        theme.cluster,
        *[s.fill for s in theme.styles.values()],
    ]
    for ground, text in itertools.product(grounds, [theme.text, theme.muted]):
        assert contrast(ground, text) >= 4.5
    for ground in grounds:
        assert contrast(ground, theme.highlight) >= 4.5
    for line in (
        theme.edge,
        theme.backward_edge,
        *[s.border for s in theme.styles.values()],
    ):
        assert contrast(theme.background, line) >= 3


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_kinds_differ_in_grey_print(theme):
    """By shape, dashes or the grey of the ground; the passes by their grey alone."""
    styles = theme.styles
    assert contrast(styles["operation"].fill, styles["backward"].fill) >= 1.25
    assert contrast(theme.background, styles["backward"].fill) >= 1.25
    looks = {
        kind: (s.shape, "dashed" in s.style, "rounded" in s.style)
        for kind, s in styles.items()
        if kind not in ("backward", "output")  # output: a double border
    }
    assert len(set(looks.values()) | {"gradient"}) == len(looks)


def test_themes():
    w = ones(2, requires_grad=True)
    assert LIGHT.background in str(draw(w.sum()))
    assert DARK.background in str(draw(w.sum(), theme="dark"))
    mine = Theme(**{**vars(LIGHT), "background": "#fff0f0"})
    assert "#fff0f0" in str(draw(w.sum(), theme=mine))


def test_results_have_a_double_border_and_constants_a_dashed_one():
    w = ones(2, requires_grad=True)
    text = str(draw((w * 2).sum(), show="names")).splitlines()
    assert len([line for line in text if "peripheries=2" in line]) == 1
    assert 'style="filled,dashed"' in str(draw(ones(3) + 1, names={}))
