"""`patches`: one convolution, one pooling and a softmax head for one epoch; more epochs."""

from __future__ import annotations

from typing import Any

from ..data import CIFAR10
from ..data.transforms import Compose, RandomCrop, RandomHorizontalFlip
from . import figures
from .experiment import Cell, Part, Picture, Results, Table
from .train import SCORES, Training

TITLE = "One convolution, one pooling, one epoch; and the framework's table"

SECONDS_PER_EPOCH = 2 * 3600
"""What the document says of an epoch of MNIST, and of CIFAR-10."""

DIGITS = {"kernels": 32, "kernel_size": 5, "pool_size": 2}
OBJECTS = {"kernels": 64, "kernel_size": 5, "pool_size": 4}

SHIFTED = RandomCrop(28, padding=2)
MIRRORED = Compose([RandomCrop(32, padding=2), RandomHorizontalFlip()])

SINGLY = Training("patches_cnn", "mnist", DIGITS, {"batch_size": 1, "lr": 0.0005})
COLOUR = Training("patches_cnn", "cifar10", {**OBJECTS, "grey": False})
NORMED, EPOCHS = {"batch_norm": True}, {"epochs": 30}
LENET5 = Training("lenet5", "cifar10", NORMED, EPOCHS, augmentation=MIRRORED)

PARTS = (
    Part("mnist-singly", SINGLY, seconds=35),
    Part("mnist", Training("patches_cnn", "mnist", DIGITS), seconds=5),
    Part("cifar10-grey", Training("patches_cnn", "cifar10", OBJECTS), seconds=6),
    Part("cifar10-colour", COLOUR, seconds=8),
    Part("lenet5-mnist", Training("lenet5", "mnist"), seconds=20),
    Part(
        "lenet5-mnist-shifted",
        Training("lenet5", "mnist", augmentation=SHIFTED),
        seconds=30,
    ),
    Part("lenet5-cifar10", LENET5, seconds=80),
)

FRAMEWORK = (
    ("document's framework, MNIST", 0.9894, 0.9852, 0.9854, 0.9852, 0.9852),
    ("document's framework, CIFAR-10", 0.6785, 0.6336, 0.6336, 0.6439, 0.6308),
)
HEADINGS = ("training accuracy", "test accuracy", "precision", "recall", "F1")
COLUMNS = dict.fromkeys(["network", *HEADINGS, "held-out accuracy"], ".4f")
COLUMNS |= {"network": ""}
"""As the document has them; of images that are held out, where there are such."""


def tables(results: Results) -> list[Table]:
    """The document's two tables with ours below each line, and the times."""

    def one_epoch(name: str, part: str) -> list[Cell]:
        seconds = results[part]["seconds"]
        return [*_row(name, results[part]), seconds, SECONDS_PER_EPOCH / seconds]

    def more_epochs(name: str, part: str) -> list[Cell]:
        result = results[part]
        return [*_row(name, result), result["epochs"], result["seconds"]]

    in_grey = "document, CIFAR-10 in grey"
    normed = "ours, LeNet-5 with batch normalisation, CIFAR-10, shifted, mirrored"
    return [
        Table(
            "One convolution, one epoch",
            {**COLUMNS, "seconds": ",.1f", "times faster": ",.0f"},
            [
                ["document, MNIST", *[0.90] * 5, None, SECONDS_PER_EPOCH, None],
                one_epoch("ours, MNIST, image by image", "mnist-singly"),
                one_epoch("ours, MNIST, in batches", "mnist"),
                [in_grey, *[0.30] * 5, None, SECONDS_PER_EPOCH, None],
                one_epoch("ours, CIFAR-10 in grey, in batches", "cifar10-grey"),
                one_epoch("ours, CIFAR-10 in colour, in batches", "cifar10-colour"),
            ],
            _conditions(results["cifar10-grey"]),
        ),
        Table(
            "The framework's table",
            {**COLUMNS, "epochs": "d", "seconds": ",.1f"},
            [
                [*FRAMEWORK[0], None, None, None],
                more_epochs("ours, LeNet-5, MNIST", "lenet5-mnist"),
                more_epochs("ours, LeNet-5, MNIST, shifted", "lenet5-mnist-shifted"),
                [*FRAMEWORK[1], None, None, None],
                more_epochs(normed, "lenet5-cifar10"),
            ],
            "The document's framework used Adam, 0.001, and batches of 64 on a GPU; ours "
            "uses Adam with one cycle of the learning rate up to 0.004 and batches of 64. "
            "Shifted: each training image by up to 2 pixels; "
            "mirrored: half of them, left and right.",
        ),
    ]


def _row(name: str, result: Any) -> list[Cell]:
    held_out = result["held_out"] and result["held_out"]["accuracy"]
    test = [result["test"][key] for key in SCORES]
    return [name, result["history"]["accuracy"][-1], *test, held_out]


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
