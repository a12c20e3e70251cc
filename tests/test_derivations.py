"""The derivations on the site: every operation, and every formula set."""

import re

from derivations import generate
from derivations.language import FUNCTIONS, GREEK, REPEATED
from derivations.latex import latex
from derivations.prose import Prose
from each import for_each

from tinygrad_cnn.ops import Op, registry
from tinygrad_cnn.ops.formulas import formulas

every_operation = for_each("name", list(registry))

# ------------------------------------------------------------------ formulas as LaTeX

SET = {
    "∂L/∂w[o,c,u,v] = Σ_{n,i,j} g[n,o,i,j] · x[n,c,i,j]": (
        r"\frac{\partial L}{\partial w_{o,c,u,v}} = "
        r"\sum_{n,i,j} g_{n,o,i,j} \cdot x_{n,c,i,j}"
    ),
    "dy/dx = 1 / (1 + x²)": r"\frac{\mathrm{d}y}{\mathrm{d}x} = \frac{1}{1 + x^{2}}",
    # Above the line: the factors side by side; after a dot, those behind it.
    "−g · a / b²": r"- g \cdot \frac{a}{b^{2}}",
    "2 g (x[k] − μ) / n": r"\frac{2 \, g \, (x_{k} - \mu)}{n}",
    "a + b / c": r"a + \frac{b}{c}",
    "(a + b) / c": r"\frac{a + b}{c}",
    "(a + b) (c + d) / 2": r"\frac{(a + b) \, (c + d)}{2}",
    "1 / (1 + x)²": r"\frac{1}{(1 + x)^{2}}",
    # A sum reaches to the end of its term.
    "x[k] Σ_j g[j] x[j] / m + 1": r"x_{k} \, \frac{\sum_{j} g_{j} \, x_{j}}{m} + 1",
    "exp(x[k]) / Σ_j exp(x[j])": r"\frac{\exp(x_{k})}{\sum_{j} \exp(x_{j})}",
    "ln(Σ_k exp(x[k]))": r"\ln\left(\sum_{k} \exp(x_{k})\right)",
    "Π_k |x[k]|^p": r"\prod_{k} \lvert x_{k} \rvert^{p}",
    # A slash without spaces stays.
    "(N, C/groups, k_y)": r"(N,C/\mathrm{groups},k_{y})",
    "e⁻ˣ + aᵇ⁻¹": "e^{-x} + a^{b-1}",
    "e^−|x|": r"e^{-\lvert x \rvert}",
    "gᵀ x, X^T": r"g^{\mathsf{T}} \, x,\; X^{\mathsf{T}}",
    "tₖ + x_i": "t_{k} + x_{i}",
    "x[k]²": "x_{k}^{2}",
    "i_σ(0)": r"i_{\sigma(0)}",
    "√a + √(σ² + ε)": r"\sqrt{a} + \sqrt{\sigma^{2} + \varepsilon}",
    "[x > 0] + [c = k]": "[x > 0] + [c = k]",
    "max_{u,v} x[u,v]": r"\max_{u,v} x_{u,v}",
    "max(0, x) ≤ tanh x": r"\max(0,x) \le \tanh x",
    "arctan x": r"\arctan x",
    "sign(a)": r"\operatorname{sign}(a)",
    "E[y] = x": r"\operatorname{E}[y] = x",
    "x̂ ĝ ŷ": r"\hat{x} \, \hat{g} \, \hat{y}",
    "W' X": "W' \\, X",
    "negative_slope · x": r"\mathrm{negative\_slope} \cdot x",
    "xs[k][…, i]": r"\mathrm{xs}_{k}[\ldots,i]",
    "x[n, s i + u]": r"x_{n,\,s \, i + u}",
    "−∞": r"- \infty",
    # Values in cases.
    "y = x where x > 0, else 0": (
        r"y = \begin{cases} x & \text{ where } x > 0 \\ 0 & \text{ else} \end{cases}"
    ),
    "y = a for k = c, b for k ≠ c": (
        r"y = \begin{cases} a & \text{ for } k = c \\ b & \text{ for } k \ne c \end{cases}"
    ),
    "y = x inside, 0 outside": (
        r"y = \begin{cases} x & \text{ inside} \\ 0 & \text{ outside} \end{cases}"
    ),
    # Words.
    "y = 0 of the given shape": r"y = 0 \text{ of the given shape}",
    "y[i] is a copy of a": r"y_{i} \text{ is a copy of } a",
}
NAMES = {"groups", "negative_slope", "xs", "shape"}


@for_each("formula", SET)
def test_a_formula_is_set(formula: str) -> None:
    assert latex(formula, NAMES) == SET[formula]


