"""The recurrent nets of `day2` §1: two tasks that need memory, and gradients through time.

Sentences are said to be positive or negative (many to one), a text is continued character
by character (many to many). The data are made here; the document names the tasks only.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..creation import as_tensor, tensor, zeros
from ..engine import Tensor
from ..modelfile import load_class
from ..nn.utils import clip_grad_norm_
from ..optim import Adam
from ..random import manual_seed
from ..recording import no_grad
from ..verify import verify
from .experiment import Part, Picture, Setup, Table, Work

Array = np.ndarray[Any, Any]
Results = Mapping[str, Any]
Curve = list[dict[str, float]]

TITLE = "Recurrent nets: sentences, characters, and gradients through 50 steps"
LARGEST_NORM = 1.0
"""Gradients are clipped to this norm: one that explodes would throw the weights far off."""


# --- the sentences --------------------------------------------------------------------

OPENINGS = ("", "i think", "we know", "i do not think")
SUBJECTS = ("this is", "it was")
MODIFIERS = ("", "very", "really", "not")
POSITIVE = ("good", "nice", "great", "lovely")
NEGATIVE = ("bad", "poor", "awful", "boring")


@dataclass(frozen=True)
class Sentence:
    """The words, whether they are positive (1) or not (0), whether they are held out."""

    words: tuple[str, ...]
    label: int
    held_out: bool


def sentences() -> Iterator[Sentence]:
    """All 256 combinations; each "not" turns the meaning of the last word around.

    A quarter is held out: for each modifier one positive and one negative word that never
    stand behind it in training. "not lovely" is new, "not nice" and "very lovely" are not.
    """
    last_words = [*enumerate(POSITIVE), *enumerate(NEGATIVE)]
    for opening, subject, (m, modifier), (i, last) in product(
        OPENINGS, SUBJECTS, enumerate(MODIFIERS), last_words
    ):
        words = tuple(f"{opening} {subject} {modifier} {last}".split())
        label = ((last in POSITIVE) + words.count("not")) % 2
        yield Sentence(words, label, held_out=m == i)


# --- the characters -------------------------------------------------------------------

TEXT = "the sun is hot and the sea is cold and "
"""Repeated for ever. Is "and the s" followed by u or e? It was cold, or hot, before."""
WINDOW = 30


def steps_to_be_sure(text: str) -> int:
    """After how many characters, wherever one begins, the next one is always certain."""
    for length in range(1, len(text) + 1):
        followers: dict[str, set[str]] = {}
        for i in range(len(text)):
            window = (text * 3)[i : i + length + 1]
            followers.setdefault(window[:-1], set()).add(window[-1])
        if all(len(characters) == 1 for characters in followers.values()):
            return length
    raise ValueError(f"{text!r} repeats itself")


# --- learning -------------------------------------------------------------------------


@dataclass(frozen=True)
class Examples:
    """One-hot sequences x (N, T, vocabulary) and classes y, (N) or (N, T).

    first: the first position whose answer counts, where there is one for every step.
    """

    x: Array
    y: Array
    first: int = 0

    def __len__(self) -> int:
        return len(self.y)

    def part(self, chosen: Array) -> Examples:
        """Those sequences."""
        return Examples(self.x[chosen], self.y[chosen], self.first)

    def share(self, answers: Array) -> float:
        """How many of these answers, in the shape of y, are right where it counts."""
        return float((answers == self.y)[..., self.first :].mean())


def one_hot(sequences: Sequence[Sequence[str]], vocabulary: Sequence[str]) -> Array:
    """float32 (N, T, vocabulary); shorter sequences begin with rows of zeros."""
    steps = max(map(len, sequences))
    x = np.zeros((len(sequences), steps, len(vocabulary)), np.float32)
    for n, sequence in enumerate(sequences):
        for t, entry in enumerate(sequence, start=steps - len(sequence)):
            x[n, t, vocabulary.index(entry)] = 1
    return x


def read_sentences() -> tuple[Examples, Examples, list[str]]:
    """What is learned, what is held out, and the vocabulary."""
    known = list(sentences())
    vocabulary = sorted({word for sentence in known for word in sentence.words})
    x = one_hot([sentence.words for sentence in known], vocabulary)
    every = Examples(x, np.array([sentence.label for sentence in known]))
    held_out = np.array([sentence.held_out for sentence in known])
    return every.part(~held_out), every.part(held_out), vocabulary


def read_characters() -> tuple[Examples, Examples, list[str]]:
    """A window from each place of the text; every third is held out."""
    vocabulary = sorted(set(TEXT))
    places = np.arange(len(TEXT))
    windows = [(TEXT * 2)[i : i + WINDOW + 1] for i in places]
    y = [[vocabulary.index(c) for c in window[1:]] for window in windows]
    x = one_hot([window[:-1] for window in windows], vocabulary)
    # the answer at index t − 1 is given after t characters
    every = Examples(x, np.array(y), first=steps_to_be_sure(TEXT) - 1)
    return every.part(places % 3 != 2), every.part(places % 3 == 2), vocabulary


def last_alone(training: Examples, held_out: Examples) -> float:
    """The accuracy on what is held out of the best guess from the last entry alone."""

    def last(examples: Examples) -> Array:
        many = examples.y.ndim == 2
        return (examples.x if many else examples.x[:, -1]).argmax(-1)

    counts = np.zeros((training.x.shape[-1], int(training.y.max()) + 1))
    np.add.at(counts, (last(training), training.y), 1)
    return held_out.share(counts.argmax(1)[last(held_out)])


def make(setup: Setup, name: str, **sizes: int) -> Any:
    """A model of models/rnn.py with the initial values of this seed."""
    manual_seed(setup.seed)
    return load_class(f"{setup.models / 'rnn.py'}:{name}")(**sizes)


@no_grad()
def scores(model: Any, examples: Examples) -> tuple[float, float]:
    """The loss and the accuracy."""
    output = model(as_tensor(examples.x))
    loss = model.loss(output, as_tensor(examples.y)).item()
    return loss, examples.share(output.numpy().argmax(-1))


def learn(
    model: Any, training: Examples, held_out: Examples, setup: Setup
) -> Generator[float, None, Curve]:
    """Train with Adam; yields the share done, returns the scores after 0, 1, … epochs."""
    rng = np.random.default_rng(setup.seed)
    options = model.defaults
    epochs = 2 if setup.quick else options["epochs"]
    optimizer = Adam(model.parameters(), lr=options["lr"])
    curve = [_both(model, training, held_out)]
    for epoch in range(epochs):
        order = rng.permutation(len(training))
        for start in range(0, len(order), options["batch_size"]):
            batch = training.part(order[start : start + options["batch_size"]])
            optimizer.zero_grad()
            model.loss(model(as_tensor(batch.x)), as_tensor(batch.y)).backward()
            clip_grad_norm_(model.parameters(), LARGEST_NORM)
            optimizer.step()
        curve.append(_both(model, training, held_out))
        yield (epoch + 1) / epochs
    return curve


def _both(model: Any, training: Examples, held_out: Examples) -> dict[str, float]:
    names = ("training_loss", "training", "held_out_loss", "held_out")
    values = (*scores(model, training), *scores(model, held_out))
    return dict(zip(names, values, strict=True))


def sentiment(setup: Setup) -> Work:
    """Many to one: is the sentence positive?"""
    training, held_out, vocabulary = read_sentences()
    model = make(setup, "ManyToOne", vocabulary=len(vocabulary), num_classes=2)
    curve = yield from learn(model, training, held_out, setup)
    return _learned(curve, training, held_out) | {"read": _read(model, held_out)}


def _read(model: Any, held_out: Examples, count: int = 8) -> list[list[Any]]:
    """Some held-out sentences, how positive they are to the net, and whether they are."""
    new = [sentence for sentence in sentences() if sentence.held_out]
    with no_grad():
        positive = model(as_tensor(held_out.x)).softmax(1).numpy()[:, 1]
    chosen = np.linspace(0, len(new) - 1, count).astype(int)
    return [
        [" ".join(new[i].words), float(positive[i]), bool(new[i].label)] for i in chosen
    ]


def characters(setup: Setup) -> Work:
    """Many to many: which character is next, at every step?"""
    training, held_out, vocabulary = read_characters()
    size = len(vocabulary)
    model = make(setup, "ManyToMany", vocabulary=size, num_classes=size, hidden=32)
    curve = yield from learn(model, training, held_out, setup)
    given, more = TEXT[: steps_to_be_sure(TEXT)], 4 * len(TEXT)
    written = continued(model, given, more, vocabulary)
    true = (TEXT * 5)[len(given) : len(given) + more]
    right = [a == b for a, b in zip(written, true, strict=True)]
    return _learned(curve, training, held_out) | {
        "given": given,
        "written": written,
        "written_right": float(np.mean(right)),
    }


@no_grad()
def continued(model: Any, given: str, more: int, vocabulary: Sequence[str]) -> str:
    """What the net writes behind the given text: its likeliest character becomes x_t+1."""
    text, new, h = "", given, None
    while len(text) < len(given) + more:
        text += new
        h = model.states(tensor(one_hot([new], vocabulary)), h)[-1]
        new = vocabulary[int(model.hy(h).argmax(1).item())]
    return text[len(given) :]


def _learned(curve: Curve, training: Examples, held_out: Examples) -> dict[str, Any]:
    return {
        "curve": curve,
        "sequences": [len(training), len(held_out)],
        "last_alone": last_alone(training, held_out),
    }


# --- gradients through time -----------------------------------------------------------

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
        kind: [norms_through_time(setup, radius, words) for radius in RADII]
        for kind, words in (("no words", False), ("words", True))
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


# --- what is shown --------------------------------------------------------------------


def tables(results: Results) -> list[Table]:
    """Both tasks, what the nets say and write, and the gradients."""
    found = []
    if "sentiment" in results or "characters" in results:
        found.append(_learned_table(results))
    if "sentiment" in results:
        found.append(_sentence_table(results["sentiment"]))
    if "characters" in results:
        found.append(_text_table(results["characters"]))
    if "gradients" in results:
        found.append(_gradient_table(results["gradients"]))
    return found


def _learned_table(results: Results) -> Table:
    names = {
        "sentiment": "many to one: is the sentence positive?",
        "characters": "many to many: which character is next?",
    }
    rows = []
    for name in [name for name in names if name in results]:
        result = results[name]
        last, (training, held_out) = result["curve"][-1], result["sequences"]
        alone, epochs = result["last_alone"], len(result["curve"]) - 1
        scores = last["training"], last["held_out"]
        rows.append([names[name], training, held_out, epochs, *scores, alone])
    columns = {"task": "", "sequences": ",", "held out": ",", "epochs": ","}
    columns |= {"training accuracy": ".1%", "held-out accuracy": ".1%"}
    note = (
        "Last entry alone: the best guess without memory, from the last word or character. "
        "The last two words of a held-out sentence never stand together in training; a "
        "held-out text begins at another place. Characters count from number "
        f"{steps_to_be_sure(TEXT)} on: before, the next one can be uncertain."
    )
    columns |= {"last entry alone": ".1%"}
    return Table("What the recurrent nets learned", columns, rows, note)


def _sentence_table(result: Results) -> Table:
    rows = [
        [sentence, positive, "yes" if right else "no"]
        for sentence, positive, right in result["read"]
    ]
    columns = {"held-out sentence": "", "positive, says the net": ".1%", "positive": ""}
    return Table("Sentences that the net never saw", columns, rows)


def _text_table(result: Results) -> Table:
    rows = [[f"“{result['given']}”", f"“{result['written']}”", result["written_right"]]]
    columns = {"given": "", "the net goes on": "", "characters right": ".1%"}
    return Table("The text that the net continues by itself", columns, rows)


def _gradient_table(result: Results) -> Table:
    keys = ("net", "tensor", "entries", "checked", "error", "relative", "verdict")
    rows = [[entry[key] for key in keys] for entry in result["checked"]]
    columns = {"net": "", "gradient of": "", "entries": ",", "checked": ","}
    columns |= {"largest error": ".1e", "of the largest": ".1e", "verdict": ""}
    title = f"Gradients through {result['steps']} steps against difference quotients"
    return Table(title, columns, rows, "In float64; the radius of W_hh is 1.1.")


def pictures(results: Results) -> list[Picture]:
    """Learning curves of both tasks, and the size of gradients through time."""
    found = []
    learned = {
        key: results[key] for key in ("sentiment", "characters") if key in results
    }
    if learned:
        caption = (
            "Both nets while they learn. Dotted: the best accuracy without memory, by a "
            "guess from the last word or character alone. The loss of the characters "
            "stays above 0, since the first ones of a text are uncertain."
        )
        found.append(
            Picture("rnn_learning", caption, lambda f: draw_curves(f, learned))
        )
    if "gradients" in results:
        caption = (
            "How much the loss at step 50 depends on the state at step t. Left, nothing is "
            "read and all states are 0; right, one word is read at each step, and tanh "
            "flattens: its slope 1 − h² is below 1."
        )
        result = results["gradients"]
        found.append(Picture("rnn_gradients", caption, lambda f: draw_norms(f, result)))
    return found


HEADINGS = {
    "sentiment": "Many to one:\nis the sentence positive?",
    "characters": "Many to many:\nwhich character is next?",
}


CURVES = (
    ("training", "training", {"color": "#0072b2", "ls": "-", "marker": "o"}),
    ("held_out", "held out", {"color": "#d55e00", "ls": "--", "marker": "s"}),
)
"""Key, name and style of each curve; dashes and markers tell them apart in grey."""


def draw_curves(figure: Any, learned: Results) -> None:
    """A column for each task: accuracy above, loss below, against epochs."""
    figure.set_size_inches(4.2 * len(learned), 5.6)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(2, len(learned), sharex="col", squeeze=False)
    for (name, result), (above, below) in zip(learned.items(), grid.T, strict=True):
        _lines(above, result["curve"], "", 100)
        _lines(below, result["curve"], "_loss", 1)
        alone = 100 * result["last_alone"]
        above.axhline(
            alone, color="black", ls=":", lw=1.5, label="guess without memory"
        )
        above.set(title=HEADINGS[name], ylabel="accuracy in %", ylim=(0, 104))
        above.legend(loc="lower right", frameon=False)
        below.set(xlabel="epochs of training", ylabel="loss (cross-entropy)")
        below.set_ylim(bottom=0)


def _lines(axes: Any, curve: Curve, suffix: str, factor: float) -> None:
    every = max(1, len(curve) // 10)
    for key, label, style in CURVES:
        values = [factor * epoch[key + suffix] for epoch in curve]
        axes.plot(values, label=label, markevery=every, ms=4, lw=1.5, **style)
    _tidy(axes)


def _tidy(axes: Any) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def draw_norms(figure: Any, result: Results) -> None:
    """‖∂L/∂h_t‖ on a logarithmic axis; one panel without words, one with."""
    titles = {
        "no words": "All states are 0: each step back\nmultiplies the size by the radius",
        "words": "Words are read: the slope of tanh\nmakes the gradient smaller",
    }
    styles = (("#0072b2", "--", "s"), ("#000000", "-", "o"), ("#d55e00", "-.", "^"))
    figure.set_size_inches(9, 4.2)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (kind, title) in zip(panels, titles.items(), strict=True):
        lines = zip(result["radii"], result["norms"][kind], styles, strict=True)
        for radius, norms, (colour, dashes, marker) in lines:
            style = {"color": colour, "ls": dashes, "marker": marker, "markevery": 5}
            label = f"radius of $W_{{hh}}$: {radius:g}"
            axes.semilogy(norms, label=label, ms=4, lw=1.5, **style)
        axes.set(title=title, xlabel=f"step t (the loss is at step {STEPS})")
        _tidy(axes)
    panels[0].set_ylabel(r"size of the gradient, $\|\partial L / \partial h_t\|$")
    panels[0].legend(loc="upper right", frameon=False)
