"""A peer whose library fails."""


def load():
    return build


def build(case):
    raise ValueError("shapes\ndo not fit")
