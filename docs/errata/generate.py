"""Runs every case of docs/errata/cases through the checker and writes README.md from it.

A case is a module with WHERE (document and place), STATES and RIGHT, which are Markdown
with formulas between dollars. If the mistake is in a gradient, it has forward_ and
backward_stated, forward_ and backward_right, inputs for both, and EXPECTED: what the
checker finds in the gradient of which input. If it is another, it has the functions stated
and right, and shows(), which computes a sentence from both.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

from tinygrad_cnn.verify import Report, TensorReport, verify_pair

HERE = Path(__file__).parent
DOCUMENTS = ("day2", "day3", "numpy_cnn", "lenet")
PRINTED = (
    "numpy_cnn_eq13_bias_inside_sum",
    "numpy_cnn_maxpool_assigns",
    "lenet_conv3d_backward_assigns",
)
"""The cases of which the page shows the whole report."""

INTRODUCTION = """\
# What the documents get wrong

Each line below is a small file in [cases](cases) that states a formula or an algorithm as
the document has it, and as it should be. Where it has a gradient, the checker
(`tinygrad_cnn.verify.verify_pair`) compares that with difference quotients: the third
column is what it says of the stated version, and it finds every corrected version right.
`tinygrad-cnn check --pair docs/errata/cases/FILE.py` runs one of these, and this page is
printed by `python docs/errata/generate.py`, which runs them all.
"""

FACTS = """\
## Not checkable by running

| where | what it says | what is right |
|---|---|---|
| `lenet` §6.2 | CIFAR-10 has 60,000 training images | 50,000, and 10,000 for testing |
| `patches`, training | CIFAR-10 takes 15 minutes for 1,000 images, 2 hours in all | \
50 × 15 minutes are 12.5 hours: one of the two is wrong |
| `patches`, data | labels come one-hot encoded; the images need no preprocessing | labels \
come as integers; the same page scales the images to 0 … 1 |
"""


def cases() -> dict[str, ModuleType]:
    """The modules of all cases by name, in the order of the documents."""
    paths = [p for d in DOCUMENTS for p in sorted((HERE / "cases").glob(f"{d}*.py"))]
    return {path.stem: _loaded(path) for path in paths}


@cache
def checked(case: ModuleType, version: str) -> Report:
    """The checker's report on one version ("stated" or "right") of a gradient."""
    pair = [getattr(case, f"{part}_{version}") for part in ("forward", "backward")]
    name = f"{case.WHERE.replace('`', '')}, {version}"
    return verify_pair(*pair, case.inputs, name=name)


def found(tensor: TensorReport) -> str:
    """The kind of the mistake if the checker recognises it, else its verdict."""
    return tensor.diagnosis.kind if tensor.diagnosis else tensor.verdict


def page() -> str:
    """The text of README.md."""
    lines = [
        INTRODUCTION,
        "| where | what it says | what the checker says, or a run shows | what is right |",
        "|---|---|---|---|",
    ]
    all_cases = cases()
    for name, case in all_cases.items():
        link = f"[{case.WHERE}](cases/{name}.py)"
        lines.append(f"| {link} | {case.STATES} | {_said(case)} | {case.RIGHT} |")
    lines += ["", FACTS, "## Three of the reports"]
    for name in PRINTED:
        report = checked(all_cases[name], "stated")
        lines += ["", f"`{name}.py`:", "", "```text", str(report), "```"]
    return "\n".join(lines) + "\n"


def _said(case: ModuleType) -> str:
    said = []
    if hasattr(case, "EXPECTED"):
        report = checked(case, "stated")
        said = [_sentence(tensor) for tensor in report.tensors if not tensor]
    if hasattr(case, "shows"):
        said.append(case.shows())
    return "; ".join(said)


def _sentence(tensor: TensorReport) -> str:
    if tensor.diagnosis:
        return tensor.diagnosis.sentence.rstrip(".")
    if tensor.verdict == "wrong":
        wrong = f"{len(tensor.wrong)} of {tensor.checked}"
        return f"grad of {tensor.name} is wrong in {wrong} entries"
    return f"grad of {tensor.name}: {tensor.details()[0]}"


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    (HERE / "README.md").write_text(page(), encoding="utf-8")
