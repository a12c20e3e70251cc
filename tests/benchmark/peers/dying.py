"""A peer whose process ends."""

import os
import sys


def load():
    return build


def build(case):
    print("out of luck", file=sys.stderr, flush=True)
    os._exit(3)
