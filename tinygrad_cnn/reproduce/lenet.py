"""`lenet`: Adam against gradient descent, three runs each, and the two shape proofs."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

from ..core import creation
from ..nn import Conv2d, Linear, Module
from ..nn import functional as F
from ..nn.utils import clip_grad_value_
from . import figures
from .experiment import Part, Picture, Results, Setup, Table, Work
from .train import Training

TITLE = "LeNet-5: Adam against gradient descent; the shape proofs"

RUNS = 3
OPTIMIZERS = {"adam": ("Adam 0.01", 0.01), "sgd": ("gradient descent 0.001", 0.001)}
OPTIONS = {"epochs": 10, "batch_size": 32, "scheduler": "none", "stop_at": 0.95}
DATA = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
NORMS = {False: "no batch normalisation", True: "batch normalisation"}


def clip(model: Module) -> None:
    """The gradients of convolutions to ±1, of dense layers to ±5 (§6.1); others stay."""
    for layer in model.modules():
        if isinstance(layer, Conv2d | Linear):
            limit = 1 if isinstance(layer, Conv2d) else 5
            clip_grad_value_(layer.parameters(), limit)


PANELS = list(product(DATA, NORMS))
"""Six runs that are seen together: the data, and whether the network is normalised."""


def part_name(data: str, batch_norm: bool, optimizer: str, run: int) -> str:
    """Of the part that is one of the runs."""
    norm = "normalised" if batch_norm else "plain"
    return f"{data}-{norm}-{optimizer}-{run + 1}"


def training(data: str, batch_norm: bool, optimizer: str, run: int) -> Training:
    """One of the runs."""
    watch = "test" if data == "mnist" else "held_out"
    options = {**OPTIONS, "optimizer": optimizer, "lr": OPTIMIZERS[optimizer][1]}
    settings = {"batch_norm": batch_norm}
    return Training("lenet5", data, settings, options, clip, run, watch)


def shapes(setup: Setup) -> Work:
    """Both proofs for every kernel, stride and padding: gradients have their own shapes."""
    equal = {"dW": 0, "dX": 0}
    cases = list(product((5, 8, 12), (1, 3, 5), (1, 2, 3), (0, 1, 2)))
    for done, (side, kernel, stride, padding) in enumerate(cases, 1):
        x = creation.ones(2, 3, side, side, requires_grad=True)
        w = creation.ones(4, 3, kernel, kernel, requires_grad=True)
        F.conv2d(x, w, stride=stride, padding=padding).sum().backward()
        assert x.grad is not None and w.grad is not None
        equal["dW"] += w.grad.shape == w.shape
        equal["dX"] += x.grad.shape == x.shape
        yield done / len(cases)
    return {"tried": len(cases), **equal}


PARTS = (
    Part("shapes", shapes),
    *[
        Part(part_name(*panel, *run), training(*panel, *run), seconds=20)
        for panel in PANELS
        for run in product(OPTIMIZERS, range(RUNS))
    ],
)


def tables(results: Results) -> list[Table]:
    """Each panel's runs in a line for each optimizer; the shapes."""
    rows = [
        [
            f"{DATA[data]}, {NORMS[norm]}",
            OPTIMIZERS[key][0],
            *_sums([results[part_name(data, norm, key, i)] for i in range(RUNS)]),
        ]
        for (data, norm), key in product(PANELS, OPTIMIZERS)
    ]
    proofs = results["shapes"]
    headings = ["network", "optimizer", "epochs to 95 %"]
    headings += ["training accuracy", "test accuracy", "held-out accuracy"]
    return [
        Table(
            "Adam against gradient descent",
            dict.fromkeys(headings, ""),
            rows,
            "Three runs each, with seeds of their own, of at most 10 epochs; a run stops "
            "after the epoch in which 95 % of the training images were right (—: none "
            "was). Gradients are clipped to ±5 in dense layers and ±1 in convolutions; "
            "batches of 32. In the document Adam reached the 95 % on MNIST within 4 "
            "epochs, with a batch of 32 images for a training set.",
        ),
        Table(
            "Shape proofs 1 and 2",
            {"claim": "", "holds": "d", "of": "d"},
            [
                ["shape(dW) = shape(W)", proofs["dW"], proofs["tried"]],
                ["shape(dX) = shape(X)", proofs["dX"], proofs["tried"]],
            ],
            "Over images, kernels, strides and paddings; a property test draws others.",
        ),
    ]


def _sums(runs: list[Any]) -> list[str]:
    epochs = [str(r["epochs"]) if r["reason"] == "accuracy" else "—" for r in runs]
    training = [r["history"]["accuracy"][-1] for r in runs]
    test = [r["test"]["accuracy"] for r in runs]
    held_out = [r["held_out"]["accuracy"] for r in runs if r["held_out"]]
    return [", ".join(epochs), *map(_percents, (training, test, held_out))]


def _percents(values: list[float]) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in values) + " %" if values else ""


def pictures(results: Results) -> list[Picture]:
    """A picture of each data set: six runs in each panel."""
    return [
        Picture(
            data,
            f"LeNet-5 on {name}: three runs of Adam (solid, black) and three of gradient "
            "descent (dashed, lighter), above without and below with batch normalisation. "
            "A run ends where 95 % of the training images were right; runs are drawn a "
            "little beside each other.",
            partial(_draw, results, data),
        )
        for data, name in DATA.items()
    ]


LINE: dict[str, Any] = {"lw": 1.2, "ms": 5}
LOOKS = {
    "adam": LINE | {"color": "#000000"},
    "sgd": LINE | {"color": "#d07010", "ls": (0, (4, 2)), "mfc": "white"},
}
MARKERS = ("o", "^", "s")
"""One for each run."""
BESIDE = 0.16
"""The runs are drawn so many epochs apart, or else equal ones would cover each other."""


def _draw(results: Results, data: str, figure: Any) -> None:
    figure.set_size_inches(9, 6.4)
    places = figure.subplots(len(NORMS), 2, sharex=True, sharey="row")
    watched = "test" if data == "mnist" else "held-out"
    keys = {"accuracy": "training", "test_accuracy": watched}
    for row, norm in zip(places, NORMS, strict=True):
        for axes, (key, images) in zip(row, keys.items(), strict=True):
            for optimizer, run in product(OPTIMIZERS, range(RUNS)):
                values = results[part_name(data, norm, optimizer, run)]["history"][key]
                look = LOOKS[optimizer] | {"marker": MARKERS[run]}
                look |= {"label": f"{OPTIMIZERS[optimizer][0]}, run {run + 1}"}
                figures.curve(axes, values, look, shift=BESIDE * (run - 1))
            axes.axhline(95, color="#808080", linewidth=0.6)
            title = f"{NORMS[norm]}, {images} images"
            figures.plain(axes, title, "epoch" if norm else "", "% right")
    handles, labels = places[0][0].get_legend_handles_labels()
    by_column = [i + RUNS * j for i in range(RUNS) for j in range(len(OPTIMIZERS))]
    handles, labels = ([of[i] for i in by_column] for of in (handles, labels))
    where: Any = {"loc": "outside upper center", "ncols": RUNS}
    figure.legend(handles, labels, frameon=False, **where)
