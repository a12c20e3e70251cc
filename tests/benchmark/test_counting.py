"""Multiply-adds, against loops that count them one by one, and against the graph's."""

import itertools

import pytest
from small_cases import SMALL, small

from tinygrad_cnn.benchmark.cases import CASES, multiply_adds
from tinygrad_cnn.benchmark.layers import (
    Conv,
    Linear,
    Pool,
    Relu,
    Residual,
    with_shapes,
)


def counted(layer, before):
    """Forward, of one image: every product is one turn of a loop."""
    count = 0
    if isinstance(layer, Linear):
        for _ in itertools.product(range(layer.out), range(before[0])):
            count += 1
    if isinstance(layer, Conv):
        channels, height, width = before
        last = layer.padding - layer.kernel + 1
        rows = range(-layer.padding, height + last, layer.stride)
        columns = range(-layer.padding, width + last, layer.stride)
        taps = range(layer.kernel)
        places = itertools.product(range(layer.out), rows, columns)
        seen = range(channels // layer.groups)
        for _ in itertools.product(places, seen, taps, taps):
            count += 1
    return count


def counts_of(case):
    """Of each layer of a case."""
    shapes = with_shapes(case.layers, case.image)
    return [counted(layer, before) for layer, before, _ in shapes]


def test_each_layer_counts_forward_once_and_back_twice_but_for_the_images():
    case = SMALL["training"]
    each = [
        counted(layer, before)
        for layer, before, _ in with_shapes(case.layers, case.image)
    ]
    first, *others = [count for count in each if count]
    assert multiply_adds(case) == case.batch * (2 * first + 3 * sum(others))


def test_inference_counts_forward_only():
    case = SMALL["inference"]
    each = [
        counted(layer, before)
        for layer, before, _ in with_shapes(case.layers, case.image)
    ]
    assert multiply_adds(case) == case.batch * sum(each)


def test_an_operation_alone_counts_the_gradient_of_its_input_too():
    layer = Conv(3, 3, 1)
    assert multiply_adds(small("operation", [layer])) == 6 * 3 * counted(
        layer, (2, 8, 8)
    )
    assert multiply_adds(small("operation", [Pool()])) == 0


def test_groups_see_their_own_channels_and_strides_leave_places_out():
    for layer in (Conv(4, 3, 1, groups=2), Conv(3, 3, 1, stride=2), Conv(2, 1, 0, 2)):
        count = counted(layer, (2, 8, 8))
        assert multiply_adds(small("inference", [layer])) == 6 * count


def test_both_branches_of_a_residual_block_count():
    inner, shortcut = Conv(3, 3, 1, bias=False), Conv(3, 1)
    block = Residual((inner, Relu()), (shortcut,))
    count = counted(inner, (2, 8, 8)) + counted(shortcut, (2, 8, 8))
    assert multiply_adds(small("inference", [block])) == 6 * count


def test_a_chain_multiplies_once_forward_and_twice_back():
    assert multiply_adds(CASES["multiply-1000"]) == 3 * 1000 * 10


@pytest.mark.parametrize(
    "name", ["lenet5-b1", "mnist-net-b64", "numpy-cnn-b64", "depthwise-b64"]
)
def test_the_graph_counts_the_same_forward(name):
    import tinygrad_cnn
    from tinygrad_cnn.benchmark.peers.torch_style import network
    from tinygrad_cnn.graph.measuring import measure
    from tinygrad_cnn.graph.walker import Walk

    case = CASES[name]
    images = tinygrad_cnn.from_numpy(case.images()).requires_grad_()
    graph = measure(Walk(network(tinygrad_cnn, case)(images)), "macs")
    counts = [n.macs for n in graph.operations() if n.macs]
    assert multiply_adds(case) == 3 * sum(counts) - counts[0]
