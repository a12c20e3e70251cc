"""A peer that cannot do what is asked."""

from tinygrad_cnn.benchmark.peers.base import Unsupported


def load():
    return build


def build(case):
    raise Unsupported("it has no such layer")
