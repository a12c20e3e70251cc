"""The docstring of an operation as Markdown: prose, with its formulas set.

The formula of the result and that of each gradient stand on lines of their own, and so does
every derivative that a sentence begins with. Other formulas are set where they stand, among
the words (see `inline`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator

from tinygrad_cnn.ops import Op, registry
from tinygrad_cnn.ops.formulas import CITATION

from .inline import runs
from .language import clauses, decomposed
from .latex import latex

DOCUMENTS = ("day2", "day3", "numpy-cnn", "patches", "lenet")
"""Their pages are called the same, but for the hyphen."""

DERIVATIVE = r"(?:∂[^\W_]+(?:\[[^\]]*\])*/∂|d[a-z]/d)[^\W_]+"
BEGINS = r"^|(?<=[.;:,] )|(?<=so )|(?<= by )|(?<=   )"
INDEX, END = r"(?:\[[^\]]*\])*", r"[.;:](?: |$)|,? {3}|,? \((?:`|[^()]*eq\.)|, so |$"
DISPLAYED = re.compile(
    rf"(?:^y|(?<= )∂L/∂[^\W_]+|(?:{BEGINS}){DERIVATIVE}){INDEX} = .*?(?={END})"
)
"""A formula for a line of its own: the result, ∂L/∂x, or what a sentence begins with."""

SENTENCE = re.compile(r": (?:(?:for|over|axes) |[^.;]* (?:is|goes|puts|cancel)\b)")
"""After a formula and a colon: what says more than what the formula is called."""

CITED = re.sub(r"\((?!\?)", "(?:", CITATION.pattern)
QUOTED = re.compile(rf"({CITED}|`[^`]*`)")
OPERATION = re.compile(
    rf"(?<![\w`])({'|'.join(sorted(registry, key=len, reverse=True))})"
    r"(\([^()]*\))?(?![\w(])"
)


def names(op: type[Op]) -> set[str]:
    """What may stand for a value in the formulas of an operation."""
    fields = getattr(op, "__dataclass_fields__", {})
    return {*op.inputs, *op.keeps, *fields, "before", "after", "key"}


class Prose:
    """Turns text into Markdown.

    known: names that are mathematics. link: gives the address of an operation's section.
    """

    def __init__(self, known: Collection[str], link: Callable[[str], str]) -> None:
        self.names, self.link = known, link

    def docstring(self, op: type[Op]) -> str:
        """All of the docstring of an operation."""
        return self.text(inspect.cleandoc(op.__doc__ or ""))

    def text(self, text: str) -> str:
        """Paragraphs; those that are indented are formulas, some side by side."""
        found: list[str] = []
        for paragraph in re.split(r"\n\s*\n", text):
            if paragraph.startswith("    "):
                found += map(self.display, re.split(r"\n| {4,}", paragraph.strip()))
            else:
                found += self.blocks(re.sub(r"(?<=\S)\s*\n\s*", " ", paragraph))
        return "\n\n".join(found)

    def blocks(self, line: str) -> Iterator[str]:
        """Prose and displayed formulas in turn."""
        at = 0
        for found in DISPLAYED.finditer(line):
            formula = stated(found[0])
            rest = line[found.start() + len(formula) :]
            if found.start() < at or rest.startswith(", and "):
                continue
            yield from self.between(line[at : found.start()])
            at = len(line) - len(rest)
            named = rest.startswith(": ") and not SENTENCE.match(rest)
            yield self.display(formula, "" if named else (rest + " ")[0].strip("( "))
        yield from self.between(line[at:])

    def between(self, prose: str) -> Iterator[str]:
        """The prose around formulas; the sign behind a formula stands on its line."""
        prose = re.sub(r"^[.;,]\s*", "", prose.strip())
        if SENTENCE.match(prose):
            begins = prose.startswith(": for ")
            prose = prose[2].upper() + prose[3:] if begins else prose[2:]
        elif prose.startswith(": "):
            prose = "That is " + prose[2:]
        if prose.strip(" .,;"):
            yield self.prose(prose)

    def display(self, formula: str, mark: str = "") -> str:
        """A formula on a line of its own, with the sign behind it."""
        mark = "{:}" if mark == ":" else mark  # Else it is set as a ratio.
        return f"$$\n{latex(formula.strip(), self.names)}{mark}\n$$"

    # --------------------------------------------------------------------- among words

    def prose(self, text: str) -> str:
        """Words with the formulas, names, operations and citations among them set."""
        parts = QUOTED.split(text)
        parts[1::2] = map(quoted, parts[1::2])
        parts[::2] = map(self.words, parts[::2])
        return "".join(parts).strip()

    def words(self, text: str) -> str:
        found, at = [], 0
        for name in OPERATION.finditer(text):
            if is_operation(text, name):
                linked = f"[`{name[1]}`]({self.link(name[1])})"
                found += [self.formulas(text[at : name.start()]), linked]
                at = name.end(1)
        return "".join([*found, self.formulas(text[at:])])

    def formulas(self, text: str) -> str:
        """Mathematics between dollars."""
        text = re.sub(r'"(\w)"', r"`\1`", decomposed(text))
        found, at = [], 0
        for start, end in runs(text, self.names):
            found += [text[at:start], f"${latex(text[start:end], self.names)}$"]
            at = end
        return "".join([*found, text[at:]])


def quoted(text: str) -> str:
    """Something in backticks; a document is linked to its page, with the place cited."""
    name, place = re.fullmatch(r"`([^`]*)`(.*)", text).groups()
    page = f"../documents/{name.replace('-', '_')}.md"
    return f"[`{name}`{place}]({page})" if name in DOCUMENTS else text


def is_operation(text: str, found: re.Match[str]) -> bool:
    """Whether a name is that of an operation, and not a word, as Index or Linear."""
    if found[2] or re.search(r"[a-z].*[A-Z]|\d", found[1]):
        return True
    before, after = text[: found.start()], text[found.end() :]
    if before.endswith((": ", "/", "That is ")):
        return True
    begins = not before.strip() or before.endswith(". ")
    return not begins and bool(re.match(r"[.,;/]|$", after))


def stated(formula: str) -> str:
    """Without the words at its end, which are prose."""
    kept, *more = clauses(formula)
    for clause in more:
        equation = re.match(r"[^ ]+ = ", clause)
        case = re.search(r"^else |^\d for | (?:where|for) .*=|outside$", clause)
        signs = not re.search("[A-Za-z]{3,}", clause)
        if clause.startswith("and ") or not (equation or case or signs):
            break
        kept += f", {clause}"
    # One "for" says of what, two tell cases apart.
    said = re.findall(r"(?<!\d) for (?!the tap)", kept)
    return kept.partition(" for ")[0] if len(said) == 1 else kept
