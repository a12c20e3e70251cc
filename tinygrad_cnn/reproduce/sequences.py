"""The sequences that the recurrent nets learn: sentences, and a text without an end.

Both need memory: a "not" turns the meaning of a later word around, and the character that
comes next can depend on a word before. They are made here; `day2` names the tasks only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

OPENINGS = ("", "i think", "we know", "i do not think")
SUBJECTS = ("this is", "it was")
MODIFIERS = ("", "very", "really", "not")
POSITIVE = ("good", "nice", "great", "lovely")
NEGATIVE = ("bad", "poor", "awful", "boring")


@dataclass(frozen=True)
class Sentence:
    """The words, whether they are positive (1) or not (0), whether they are held out."""

    words: tuple[str, ...]
    label: int
    held_out: bool


def sentences() -> Iterator[Sentence]:
    """All 256 combinations; each "not" turns the meaning of the last word around.

    A quarter is held out: for each modifier one positive and one negative word that never
    stand behind it in training. "not lovely" is new, "not nice" and "very lovely" are not.
    """
    last_words = [*enumerate(POSITIVE), *enumerate(NEGATIVE)]
    for opening, subject, (m, modifier), (i, last) in product(
        OPENINGS, SUBJECTS, enumerate(MODIFIERS), last_words
    ):
        words = tuple(f"{opening} {subject} {modifier} {last}".split())
        label = ((last in POSITIVE) + words.count("not")) % 2
        yield Sentence(words, label, held_out=m == i)


TEXT = "the sun is hot and the sea is cold and "
"""Repeated for ever. Is "and the s" followed by u or e? It was cold, or hot, before."""
WINDOW = 30


def steps_to_be_sure(text: str) -> int:
    """After how many characters, wherever one begins, the next one is always certain."""
    for length in range(1, len(text) + 1):
        followers: dict[str, set[str]] = {}
        for i in range(len(text)):
            window = (text * 3)[i : i + length + 1]
            followers.setdefault(window[:-1], set()).add(window[-1])
        if all(len(characters) == 1 for characters in followers.values()):
            return length
    raise ValueError(f"{text!r} repeats itself")


@dataclass(frozen=True)
class Examples:
    """One-hot sequences x (N, T, vocabulary) and classes y, (N) or (N, T).

    first: the first position whose answer counts, where there is one for every step.
    """

    x: Array
    y: Array
    first: int = 0

    def __len__(self) -> int:
        return len(self.y)

    def part(self, chosen: Array) -> Examples:
        """Those sequences."""
        return Examples(self.x[chosen], self.y[chosen], self.first)

    def share(self, answers: Array) -> float:
        """How many of these answers, in the shape of y, are right where it counts."""
        return float((answers == self.y)[..., self.first :].mean())


def one_hot(sequences: Sequence[Sequence[str]], vocabulary: Sequence[str]) -> Array:
    """float32 (N, T, vocabulary); shorter sequences begin with rows of zeros."""
    steps = max(map(len, sequences))
    x = np.zeros((len(sequences), steps, len(vocabulary)), np.float32)
    for n, sequence in enumerate(sequences):
        for t, entry in enumerate(sequence, start=steps - len(sequence)):
            x[n, t, vocabulary.index(entry)] = 1
    return x


def read_sentences() -> tuple[Examples, Examples, list[str]]:
    """What is learned, what is held out, and the vocabulary."""
    known = list(sentences())
    vocabulary = sorted({word for sentence in known for word in sentence.words})
    x = one_hot([sentence.words for sentence in known], vocabulary)
    every = Examples(x, np.array([sentence.label for sentence in known]))
    held_out = np.array([sentence.held_out for sentence in known])
    return every.part(~held_out), every.part(held_out), vocabulary


def read_characters() -> tuple[Examples, Examples, list[str]]:
    """A window from each place of the text; every third is held out."""
    vocabulary = sorted(set(TEXT))
    places = np.arange(len(TEXT))
    windows = [(TEXT * 2)[i : i + WINDOW + 1] for i in places]
    y = [[vocabulary.index(c) for c in window[1:]] for window in windows]
    x = one_hot([window[:-1] for window in windows], vocabulary)
    # the answer at index t − 1 is given after t characters
    every = Examples(x, np.array(y), first=steps_to_be_sure(TEXT) - 1)
    return every.part(places % 3 != 2), every.part(places % 3 == 2), vocabulary


def last_alone(training: Examples, held_out: Examples) -> float:
    """The accuracy on what is held out of the best guess from the last entry alone."""

    def last(examples: Examples) -> Array:
        many = examples.y.ndim == 2
        return (examples.x if many else examples.x[:, -1]).argmax(-1)

    counts = np.zeros((training.x.shape[-1], int(training.y.max()) + 1))
    np.add.at(counts, (last(training), training.y), 1)
    return held_out.share(counts.argmax(1)[last(held_out)])
