"""`patches`: one convolution, one pooling and a softmax head for one epoch; more epochs."""

from __future__ import annotations

from typing import Any

from ..data import CIFAR10
from ..data.transforms import Compose, RandomCrop, RandomHorizontalFlip
from . import figures
from .experiment import Part, Picture, Results, Table
from .train import Training

TITLE = "One convolution, one pooling, one epoch; and the framework's table"

SECONDS_PER_EPOCH = 2 * 3600
"""What the document says of an epoch of MNIST, and of CIFAR-10."""

DIGITS = {"kernels": 32, "kernel_size": 5, "pool_size": 2}
OBJECTS = {"kernels": 64, "kernel_size": 5, "pool_size": 4}

SHIFTED = RandomCrop(28, padding=2)
MIRRORED = Compose([RandomCrop(32, padding=2), RandomHorizontalFlip()])

PARTS = (
    Part(
        "mnist-singly",
        Training("patches_cnn", "mnist", DIGITS, {"batch_size": 1, "lr": 0.0005}),
        seconds=35,
    ),
    Part("mnist", Training("patches_cnn", "mnist", DIGITS), seconds=5),
    Part("cifar10-grey", Training("patches_cnn", "cifar10", OBJECTS), seconds=6),
    Part(
        "cifar10-colour",
        Training("patches_cnn", "cifar10", {**OBJECTS, "grey": False}),
        seconds=8,
    ),
    Part("lenet5-mnist", Training("lenet5", "mnist"), seconds=20),
    Part(
        "lenet5-mnist-shifted",
        Training("lenet5", "mnist", augmentation=SHIFTED),
        seconds=30,
    ),
    Part(
        "lenet5-cifar10",
        Training(
            "lenet5",
            "cifar10",
            {"batch_norm": True},
            {"epochs": 30},
            augmentation=MIRRORED,
        ),
        seconds=80,
    ),
)

DOCUMENT = {
    "mnist": ("document, MNIST", *[0.90] * 5),
    "cifar10": ("document, CIFAR-10 in grey", *[0.30] * 5),
}
FRAMEWORK = (
    ("document's framework, MNIST", 0.9894, 0.9852, 0.9854, 0.9852, 0.9852),
    ("document's framework, CIFAR-10", 0.6785, 0.6336, 0.6336, 0.6439, 0.6308),
)
SCORES = {"training accuracy": ".4f", "test accuracy": ".4f", "precision": ".4f"}
SCORES |= {"recall": ".4f", "F1": ".4f", "held-out accuracy": ".4f"}
"""As the document has them; of images that are held out, where there are such."""


def tables(results: Results) -> list[Table]:
    """The document's two tables with ours below each line, and the times."""
    one_epoch = {"network": "", **SCORES, "seconds": ",.1f", "times faster": ",.0f"}
    by_image, mnist = results["mnist-singly"], results["mnist"]
    grey, colour = results["cifar10-grey"], results["cifar10-colour"]
    rows = [
        [*DOCUMENT["mnist"], None, SECONDS_PER_EPOCH, None],
        [*_row("ours, MNIST, image by image", by_image), *_time(by_image)],
        [*_row("ours, MNIST, in batches", mnist), *_time(mnist)],
        [*DOCUMENT["cifar10"], None, SECONDS_PER_EPOCH, None],
        [*_row("ours, CIFAR-10 in grey, in batches", grey), *_time(grey)],
        [*_row("ours, CIFAR-10 in colour, in batches", colour), *_time(colour)],
    ]
    return [
        Table(
            "One convolution, one epoch",
            one_epoch,
            rows,
            _conditions(grey),
        ),
        Table(
            "The framework's table",
            {"network": "", **SCORES, "epochs": "d", "seconds": ",.1f"},
            [
                [*FRAMEWORK[0], None, None, None],
                _more_epochs("ours, LeNet-5, MNIST", results["lenet5-mnist"]),
                _more_epochs(
                    "ours, LeNet-5, MNIST, shifted", results["lenet5-mnist-shifted"]
                ),
                [*FRAMEWORK[1], None, None, None],
                _more_epochs(
                    "ours, LeNet-5 with batch normalisation, CIFAR-10, shifted, mirrored",
                    results["lenet5-cifar10"],
                ),
            ],
            "The document's framework used Adam, 0.001, and batches of 64 on a GPU; ours "
            "uses Adam with one cycle of the learning rate up to 0.004 and batches of 64. "
            "Shifted: each training image by up to 2 pixels; "
            "mirrored: half of them, left and right.",
        ),
    ]


def _row(name: str, result: Any) -> list[Any]:
    test, held_out = result["test"], result["held_out"]
    figures_of = [test[key] for key in ("accuracy", "precision", "recall", "f1")]
    more = None if held_out is None else held_out["accuracy"]
    return [name, result["history"]["accuracy"][-1], *figures_of, more]


def _time(result: Any) -> list[float]:
    return [result["seconds"], SECONDS_PER_EPOCH / result["seconds"]]


def _more_epochs(name: str, result: Any) -> list[Any]:
    return [*_row(name, result), result["epochs"], result["seconds"]]


def _conditions(result: Any) -> str:
    return (
        "Ours has 32 kernels of 5×5 and pooling 2 on MNIST, 64 of 5×5 and pooling 4 on "
        "CIFAR-10; the document does not name its numbers. CIFAR-10: trained on "
        f"{result['images']:,} images, tested on {result['test']['images']:,} official "
        f"ones, and on {result['held_out']['images']:,} training images that are held "
        "out. Times are of the training epoch, on different machines (the document does "
        "not name its own); of CIFAR-10 the document says both 2 hours in all and 15 "
        "minutes for 1,000 images, which are 12.5 hours."
    )


def pictures(results: Results) -> list[Picture]:
    """What is taken for what: one convolution after one epoch."""
    caption = (
        "Confusion matrices of the net of one convolution after one epoch: MNIST, and "
        "CIFAR-10 in grey on the held-out images. The darker, the more of its row."
    )
    return [Picture("confusion", caption, lambda figure: _draw(figure, results))]


def _draw(figure: Any, results: Results) -> None:
    figure.set_size_inches(10, 5)
    left, right = figure.subplots(1, 2)
    digits = results["mnist"]["test"]["confusion"]
    objects = results["cifar10-grey"]["held_out"]["confusion"]
    figures.confusion(left, digits, "0123456789", "MNIST, test images")
    figures.confusion(right, objects, CIFAR10.classes, "CIFAR-10 in grey, held out")
