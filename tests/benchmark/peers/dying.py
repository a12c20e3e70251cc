"""A peer whose process ends."""

import os
import sys

LIBRARY = "json"


def build(case):
    print("out of luck", file=sys.stderr, flush=True)
    os._exit(3)
