"""How many of the package's functions a convolution goes through, there and back.

Someone who follows `conv(x)` in a debugger passes each of them. What stands below the
kernel is not counted: the reference's helpers, and compiled code.
"""

import importlib.util
import os
import sys

import pytest

import tinygrad_cnn
from tinygrad_cnn import kernels, nn

PACKAGE = os.path.dirname(tinygrad_cnn.__file__) + os.sep

TABLES = ["reference"]
if importlib.util.find_spec("numba"):
    TABLES.append("fast")


@pytest.fixture(params=TABLES)
def table(request):
    before = kernels.serving()
    kernels.use(request.param)
    yield request.param
    kernels.use(before)


def compiled_kernels():
    """(file, name) of every function that Numba compiled."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tinygrad_cnn.kernels.fast"):
            for value in vars(module).values():
                function = getattr(getattr(value, "kernel", value), "py_func", None)
                if function is not None:
                    yield function.__code__.co_filename, function.__code__.co_name


def calls_of(function):
    """(file, name) of each call of ours in order, and how many came before each kernel."""
    calls, before, depth = [], [], 0
    compiled = set(compiled_kernels())

    def profile(frame, event, _):
        nonlocal depth
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(PACKAGE):
            return
        readable = code.co_filename == kernels.reference.__file__
        if readable or (code.co_filename, code.co_name) in compiled:
            if event == "call" and not depth:
                before.append(len(calls))
            depth += 1 if event == "call" else -1
        elif event == "call" and not depth:
            calls.append((code.co_filename[len(PACKAGE) :], code.co_qualname))

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls, before


@pytest.fixture
def no_two_gradients_share_memory():
    """The check of this folder, which wraps `backward`, would be counted."""


def step(batch, padding):
    """A convolution, its images and a gradient, as layers before and after hand them on."""
    conv = nn.Conv2d(3, 8, 3, padding=padding)
    with tinygrad_cnn.no_grad():
        x = nn.Conv2d(1, 3, 3)(tinygrad_cnn.rand(batch, 1, 10, 10))
        g = conv(x)
    return conv, x.requires_grad_(), g


def assert_at_most(calls, most, files):
    listing = "\n".join(f"{file} {name}" for file, name in calls)
    assert len(calls) <= most, listing
    assert len({file for file, _ in calls}) <= files, listing


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("batch", [4, 32])
def test_from_a_layer_to_its_kernel(table, batch, padding):
    conv, x, _ = step(batch, padding)
    conv(x)
    calls, before = calls_of(lambda: conv(x))
    assert_at_most(calls[: before[-1]], 23, 8)
    assert_at_most(calls, 28, 9)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("batch", [4, 32])
def test_the_backward_of_a_layer(table, batch, padding):
    conv, x, g = step(batch, padding)
    conv(x).backward(g)
    for leaf in (x, *conv.parameters()):
        leaf.grad = None
    y = conv(x)
    calls, before = calls_of(lambda: y.backward(g))
    # The kernels of three gradients; kernels turned for one, and borders for two of them.
    assert 3 <= len(before) <= 6
    assert_at_most(calls, 51, 8)
