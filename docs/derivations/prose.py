"""The docstring of an operation as Markdown: prose, with its formulas set.

The formula of the result and that of each gradient stand on lines of their own, and so does
every derivative that a sentence begins with. Other formulas are found among the words: a
run of letters, numbers and signs, with something in it that is no part of English.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator

from tinygrad_cnn.ops import Op, registry
from tinygrad_cnn.ops.formulas import CITATION, LETTERS

from .latex import FUNCTIONS, HAT, Token, decomposed, latex, split_at, tokens

DOCUMENTS = {"numpy-cnn": "numpy_cnn"}
"""The page of a document, where its name is another."""

FIELDS_IN_FORMULAS = ("before", "after", "key")
DERIVATIVE = r"(?:∂[^\W_]+(?:\[[^\]]*\])*/∂|d[a-z]/d)"
LEFT = rf"(?:^y|(?<= )∂L/∂[^\W_]+|(?:^|(?<=[.;:,] )|(?<=so )|(?<= by )|(?<=   )){DERIVATIVE}[^\W_]+)"
DISPLAY = re.compile(
    LEFT + r"(?:\[[^\]]*\])* = .*?(?=[.;:](?: |$)|,? {3}|,? \((?:`|[^()]*eq\.)|, so |$)",
    re.MULTILINE,
)
SENTENCE = re.compile(r": (?:(?:for|over|axes) |[^.;]* (?:is|goes|puts|cancel)\b)")
"""After a formula and a colon: what says more than what the formula is called."""

SIGNS = set("=<>≤≥≠·+−Σ√∂|∞∗×…^_")


def names(op: type[Op]) -> set[str]:
    """What may stand for a value in the formulas of an operation."""
    fields = getattr(op, "__dataclass_fields__", {})
    return {*op.inputs, *op.keeps, *fields, *FIELDS_IN_FORMULAS}


class Prose:
    """Turns text into Markdown. `link` gives the address of an operation's section."""

    def __init__(self, known: set[str], link: Callable[[str], str]) -> None:
        self.names, self.link = known, link

    def docstring(self, op: type[Op]) -> str:
        """All of the docstring of an operation."""
        lefts = [LETTERS.get(x, x) for x in op.rules]
        assert all(f"∂L/∂{x}" in (op.__doc__ or "") for x in lefts), op
        return self.text(inspect.cleandoc(op.__doc__ or ""))

    def text(self, text: str) -> str:
        """Paragraphs; those that are indented are formulas."""
        found = []
        for paragraph in re.split(r"\n\s*\n", text):
            if paragraph.startswith("    "):
                lines = [re.split(" {4,}", line.strip()) for line in paragraph.splitlines()]
                found += [self.display(part) for line in lines for part in line]
            else:
                found += self.paragraph(re.sub(r"(?<=\S)\s*\n\s*", " ", paragraph))
        return "\n\n".join(found)

    def paragraph(self, line: str) -> Iterator[str]:
        """The blocks of one paragraph: prose and displayed formulas in turn."""
        at = 0
        for formula in DISPLAY.finditer(line):
            if formula.start() < at:
                continue
            stated = _stated(formula[0])
            end = formula.start() + len(stated)
            if line[end:].startswith(", and "):
                continue
            if (prose := line[at : formula.start()]).strip(" .,;"):
                yield self.prose(_continued(prose))
            at = end
            mark = re.match(r"[.;,]", line[at:])
            if line[at:].startswith(": "):
                mark = SENTENCE.match(line[at:])
            yield self.display(stated, mark[0][0] if mark else "")
        if (prose := line[at:]).strip(" .,;"):
            yield self.prose(_continued(prose))

    def display(self, formula: str, mark: str = "") -> str:
        """A formula on a line of its own, with the punctuation behind it."""
        return f"$$\n{latex(formula, self.names)}{mark}\n$$"

    # ------------------------------------------------------------ formulas among words

    def prose(self, text: str) -> str:
        """Words with the formulas, names, operations and citations among them set."""
        parts = re.split(r"(`[^`]*`(?:(?:,? (?:eq\. |§|proof )?[\d.]*\d| listing)*))", text)
        found = [self.quoted(p) if p.startswith("`") else self.words(p) for p in parts]
        return "".join(found).strip()

    def quoted(self, text: str) -> str:
        """Names in backticks; a citation is linked to the page of its document."""
        if found := CITATION.fullmatch(text):
            page = DOCUMENTS.get(found[1], found[1])
            return f"[`{found[1]}`{found[2]}](../documents/{page}.md)"
        name = re.match(r"`([^`]*)`", text)
        if name and name[1] in ("day2", "day3", "numpy-cnn", "patches", "lenet"):
            page = DOCUMENTS.get(name[1], name[1])
            return f"[{name[0]}](../documents/{page}.md){text[len(name[0]) :]}"
        return text

    def words(self, text: str) -> str:
        operation = re.compile(
            rf"(?<![\w`])({'|'.join(sorted(registry, key=len, reverse=True))})"
            r"(\([^()]*\))?(?![\w(])"
        )
        found, at = [], 0
        for name in operation.finditer(text):
            if not _is_operation(text, name):
                continue
            arguments = self.formulas(name[2] or "")
            found += [self.formulas(text[at : name.start()])]
            found += [f"[`{name[1]}`]({self.link(name[1])}){arguments}"]
            at = name.end()
        return "".join([*found, self.formulas(text[at:])])

    def formulas(self, text: str) -> str:
        """Runs of mathematics between dollars."""
        text = re.sub(r'"(\w)"', r"`\1`", decomposed(text))
        pieces = [t for t in tokens(text)]
        found, at = [], 0
        for start, end in self.runs(pieces):
            found += [text[at:start], f"${latex(text[start:end], self.names)}$"]
            at = end
        return "".join([*found, text[at:]])

    def runs(self, pieces: list[Token]) -> Iterator[tuple[int, int]]:
        """Where the text is mathematics, as (start, end) in it."""
        run: list[Token] = []
        depth, code = 0, False
        for i, token in enumerate([*pieces, Token("end", "")]):
            code ^= token.text == "`"
            mathematical = not code and self.may_be(token, pieces, i)
            comma = token.text == "," and depth == 0
            if mathematical and not comma:
                run.append(token)
                depth += (token.text in "([{") - (token.text in ")]}")
                if depth >= 0:
                    continue
                run.pop()
            yield from self.trimmed(run)
            run, depth = [], 0

    def may_be(self, token: Token, pieces: list[Token], i: int) -> bool:
        """Whether mathematics can go on with this."""
        after = pieces[i + 1] if i + 1 < len(pieces) else Token("end", "")
        if token.kind == "end":
            return False
        if token.kind in ("space", "number", "derivative", "raised", "lowered"):
            return True
        if token.kind == "name":
            if len(token.text.strip(HAT + "'′")) == 1:
                return token.text != "A" and not (token.text == "a" and after.text == "-")
            return token.text in FUNCTIONS and after.text != "-" or token.text in self.names
        return token.text in SIGNS or token.text in "()[]{},/" or token.text == "+="

    def trimmed(self, run: list[Token]) -> Iterator[tuple[int, int]]:
        """The run without what hangs over at its ends, if anything in it is no English."""
        while run and (run[-1].text in " ,([{/" or run[-1].kind == "space"):
            run = run[:-1]
        while run and (run[0].text in " ,)]}/" or run[0].kind == "space"):
            run = run[1:]
        if not run:
            return
        text = "".join(t.text for t in run)
        if (opened := _unclosed(text)) is not None:
            # Before the bracket that is never closed, and after it.
            offset = run[0].start + opened
            yield from self.trimmed([t for t in run if t.end <= offset])
            yield from self.trimmed([t for t in run if t.start > offset])
            return
        lone = [t for t in run if t.kind == "name"]
        sure = any(
            t.text in SIGNS - {"…"}
            or t.kind in ("derivative", "raised", "lowered")
            or (t.kind == "name" and len(t.text.strip(HAT + "'′")) == 1 and t.text != "a")
            for t in run
        )
        a_is_input = "a" in self.names and text == "a"
        if sure or a_is_input or (lone and "[" in text):
            yield run[0].start, run[-1].end


