"""A peer whose update goes one per cent too far, and who prints on stdout."""

from tinygrad_cnn.benchmark.peers.torch_style import ours


def load():
    return build


def build(case):
    print("a library that talks")
    program = ours()(case)
    starts = case.weights()
    right = program.arrays
    program.arrays = lambda: [
        w + 0.01 * (w - s) for w, s in zip(right(), starts, strict=True)
    ]
    return program
