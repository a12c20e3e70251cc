"""Beyond the documents: a residual network of our own on CIFAR-10."""

from __future__ import annotations

from typing import Any

from ..data import CIFAR10
from . import figures
from .experiment import Part, Picture, Results, Table
from .train import Training

TITLE = "A residual network on CIFAR-10"

PARTS = (
    Part(
        "resnet",
        Training(
            "cifar_resnet", "cifar10", options={"planned": False}, watch="held_out"
        ),
        seconds=1400,
    ),
)


def tables(results: Results) -> list[Table]:
    """Its figures on both test sets."""
    found = results["resnet"]
    sets = {"official test images": found["test"], "held-out images": found["held_out"]}
    columns = {"measured on": "", "images": ",d", "accuracy": ".4f", "precision": ".4f"}
    keys = ("images", "accuracy", "precision", "recall", "f1")
    minutes = found["seconds"] / 60
    return [
        Table(
            "models/cifar_resnet.py",
            {**columns, "recall": ".4f", "F1": ".4f"},
            [[name, *[scores[k] for k in keys]] for name, scores in sets.items()],
            f"{found['parameters']:,} parameters, trained on {found['images']:,} images "
            f"for {found['epochs']} epochs in {minutes:.1f} minutes.",
        )
    ]


def pictures(results: Results) -> list[Picture]:
    """How it learns, and what it takes for what."""
    caption = (
        "The residual network: accuracy after each epoch (training images are shifted and "
        "mirrored, so they are harder than the held-out ones), and the confusion matrix of "
        "the held-out images."
    )
    return [Picture("resnet", caption, lambda figure: _draw(figure, results["resnet"]))]


def _draw(figure: Any, result: Any) -> None:
    figure.set_size_inches(10, 4.6)
    left, right = figure.subplots(1, 2)
    epochs = range(1, result["epochs"] + 1)
    curves = {
        "accuracy": ("training", "--", "o"),
        "test_accuracy": ("held out", "-", "^"),
    }
    for key, (label, line, marker) in curves.items():
        values = [100 * value for value in result["history"][key]]
        left.plot(epochs, values, "k", linestyle=line, marker=marker, ms=4, label=label)
    left.legend(frameon=False, loc="lower right")
    figures.plain(left, "accuracy after each epoch", "epoch", "%")
    counts = result["held_out"]["confusion"]
    figures.confusion(right, counts, CIFAR10.classes, "held-out images")
