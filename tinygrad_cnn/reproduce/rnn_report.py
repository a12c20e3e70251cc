"""What is shown of the recurrent nets."""

from __future__ import annotations

from functools import partial
from typing import Any

from . import figures
from .experiment import Cell, Picture, Results, Table
from .sequences import TEXT, steps_to_be_sure

TASKS = {
    "sentiment": ("many to one", "is the sentence positive?"),
    "characters": ("many to many", "which character is next?"),
}


def tables(results: Results) -> list[Table]:
    """Both tasks, what the nets say and write, and the gradients."""
    learned = {"task": "", "sequences": ",", "held out": ",", "epochs": ","}
    learned |= {"training accuracy": ".1%", "held-out accuracy": ".1%"}
    learned |= {"last entry alone": ".1%"}
    said = {"held-out sentence": "", "positive, says the net": ".1%", "positive": ""}
    text, found = results["characters"], results["gradients"]
    given, written = f"“{text['given']}”", f"“{text['written']}”"
    checked = {"net": "", "gradient of": "", "entries": ",", "checked": ","}
    checked |= {"largest error": ".1e", "of the largest": ".1e", "verdict": ""}
    return [
        Table(
            "What the recurrent nets learned",
            learned,
            [
                _learned_row(f"{nets}: {task}", results[n])
                for n, (nets, task) in TASKS.items()
            ],
            "Last entry alone: the best guess without memory, from the last word or "
            "character. The last two words of a held-out sentence never stand together in "
            "training; a held-out text begins at another place. Characters count from "
            f"number {steps_to_be_sure(TEXT)} on: before, the next one can be uncertain.",
        ),
        Table(
            "Sentences that the net never saw",
            said,
            [
                [sentence, positive, "yes" if right else "no"]
                for sentence, positive, right in results["sentiment"]["read"]
            ],
        ),
        Table(
            "The text that the net continues by itself",
            {"given": "", "the net goes on": "", "characters right": ".1%"},
            [[given, written, text["written_right"]]],
        ),
        Table(
            f"Gradients through {found['steps']} steps against difference quotients",
            checked,
            [list(entry.values()) for entry in found["checked"]],
            "In float64; the radius of W_hh is 1.1.",
        ),
    ]


def _learned_row(task: str, result: Any) -> list[Cell]:
    last, epochs = result["curve"][-1], len(result["curve"]) - 1
    scores = last["training"], last["held_out"], result["last_alone"]
    return [task, *result["sequences"], epochs, *scores]


def pictures(results: Results) -> list[Picture]:
    """Learning curves of both tasks, and the size of gradients through time."""
    curves = (
        "Both nets while they learn. Dotted: the best accuracy without memory, by a guess "
        "from the last word or character alone. The loss of the characters stays above 0, "
        "since the first ones of a text are uncertain."
    )
    norms = (
        "How much the loss at step 50 depends on the state at step t. Left, nothing is "
        "read and all states are 0; right, one word is read at each step, and tanh "
        "flattens: its slope 1 − h² is below 1."
    )
    return [
        Picture("learning", curves, partial(draw_curves, results)),
        Picture("gradients", norms, partial(draw_norms, results["gradients"])),
    ]


CURVES = (
    ("training", "training", {"color": "#0072b2", "ls": "-", "marker": "o"}),
    ("held_out", "held out", {"color": "#d55e00", "ls": "--", "marker": "s"}),
)
"""Key, name and style of each curve; dashes and markers tell them apart in grey."""


def draw_curves(results: Results, figure: Any) -> None:
    """A column for each task: accuracy above, loss below, against epochs."""
    figure.set_size_inches(8.4, 5.6)
    grid = figure.subplots(2, 2, sharex="col")
    for (name, (nets, task)), (above, below) in zip(TASKS.items(), grid.T, strict=True):
        result = results[name]
        _lines(above, result["curve"], "", 100)
        _lines(below, result["curve"], "_loss", 1)
        alone = {
            "color": "black",
            "ls": ":",
            "lw": 1.5,
            "label": "guess without memory",
        }
        above.axhline(100 * result["last_alone"], **alone)
        figures.plain(above, f"{nets.capitalize()}:\n{task}", y="accuracy in %")
        above.set_ylim(0, 104)
        above.legend(loc="lower right", frameon=False)
        figures.plain(below, "", "epochs of training", "loss (cross-entropy)")
        below.set_ylim(bottom=0)


def _lines(axes: Any, curve: list[Any], suffix: str, factor: float) -> None:
    every = max(1, len(curve) // 10)
    for key, label, style in CURVES:
        values = [factor * epoch[key + suffix] for epoch in curve]
        axes.plot(values, label=label, markevery=every, ms=4, lw=1.5, **style)


def draw_norms(result: Any, figure: Any) -> None:
    """‖∂L/∂h_t‖ on a logarithmic axis; one panel without words, one with."""
    titles = {
        "no words": "All states are 0: each step back\nmultiplies the size by the radius",
        "words": "Words are read: the slope of tanh\nmakes the gradient smaller",
    }
    styles = (("#0072b2", "--", "s"), ("#000000", "-", "o"), ("#d55e00", "-.", "^"))
    figure.set_size_inches(9, 4.2)
    panels = figure.subplots(1, 2, sharey=True)
    steps = len(result["norms"]["words"][0]) - 1
    for axes, (kind, title) in zip(panels, titles.items(), strict=True):
        lines = zip(result["radii"], result["norms"][kind], styles, strict=True)
        for radius, norms, (colour, dashes, marker) in lines:
            style = {"color": colour, "ls": dashes, "marker": marker, "markevery": 5}
            label = f"radius of $W_{{hh}}$: {radius:g}"
            axes.semilogy(norms, label=label, ms=4, lw=1.5, **style)
        figures.plain(axes, title, f"step t (the loss is at step {steps})")
    panels[0].set_ylabel(r"size of the gradient, $\|\partial L / \partial h_t\|$")
    panels[0].legend(loc="upper right", frameon=False)
