"""What a check reports, and in which words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...core.engine import Record
from ...core.recording import Where
from ...output.text import format_plural
from .graph import Step

TEXTS = {
    "loss-not-finite": """
        The loss is inf or NaN. {first}
        Why: The gradients behind it are inf or NaN, and one step makes the parameters so.
        Do: Look for a logarithm or a root of 0, a division by 0, an overflow, or images and
        parameters that are not finite themselves.""",
    "softmax-before-cross-entropy": """
        Cross-entropy, which begins with a log-softmax, is given the result of a {name} in
        place of scores.
        Why: Scores between 0 and 1 are nearly the same to it: with {classes} classes the
        loss of an image cannot fall below ln(1 + {others} / e) = {least:.3f}, however sure
        the net is, and the gradients are small.
        Do: Leave out the {name}. For probabilities, apply softmax outside of the loss.""",
    "log-softmax-twice": """
        A log-softmax is applied to the result of this one.
        Why: Log-probabilities are their own log-softmax: loss and gradients are right, but
        computed twice over, and one of the two lines misleads.
        Do: Give log-probabilities to nll_loss, or scores to cross_entropy.""",
    "sigmoid-before-logits-loss": """
        binary_cross_entropy_with_logits is given the result of a {name} in place of logits.
        Why: It applies the sigmoid itself, which makes 0.5 … 0.73 of 0 … 1: a target of 0
        costs at least ln 2 = 0.693, a target of 1 at least 0.313, however sure the net is.
        Do: Leave out the {name}.""",
    "relu-before-cross-entropy": """
        The scores pass a ReLU on their way into the loss.
        Why: A negative score becomes 0 and lets no gradient through: no class can get less
        likely than a score of 0 makes it, and one whose scores are all negative learns no
        more.
        Do: Leave out the ReLU after the last layer.""",
    "log-of-softmax": """
        The logarithm of a softmax is taken in two steps.
        Why: A probability too small for a float (in float32, scores 104 apart) is 0: its
        logarithm is −inf and the gradient NaN. A small number added against that, or a
        clamp, falsifies the gradient there.
        Do: log_softmax(x, dim) takes both steps in one; cross_entropy(x, labels) calls it.
        """,
    "softmax-before-nll": """
        nll_loss is given probabilities, the result of a softmax.
        Why: It takes their logarithms; now the loss is −p instead of −ln p, and its
        gradient vanishes just where the net is most wrong, at p near 0.
        Do: Take log_softmax in place of softmax, or give the scores to cross_entropy.""",
    "nll-of-scores": """
        nll_loss is given values that are no log-probabilities: over the classes (axis 1)
        their exponentials sum to {total:.3g}, not to 1.
        Why: It applies no softmax and only picks −x at each label: the loss falls forever
        while all scores grow.
        Do: Give it log_softmax(x, dim=1), or give the scores to cross_entropy.""",
    "no-gradient": """
        No gradient reaches {names}: {fate}.
        Why: What gets no gradient is never trained: it stays as it was drawn.
        Do: {remedy} What is to stay as it is should say so: requires_grad_(False).""",
    "dead-relu": """
        {dead} of this ReLU are 0 for each of the {images} images.
        Why: A ReLU lets no gradient through where it is 0: the weights that lead there
        learn nothing from this batch. (Some dead units are usual in a fresh net; a layer
        is reported when it has more than half.)
        Do: Lower the learning rate if it came with training. Else look at the initial
        values (large negative biases?) and at the scale of the images, normalise before
        the ReLU, or take leaky_relu.""",
    "bias-before-batch-norm": """
        Only batch normalisation uses the sums with {biases}.
        Why: It subtracts the mean of each channel, and the bias with it. The gradient of
        the bias is 0 up to rounding; it is never trained, and an optimizer such as Adam,
        which divides by the gradient's size, moves it by noise.
        Do: Give the layer bias=False; the normalisation has a bias of its own.""",
    "linear-after-linear": """
        A dense layer of {n} to {hidden} is followed by one of {hidden} to {m}, with nothing
        between them.
        Why: W₂ (W₁ x + b₁) + b₂ = (W₂ W₁) x + (W₂ b₁ + b₂): together they express no more
        than one dense layer of {n} to {m}.
        Do: Put an activation such as relu between them, or make them one.""",
    "dtype-changed": """
        The parameters are {usual}, but the result of {operation} here is {dtype}, brought
        by {bringer}.
        Why: {cost}
        Do: Convert what brings it, or make it with dtype={usual}.""",
    "gradients-not-zeroed": """
        At step {first} the gradients of {names} still contain those of the step before; the
        same is true of {stale} of {steps} steps.
        Why: backward() adds to .grad: the optimizer follows a sum over old batches,
        computed with weights that are no more, and its steps grow.
        Do: Call optimizer.zero_grad() before each backward(). To add up several batches on
        purpose, call it once after the step that uses their sum.""",
}
"""By code: what was found, why it matters, and what to do."""


@dataclass(frozen=True)
class Finding:
    """One mistake. code: its short name. module, where: the module path and the line of
    the code, "" where there is none. found, why, remedy: sentences."""

    code: str
    module: str
    where: str
    found: str
    why: str
    remedy: str

    def __str__(self) -> str:
        places = [f"in {self.module}" if self.module else "", self.where]
        title = ", ".join([place for place in places if place])
        wrap = textwrap.TextWrapper(88, subsequent_indent=" " * 9)
        wrap.break_long_words = wrap.break_on_hyphens = False
        parts = {"found": self.found, "why": self.why, "do": self.remedy}
        lines = [wrap.fill(f"  {name:<6} {text}") for name, text in parts.items()]
        return "\n".join([f"{self.code}  {title}".rstrip(), *lines])


def finding(code: str, place: Record | Step | Where | None, **values: Any) -> Finding:
    """The finding of this code where something was computed; values: for its text."""
    text = " ".join(TEXTS[code].format(**values).split())
    found, _, rest = text.partition(" Why: ")
    why, _, remedy = rest.partition(" Do: ")
    module, where = getattr(place, "module", ""), getattr(place, "where", place)
    return Finding(code, module, str(where or ""), found, why, remedy)


def listed(names: Sequence[str]) -> str:
    """The names, of many the first six."""
    more = [f"and {len(names) - 6} more"] if len(names) > 6 else []
    return ", ".join([*names[:6], *more])


class Findings(list[Finding]):
    """What was found: empty, and so false, where nothing was.

    looked_at: what was, in words. notes: what could not be judged, and why.
    """

    looked_at: str = ""
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        count = format_plural(len(self), "finding") if self else "nothing found"
        return "\n\n".join(
            [f"{count} in {self.looked_at}", *map(str, self), *self.notes]
        )

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        found = [asdict(finding) for finding in self]
        return {"findings": found, "looked_at": self.looked_at, "notes": self.notes}
