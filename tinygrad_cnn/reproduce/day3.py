"""`day3`: the net before it is trained, and the derivatives of the softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import creation
from ..core.generator import manual_seed
from ..core.recording import no_grad
from ..data import DataLoader, Subset
from ..nn import functional as F
from ..training.model_file import build, load_class
from .experiment import Part, Picture, Results, Setup, Table, Work
from .images import images_for

Array = NDArray[np.float64]

TITLE = "The untrained net; the derivatives of the softmax"

ACCURACIES = (0.05, 0.07, 0.08, 0.05, 0.09, 0.13, 0.1, 0.08, 0.04, 0.05)
LOSSES = (2.303, 2.303, 2.303, 2.302, 2.302, 2.301, 2.302, 2.302, 2.302, 2.301)
"""Accuracy and mean loss of each hundred images, as the document prints them."""


def untrained(setup: Setup) -> Work:
    """The document's net and initialisation on the first 1,000 training images."""
    manual_seed(setup.seed)
    kind = load_class(setup.model("mnist_net"))
    net, _ = build(kind, {"document_init": True, "bias": False}, {})
    images = images_for("mnist", kind, setup.quick).training
    first = Subset(images, range(min(1000, len(images))))
    accuracies, losses = [], []
    with no_grad():
        for x, labels in DataLoader(first, batch_size=100):
            scores = net(x)
            right = (scores.argmax(1) == labels).float()
            accuracies.append(right.mean().item())
            losses.append(F.cross_entropy(scores, labels).item())
            yield len(losses) / 10
    return {"accuracy": accuracies, "loss": losses}


def softmax(setup: Setup) -> Work:
    """∂p_c/∂t_k and ∂L/∂t_k for all c and k: closed form, engine and differences."""
    yield 0.0
    t = np.random.default_rng(setup.seed).normal(size=10)
    entropy = lambda x: -np.log(_softmax(x))
    return {
        "∂p_c/∂t_k": _compare(
            closed_softmax(t),
            _jacobian(lambda x: x.softmax(1), t),
            _differences(_softmax, t),
        ),
        "∂L/∂t_k, L = −ln p_c": _compare(
            closed_entropy(t),
            _jacobian(lambda x: -x.log_softmax(1), t),
            _differences(entropy, t),
        ),
    }


def _compare(closed: Array, engine: Array, differences: Array) -> dict[str, Any]:
    return {
        "entries": int(closed.size),
        "largest": float(np.abs(closed).max()),
        "engine": float(np.abs(engine - closed).max()),
        "differences": float(np.abs(differences - closed).max()),
    }


def closed_softmax(t: Array) -> Array:
    """∂p_c/∂t_k (`day3` §3.1): −e^t_c e^t_k / S², and e^t_c (S − e^t_c) / S² at k = c."""
    e, s = np.exp(t), np.exp(t).sum()
    found = -np.outer(e, e) / s**2
    np.fill_diagonal(found, e * (s - e) / s**2)
    return found


def closed_entropy(t: Array) -> Array:
    """∂(−ln p_c)/∂t_k = −1/p_c · ∂p_c/∂t_k, for each c a row."""
    return -closed_softmax(t) / _softmax(t)[:, None]


def _softmax(t: Array) -> Array:
    return np.exp(t) / np.exp(t).sum()


def _jacobian(function: Any, t: Array) -> Array:
    """∂(function)_c/∂t_k by the engine: row c of x is a t of its own, and asks for c."""
    x = creation.tensor(np.tile(t, (len(t), 1)), requires_grad=True)
    function(x).backward(creation.tensor(np.eye(len(t))))
    assert x.grad is not None
    return x.grad.numpy()


def _differences(function: Any, t: Array) -> Array:
    """Central differences; h is the cube root of the precision of float64."""
    h = 6e-6
    columns = [function(t + step) - function(t - step) for step in h * np.eye(len(t))]
    return np.stack(columns, axis=1) / (2 * h)


PARTS = (Part("untrained", untrained), Part("softmax", softmax))


def tables(results: Results) -> list[Table]:
    """Loss and accuracy of each hundred images beside the document's; the derivatives."""
    found = results["untrained"]
    columns = found["accuracy"], found["loss"], ACCURACIES, LOSSES
    rows = [
        [f"{100 * i + 1} – {100 * i + 100}", *values]
        for i, values in enumerate(zip(*columns, strict=False))  # fewer in a quick run
    ]
    headings = {"images": "", "accuracy": ".0%", "loss": ".3f"}
    headings |= {"document: accuracy": ".0%", "document: loss": ".3f"}
    derivatives = {"derivatives": "", "entries": "d", "largest": ".3f"}
    derivatives |= {"engine − closed form": ".0e", "differences − closed form": ".0e"}
    return [
        Table(
            "The untrained net",
            headings,
            rows,
            "Guessing among ten classes is right in 10 % and has the loss −ln 0.1 = 2.303.",
        ),
        Table(
            "Derivatives of the softmax and of the cross-entropy",
            derivatives,
            [[name, *figures.values()] for name, figures in results["softmax"].items()],
            "Ten random totals t, every class c and every k; the largest absolute "
            "deviation.",
        ),
    ]


def pictures(results: Results) -> list[Picture]:
    """None: the document has tables."""
    return []
