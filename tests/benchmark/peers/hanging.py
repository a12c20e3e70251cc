"""A peer that never answers."""

import time


def load():
    return build


def build(case):
    time.sleep(1000)
