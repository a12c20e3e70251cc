"""Mathematics among words: where it begins and ends.

A run of letters, numbers and signs is mathematics if something in it is no part of English:
a letter that stands alone, a sign, something raised or lowered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from .language import END, FUNCTIONS, Token, tokens

SIGNS = set("=<>≤≥≠·+−ΣΠ√∂|∞∗×^_")
"""Where one of these is, there is mathematics."""

NEUTRAL = {*"()[]{},/…", "+="}
"""These may be a part of it."""


def runs(text: str, names: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where the text is mathematics, as (start, end) in it; code is none.

    A comma outside brackets ends a run. names: longer names that are mathematics too, where
    there is more of it beside them.
    """
    run: list[Token] = []
    depth, code = 0, False
    for token, after in pairs(tokens(text)):
        code ^= token.text == "`"
        ends = (
            code or not may_be(token, after, names) or (token.text == "," and not depth)
        )
        depth += (token.text in CLOSED) - (token.text in CLOSED.values())
        if not ends and depth >= 0:
            run.append(token)
            continue
        yield from trimmed(run, names)
        run, depth = [], 0


CLOSED = {"(": ")", "[": "]", "{": "}"}


def pairs(pieces: Iterator[Token]) -> Iterator[tuple[Token, Token]]:
    """Each with the one after it, to the end."""
    return pairwise([*pieces, END, END])


def may_be(token: Token, after: Token, names: Collection[str]) -> bool:
    """Whether mathematics can go on with this."""
    if token.is_letter:
        return token.text != "A" and (token.text, after.text) != ("a", "-")
    if token.kind == "name":  # "log-probabilities" is a word.
        return token.text in names or (token.text in FUNCTIONS and after.text != "-")
    if token.kind == "sign":
        return token.text in SIGNS | NEUTRAL
    return token is not END


def trimmed(run: Sequence[Token], names: Collection[str]) -> Iterator[tuple[int, int]]:
    """The run without what hangs over at its ends, if anything in it is no English."""
    while run and (run[-1].kind == "space" or run[-1].text in ",/([{"):
        run = run[:-1]
    while run and (run[0].kind == "space" or run[0].text in ",/)]}"):
        run = run[1:]
    if (at := unclosed(run)) is not None:
        yield from trimmed(run[:at], names)
        yield from trimmed(run[at + 1 :], names)
    elif run and any(is_sure(token) for token in run):
        yield run[0].start, run[-1].end
    elif run:
        # Not even a letter: an index of names, or the input a, which is also an article.
        texts = [token.text for token in run]
        indexed = "[" in texts and any(token.kind == "name" for token in run)
        if indexed or (texts == ["a"] and "a" in names):
            yield run[0].start, run[-1].end


def is_sure(token: Token) -> bool:
    """Whether it is no part of English."""
    if token.is_letter:
        return token.text != "a"
    return token.kind in ("derivative", "raised", "lowered") or token.text in SIGNS


def unclosed(run: Sequence[Token]) -> int | None:
    """The place of the first bracket that is never closed."""
    opened: list[int] = []
    for i, token in enumerate(run):
        if token.text in CLOSED:
            opened.append(i)
        elif token.text in CLOSED.values() and opened:
            opened.pop()
    return opened[0] if opened else None
