"""How much work something is, counted: clocks depend on the machine, counts do not."""

import sys


def calls_in(run):
    """How many functions `run()` calls, Python's and those written in C."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count