COMMANDS = {
    *(command.split("{")[0] for command in FUNCTIONS.values()),
    *(rf"\{name}" for name in GREEK.values()),
    *REPEATED.values(),
    *(r"\frac", r"\partial", r"\cdot", r"\sqrt", r"\hat", r"\quad", r"\infty"),
    *(r"\lvert", r"\rvert", r"\left", r"\right", r"\begin", r"\end", r"\ldots"),
    *(r"\text", r"\mathrm", r"\mathsf", r"\operatorname", r"\mathrel"),
    *(r"\le", r"\ge", r"\ne"),
}
"""All that MathJax is asked for."""


@every_operation
def test_the_latex_of_an_operation_is_well_formed(name: str) -> None:
    displays, inline = mathematics(generate.section(name))
    for code in [*displays, *inline]:
        assert set(re.findall(r"\\[A-Za-z]+", code)) <= COMMANDS
        assert not re.search(r"[^\x00-\x7f]", code), code
        bare = re.sub(r"\\(?:left|right)?[()\[\]]", "", code).replace(r"\{", "")
        for opening, closing in ("{}", "()"):
            assert bare.count(opening) == bare.count(closing), code
        assert code.count(r"\left") == code.count(r"\right")
        assert code.count(r"\begin") == code.count(r"\end")


# ------------------------------------------------------------------- the whole section


def mathematics(markdown: str) -> tuple[list[str], list[str]]:
    """The displayed formulas and those among words."""
    displays = re.findall(r"^\$\$\n(.*)\n\$\$$", markdown, re.MULTILINE)
    rest = re.sub(r"^\$\$\n.*\n\$\$$", "", markdown, flags=re.MULTILINE)
    return displays, re.findall(r"\$([^$\n]+)\$", rest)


def words(markdown: str) -> str:
    """What is neither mathematics nor code nor the address of a link."""
    rest = re.sub(r"^\$\$\n.*\n\$\$$", "", markdown, flags=re.MULTILINE)
    return re.sub(r"\$[^$\n]+\$|`[^`]*`|\]\([^)]*\)", "", rest)


def test_every_operation_is_on_one_page() -> None:
    pages = sorted(generate.HERE.glob("*.md"))
    found = [name for page in pages for name in generate.operations(page)]
    assert sorted(found) == sorted(registry)


def test_the_page_of_all_derivations_lists_them() -> None:
    text = (generate.HERE / "README.md").read_text("utf-8")
    listed = re.findall(r"^- \[.*\]\((\w+\.md)\): (.*)$", text, re.MULTILINE)
    for page, operations in listed:
        assert re.findall(r"`(\w+)`", operations) == generate.operations(
            generate.HERE / page
        )
    pages = {page for page, _ in listed}
    assert pages == {p.name for p in generate.HERE.glob("*.md")} - {"README.md"}
    assert [f"{stem}.md" for stem in text.split(":hidden:")[1].split()[:-1]] == [
        page for page, _ in listed
    ]


@every_operation
def test_the_definition_and_each_gradient_are_displayed(name: str) -> None:
    op = registry[name]
    displays, _ = mathematics(generate.section(name))
    assert displays[0].startswith("y")
    for formula in formulas(op).gradients.values():
        left, _, right = formula.partition(" = ")
        begins = latex(left, generate.names(op))
        assert any(d.startswith(f"{begins} = ") for d in displays), (formula, right)


MATHEMATICAL = re.compile(
    r"[∂ΣΠ√·=<>≤≥≠−∞∗γβμσε²ᵀ]|[A-Za-z]\[|\w_\w|\b[b-zB-HJ-Z]\b(?!-)"
)


@every_operation
def test_no_mathematics_is_left_in_the_prose(name: str) -> None:
    prose = words(generate.section(name))
    assert not MATHEMATICAL.search(prose), MATHEMATICAL.findall(prose)


def test_an_operation_of_ones_own_is_set_too() -> None:
    class Mine(Op, register=False):
        """y[i] = x[i]² (`day2` §4), element by element.

        By the power rule ∂L/∂x[i] = 2 g[i] x[i]: twice x. See Mul(g, x).
        """

        def forward(self, x):
            return x * x

        def grad_x(self, g, x):
            return g * (x * 2)

    prose = Prose(generate.names(Mine), lambda name: f"#{name}")
    assert prose.docstring(Mine).split("\n\n") == [
        "$$\ny_{i} = x_{i}^{2}\n$$",
        "([`day2` §4](../documents/day2.md)), element by element.",
        "By the power rule",
        "$$\n\\frac{\\partial L}{\\partial x_{i}} = 2 \\, g_{i} \\, x_{i}\n$$",
        "That is twice $x$. See [`Mul`](#Mul)$(g,x)$.",
    ]