def _unclosed(text: str) -> int | None:
    """The place of the first bracket that is never closed."""
    opened: list[int] = []
    for i, character in enumerate(text):
        if character in "([{":
            opened.append(i)
        elif character in ")]}" and opened:
            opened.pop()
    return opened[0] if opened else None


def _is_operation(text: str, found: re.Match[str]) -> bool:
    """Whether a name is that of an operation, and not a word that begins a sentence."""
    if found[2] or re.search(r"[a-z].*[A-Z]|\d", found[1]):
        return True
    before, after = text[: found.start()], text[found.end() :]
    if before.endswith((": ", "/", "That is ")):
        return True
    begins = not before.strip() or before.endswith(". ")
    return not begins and bool(re.match(r"[.,;/]|$", after))


def _stated(formula: str) -> str:
    """Without the words at its end, which are prose."""
    kept, _, rest = split_at(formula, ", ")
    while rest:
        clause, _, after = split_at(rest, ", ")
        equation = re.match(r"(?:else|[^ ]+) = ", clause)
        case = re.match(r"else |\d for ", clause) or re.search(r" (where|for) .*=|outside$", clause)
        if clause.startswith("and ") or not (equation or case or _only_signs(clause)):
            break
        kept, rest = f"{kept}, {clause}", after
    # One "for" says of what, two tell cases apart.
    said = re.findall(r"(?<!\d) for (?!the tap)", kept)
    return kept.partition(" for ")[0] if len(said) == 1 else kept


def _only_signs(clause: str) -> bool:
    return not re.search("[A-Za-z]{3,}", clause)


def _continued(prose: str) -> str:
    """The prose after a formula: its first sign is at the end of the formula already."""
    prose = re.sub(r"^[.;,]\s*", "", prose.strip())
    if SENTENCE.match(prose):
        return prose[2].upper() + prose[3:] if prose[2:6] == "for " else prose[2:]
    return "That is " + prose[2:] if prose.startswith(": ") else prose
