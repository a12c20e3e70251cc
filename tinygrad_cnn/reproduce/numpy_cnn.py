"""`numpy-cnn`: its net and its perceptron trained, output sizes, and true convolution."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import creation
from ..core.engine import Tensor
from ..data import load
from ..nn import functional as F
from . import figures
from .experiment import Part, Picture, Results, Setup, Table, Work, row_of_numbers
from .train import Training

TITLE = "The conv-conv-pool-128-10 net, sizes, true convolution, three activations"

ACTIVATIONS = ("sigmoid", "atan", "relu")
STYLES = {"sigmoid": ("#000000", ":", "s"), "atan": ("#0072b2", "--", "o")}
STYLES |= {"relu": ("#d55e00", "-", "^")}

SIZES = ((28, 5), (32, 3), (7, 2))
"""Sides of images and of kernels."""


def sizes(setup: Setup) -> Work:
    """Output sizes over stride and padding: the engine's, and places counted singly."""
    yield 0.0
    rows = []
    for (side, kernel), stride, padding in product(SIZES, (1, 2, 3), (0, 1, 2)):
        x = creation.zeros(1, 1, side, side)
        w = creation.zeros(1, 1, kernel, kernel)
        y = F.conv2d(x, w, stride=stride, padding=padding)
        counted = len(places(side + 2 * padding, kernel, stride))
        rows.append([side, kernel, stride, padding, y.shape[2], counted])
    return {"rows": rows}


def places(side: int, kernel: int, stride: int) -> list[int]:
    """Where a kernel can begin on so many pixels."""
    return [at for at in range(0, side, stride) if at + kernel <= side]


CONVOLVED = ("kernel", "cross-correlation", "true convolution")

ARROW = ((0, 0, 0), (0, 1, 2), (0, 3, 4))
"""A kernel that is another one when it is rotated."""


def correlation(setup: Setup) -> Work:
    """A single bright pixel, and a digit, through both convolutions."""
    yield 0.0
    pixel = np.zeros((5, 5))
    pixel[2, 2] = 1
    digit = load("mnist", True).images[0, 0] / 255
    crossed, true = convolve_both(pixel)
    by_numpy = true_convolution(digit, np.array(ARROW, np.float64))
    return {
        "kernel": [list(row) for row in ARROW],
        "cross-correlation": crossed.tolist(),
        "true convolution": true.tolist(),
        "difference": float(np.abs(convolve_both(digit)[1] - by_numpy).max()),
        "apart": float(np.abs(np.subtract(*convolve_both(digit))).max()),
    }


def convolve_both(pixels: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cross-correlation (eq. 9) and true convolution (eq. 17) of pixels with ARROW."""
    x = Tensor(pixels[None, None])
    w = Tensor(np.array([[ARROW]], np.float64))
    found = F.conv2d(x, w), F.true_conv2d(x, w)
    crossed, true = [y.numpy()[0, 0] for y in found]
    return crossed, true


def true_convolution(x: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[Any]:
    """Eq. (17) written out: rows convolved by np.convolve, and summed."""
    last = len(w) - 1
    rows = [
        sum(np.convolve(x[i - u], w[u], "valid") for u in range(len(w)))
        for i in range(last, len(x))
    ]
    return np.stack(rows)


def perceptron(activation: str) -> Training:
    """A network with two hidden layers."""
    return Training("mlp", "mnist", {"activation": activation}, {"epochs": 10})


PARTS = (
    Part("sizes", sizes),
    Part("correlation", correlation),
    Part("net", Training("numpy_cnn", "mnist"), seconds=40),
    *[Part(name, perceptron(name), seconds=8) for name in ACTIVATIONS],
)


def tables(results: Results) -> list[Table]:
    """The trained networks, the sizes, and both convolutions of one pixel."""
    trained = {"conv 8@5×5, conv 8@5×5, pool 2, 128, 10": results["net"]}
    trained |= {f"perceptron 128, 64, 10 with {n}": results[n] for n in ACTIVATIONS}
    columns = {"network": "", "parameters": ",d", "epochs": "d"}
    columns |= {"training accuracy": ".2%", "test accuracy": ".2%", "seconds": ".0f"}
    rows = []
    for name, r in trained.items():
        accuracies = r["history"]["accuracy"][-1], r["test"]["accuracy"]
        rows.append([name, r["parameters"], r["epochs"], *accuracies, r["seconds"]])
    sides = ("image", "kernel", "stride", "padding", "output", "places counted")
    convolved = results["correlation"]
    return [
        Table(
            "Trained on MNIST",
            columns,
            rows,
            "All 60,000 images in each epoch, measured on all 10,000 test images; training "
            "accuracy is the mean over the last epoch, while the weights changed.",
        ),
        Table(
            "Output sizes over stride and padding",
            dict.fromkeys(sides, "d"),
            results["sizes"]["rows"],
            "The output is floor((image + 2 padding − kernel) / stride) + 1, which is "
            "eq. (7) with its sign set right.",
        ),
        Table(
            "Cross-correlation and true convolution of one bright pixel",
            dict.fromkeys(CONVOLVED, ""),
            [[row_of_numbers(convolved[c][i]) for c in CONVOLVED] for i in range(3)],
            "Cross-correlation shows the kernel rotated, true convolution as it is. On a "
            f"digit ours differs from eq. (17) written out by {convolved['difference']:.0e}"
            f", and the two from each other by {convolved['apart']:.2f}.",
        ),
    ]


def pictures(results: Results) -> list[Picture]:
    """The three activations side by side."""
    caption = (
        "The multi-layer perceptron (128, 64, 10) on MNIST with sigmoid, arctangent and "
        "ReLU: accuracy after each epoch on the training and on the test images."
    )
    return [Picture("activations", caption, lambda figure: _draw(figure, results))]


def _draw(figure: Any, results: Results) -> None:
    figure.set_size_inches(9, 3.6)
    axes = figure.subplots(1, 3)
    panels = {"loss": "training loss", "accuracy": "training accuracy"}
    panels |= {"test_accuracy": "test accuracy"}
    for place, (key, title) in zip(axes, panels.items(), strict=True):
        for name in ACTIVATIONS:
            colour, line, marker = STYLES[name]
            values = results[name]["history"][key]
            factor = 1 if key == "loss" else 100
            look = {"color": colour, "ls": line, "marker": marker, "ms": 4}
            figures.curve(place, values, look | {"label": name}, factor)
        figures.plain(place, title, "epoch", "" if key == "loss" else "%")
    axes[0].legend(frameon=False)
