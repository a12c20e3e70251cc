"""The recurrent nets of `day2` §1: two tasks that need memory, and gradients through time.

Sentences are said to be positive or negative (many to one), a text is continued character
by character (many to many).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from ..core.creation import as_tensor, tensor, zeros
from ..core.engine import Tensor
from ..core.generator import manual_seed
from ..core.recording import no_grad
from ..nn.utils import clip_grad_norm_
from ..optim import Adam
from ..training.model_file import load_class
from ..verify import verify
from . import sequences
from .experiment import Part, Setup, Work
from .rnn_report import pictures as pictures
from .rnn_report import tables as tables
from .sequences import TEXT, Examples

Curve = list[dict[str, float]]

TITLE = "Recurrent nets: sentences, characters, and gradients through 50 steps"
LARGEST_NORM = 1.0
"""Gradients are clipped to this norm: one that explodes would throw the weights far off."""


def make(setup: Setup, name: str, **sizes: int) -> Any:
    """A model of models/rnn.py with the initial values of this seed."""
    manual_seed(setup.seed)
    return load_class(setup.model(f"rnn:{name}"))(**sizes)


@no_grad()
def scores(model: Any, **examples: Examples) -> dict[str, float]:
    """The loss and the accuracy on each kind of examples."""
    found = {}
    for name, of in examples.items():
        output = model(as_tensor(of.x))
        found[f"{name}_loss"] = model.loss(output, as_tensor(of.y)).item()
        found[name] = of.share(output.numpy().argmax(-1))
    return found


def learn(
    model: Any, training: Examples, held_out: Examples, setup: Setup
) -> Generator[float, None, Curve]:
    """Train with Adam; yields the share done, returns the scores after 0, 1, … epochs."""
    rng = np.random.default_rng(setup.seed)
    options = model.defaults
    epochs = 2 if setup.quick else options["epochs"]
    optimizer = Adam(model.parameters(), lr=options["lr"])
    curve = [scores(model, training=training, held_out=held_out)]
    for epoch in range(epochs):
        order = rng.permutation(len(training))
        for start in range(0, len(order), options["batch_size"]):
            batch = training.part(order[start : start + options["batch_size"]])
            optimizer.zero_grad()
            model.loss(model(as_tensor(batch.x)), as_tensor(batch.y)).backward()
            clip_grad_norm_(model.parameters(), LARGEST_NORM)
            optimizer.step()
        curve.append(scores(model, training=training, held_out=held_out))
        yield (epoch + 1) / epochs
    return curve


def sentiment(setup: Setup) -> Work:
    """Many to one: is the sentence positive?"""
    training, held_out, vocabulary = sequences.read_sentences()
    model = make(setup, "ManyToOne", vocabulary=len(vocabulary), num_classes=2)
    curve = yield from learn(model, training, held_out, setup)
    return _describe(curve, training, held_out) | {"read": _read(model, held_out)}


def _read(model: Any, held_out: Examples, count: int = 8) -> list[list[Any]]:
    """Some held-out sentences, how positive they are to the net, and whether they are."""
    new = [sentence for sentence in sequences.sentences() if sentence.held_out]
    with no_grad():
        positive = model(as_tensor(held_out.x)).softmax(1).numpy()[:, 1]
    chosen = np.linspace(0, len(new) - 1, count).astype(int)
    return [
        [" ".join(new[i].words), float(positive[i]), bool(new[i].label)] for i in chosen
    ]


def characters(setup: Setup) -> Work:
    """Many to many: which character is next, at every step?"""
    training, held_out, vocabulary = sequences.read_characters()
    size = len(vocabulary)
    model = make(setup, "ManyToMany", vocabulary=size, num_classes=size, hidden=32)
    curve = yield from learn(model, training, held_out, setup)
    given, more = TEXT[: sequences.steps_to_be_sure(TEXT)], 4 * len(TEXT)
    written = continue_text(model, given, more, vocabulary)
    true = (TEXT * 5)[len(given) : len(given) + more]
    right = [a == b for a, b in zip(written, true, strict=True)]
    return _describe(curve, training, held_out) | {
        "given": given,
        "written": written,
        "written_right": float(np.mean(right)),
    }


@no_grad()
def continue_text(model: Any, given: str, more: int, vocabulary: Sequence[str]) -> str:
    """What the net writes behind the given text: its likeliest character becomes x_t+1."""
    text, new, h = "", given, None
    while len(text) < len(given) + more:
        text += new
        h = model.states(tensor(sequences.one_hot([new], vocabulary)), h)[-1]
        new = vocabulary[int(model.hy(h).argmax(1).item())]
    return text[len(given) :]


def _describe(curve: Curve, training: Examples, held_out: Examples) -> dict[str, Any]:
    return {
        "curve": curve,
        "sequences": [len(training), len(held_out)],
        "last_alone": sequences.last_alone(training, held_out),
    }


STEPS = 50
RADII = (0.8, 1.0, 1.5)
SYMBOLS = {
    "x": "x, all steps",
    "xh.weight": "W_xh",
    "xh.bias": "b_h",
    "hh.weight": "W_hh",
    "hy.weight": "W_hy",
    "hy.bias": "b_y",
}


def gradients(setup: Setup) -> Work:
    """Are they right, and how large are they, 50 steps back?"""
    steps = 10 if setup.quick else STEPS
    checked = []
    for done, name in enumerate(("ManyToOne", "ManyToMany"), start=1):
        checked += check(setup, name, steps)
        yield 0.45 * done
    norms = {
        kind: [norms_through_time(setup, radius, kind == "words") for radius in RADII]
        for kind in ("no words", "words")
    }
    return {"steps": steps, "checked": checked, "radii": list(RADII), "norms": norms}


def check(setup: Setup, name: str, steps: int) -> list[dict[str, Any]]:
    """Each gradient of the loss against difference quotients, in float64."""
    rng = np.random.default_rng(setup.seed)
    model = make(setup, name, vocabulary=4, num_classes=3, hidden=6).double()
    # above 1, so that the first step still has a gradient to be compared after 50
    set_radius(model, 1.1, rng)
    x = np.eye(4)[rng.integers(0, 4, (2, steps))]
    labels = rng.integers(0, 3, 2 if name == "ManyToOne" else (2, steps))
    report = verify(model, x, labels=labels)
    return [
        {
            "net": name,
            "tensor": SYMBOLS[t.name],
            "entries": t.size,
            "checked": t.checked,
            "error": t.max_abs_error,
            "relative": t.max_rel_error,
            "verdict": t.verdict,
        }
        for t in report.tensors
    ]


@no_grad()
def set_radius(model: Any, radius: float, rng: np.random.Generator) -> None:
    """W_hh becomes an orthogonal matrix times `radius`: all |eigenvalues| are `radius`."""
    weight = model.hh.weight
    orthogonal, _ = np.linalg.qr(rng.standard_normal(weight.shape))
    weight.copy_(tensor(radius * orthogonal))


def norms_through_time(setup: Setup, radius: float, words: bool) -> list[float]:
    """‖∂L/∂h_t‖ for t = 0 … 50, of the loss of a many-to-one net at the last step.

        ∂L/∂h_{t-1} = W_hhᵀ ((1 − h_t²) ∂L/∂h_t)

    Without words (x_t = 0, b_h = 0) every h_t is 0 and only W_hhᵀ is left: the norm is
    multiplied by the radius at each step back. With words, 1 − h_t² < 1 makes it smaller.
    """
    rng = np.random.default_rng(setup.seed)
    model = make(setup, "ManyToOne", vocabulary=4, num_classes=2, hidden=64).double()
    set_radius(model, radius, rng)
    model.xh.bias.data.zero_()
    x = np.eye(4)[rng.integers(0, 4, (1, STEPS))] * words
    h_0 = zeros(1, 64, dtype=np.float64).requires_grad_()
    states: list[Tensor] = [h_0, *model.states(tensor(x), h_0)]
    for h in states:
        h.retain_grad()
    model.loss(model.hy(states[-1]), tensor([1])).backward()
    return [float(np.linalg.norm(h.grad.numpy())) for h in states]


PARTS = (
    Part("sentiment", sentiment, seconds=2),
    Part("characters", characters, seconds=2),
    Part("gradients", gradients, seconds=6),
)
