"""A peer that never answers."""

import time

LIBRARY = "json"


def build(case):
    time.sleep(1000)
