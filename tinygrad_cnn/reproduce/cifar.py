"""Beyond the documents: a residual network of our own on CIFAR-10."""

from __future__ import annotations

from typing import Any

from ..data import CIFAR10
from . import figures
from .experiment import Part, Picture, Results, Table
from .train import SCORES, Training

TITLE = "A residual network on CIFAR-10"

NET = Training("cifar_resnet", "cifar10", watch="held_out")
PARTS = (Part("resnet", NET, seconds=1400),)


def tables(results: Results) -> list[Table]:
    """Its figures on both test sets."""
    found = results["resnet"]
    sets = {"official test images": found["test"], "held-out images": found["held_out"]}
    columns = {"measured on": "", "images": ",d"}
    columns |= dict.fromkeys(("accuracy", "precision", "recall", "F1"), ".4f")
    rows = [
        [name, *[scores[k] for k in ("images", *SCORES)]]
        for name, scores in sets.items()
    ]
    note = (
        f"{found['parameters']:,} parameters, trained on {found['images']:,} images "
        f"for {found['epochs']} epochs in {found['seconds'] / 60:.1f} minutes."
    )
    return [Table("models/cifar_resnet.py", columns, rows, note)]


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
    history, black = result["history"], {"color": "k", "ms": 4}
    training = black | {"ls": "--", "marker": "o", "label": "training"}
    figures.curve(left, history["accuracy"], training)
    held_out = black | {"marker": "^", "label": "held out"}
    figures.curve(left, history["test_accuracy"], held_out)
    left.legend(frameon=False, loc="lower right")
    figures.plain(left, "accuracy after each epoch", "epoch", "%")
    counts = result["held_out"]["confusion"]
    figures.confusion(right, counts, CIFAR10.classes, "held-out images")
