"""A peer whose library fails."""

LIBRARY = "json"


def build(case):
    raise ValueError("shapes\ndo not fit")
