"""Lint: mistakes that show in the recorded graph of one batch, or in a training loop.

    lint(model, images, labels)     runs the model on a batch, as training would
    lint(loss)                      looks at what is recorded behind a loss
    watch(optimizer)                watches the steps of a training loop

Each check is a generator of findings, a function of the graph; `CHECKS` lists them. What
a finding says stands in `TEXTS`.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..engine import Node, Record, Tensor
from ..errors import ArgumentError, AutogradError, DTypeError
from ..nn import Module
from ..nn import functional as F
from ..nn.utils.stateless import functional_call
from ..ops.activation import ReLU
from ..ops.arithmetic import Add, Log, Sub
from ..ops.base import Op, Value
from ..ops.classification import LogisticLoss, LogSoftmax, NLLLoss
from ..ops.convolution import Conv2d, Conv2dInput, Convolution
from ..ops.linear import Linear
from ..ops.normalization import BatchNorm
from ..ops.pooling import MaxPool2d
from ..ops.reduction import LogSumExp
from ..ops.selection import Clip
from ..ops.shape import Cast, Clone, Concatenate, Expand, Index, Permute, Reshape
from ..optim import Optimizer
from ..random import default_generator
from ..recording import Where, enable_grad, grad_enabled, module_path, observer
from ..replay import nodes_of, replay

MIN_IMAGES = 32
"""ReLUs are judged from so many images on: a unit active on one image in ten passes for
dead on 32 of them with probability 0.03, on 8 with 0.43."""
DEAD_SHARE = 0.5
"""A layer is reported when more of its units are dead; in fresh nets of the documents up to
45 % are, as PyTorch draws the weights."""

MOVES = (Reshape, Permute, Expand, Index, Clone, Cast, Concatenate)
KEEPS_CHANNELS = (Clone, Cast, MaxPool2d)
"""What was added to a whole channel before them is added to the whole channel after."""


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


class Findings(list[Finding]):
    """What was found: empty, and so false, where nothing was.

    looked_at: what was, in words. notes: what could not be judged, and why.
    """

    def __init__(
        self,
        findings: Iterable[Finding] = (),
        looked_at: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(findings)
        self.looked_at, self.notes = looked_at, list(notes)

    def __str__(self) -> str:
        count = {0: "nothing found", 1: "1 finding"}.get(len(self))
        title = f"{count or f'{len(self)} findings'} in {self.looked_at}"
        return "\n\n".join([title, *map(str, self), *self.notes])

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        found = [asdict(finding) for finding in self]
        return {"findings": found, "looked_at": self.looked_at, "notes": self.notes}


def lint(
    target: Tensor | Module,
    inputs: Any = None,
    labels: Any = None,
    *,
    loss: Callable[..., Tensor] | None = None,
    model: Module | None = None,
) -> Findings:
    """Look for mistakes in the graph behind a loss.

    target: a loss that was computed, or a model, which is run on `inputs` (a Tensor, or a
    tuple of arguments) in training mode and stays as it was: its buffers and modes, and
    the state of the random generators.
    loss: of (output, labels), or of the output where labels is None; by default the
    model's attribute `loss`, else cross_entropy.
    model: names the parameters of a loss that was computed, and says which there are.

    Values that a check needs are computed again, from the parameters as they are now.
    Raises DTypeError for another target, ArgumentError for a model without inputs or
    labels, AutogradError for a loss that was not recorded.
    """
    trace = None
    if isinstance(target, Module):
        model = target
        result, trace = _run(target, inputs, labels, loss)
    elif isinstance(target, Tensor):
        result = target
    else:
        got = type(target).__name__
        raise DTypeError(f"lint takes a loss (a Tensor) or a model, got {got}")
    if result._node is None and model is None:
        raise AutogradError(
            "there is no graph behind this loss: nothing that it was computed from "
            "requires a gradient, or it was computed within no_grad()"
        )
    graph = Graph(result, model, trace)
    found = [one for check in CHECKS for one in check(graph)]
    looked_at = f"{len(graph.records)} operations"
    if model is not None:
        looked_at += f" and {len(graph.names)} parameters of {type(model).__name__}"
    return Findings(dict.fromkeys(found), looked_at, graph.notes)


@dataclass(eq=False)
class Step:
    """One operation of the run, whether a gradient was recorded or not."""

    inputs: list[Value]
    result: Value
    module: str
    where: Where
    recorded: bool


def _run(
    model: Module, inputs: Any, labels: Any, loss: Callable[..., Tensor] | None
) -> tuple[Tensor, list[Step]]:
    """The loss of one batch and all operations on the way; the model stays as it was."""
    if inputs is None or (labels is None and loss is None):
        raise ArgumentError(
            "to run a model, lint needs inputs, and labels or a loss of the output alone"
        )
    loss_of: Any = loss or getattr(model, "loss", None) or F.cross_entropy
    trace: list[Step] = []

    def note(op: Op, arrays: list[Value], y: Value, kept: Any) -> None:
        recorded = grad_enabled.get()
        trace.append(Step(arrays, y, module_path.get(), Where(), recorded))

    # The buffers of this run are copies: the model's own are never touched.
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    modes = [(module, module.training) for module in model.modules()]
    draws = default_generator.get_state(), np.random.get_state()
    before = observer.set(note)
    try:
        model.train()
        with enable_grad():
            output = functional_call(model, buffers, inputs)
            result = loss_of(output) if labels is None else loss_of(output, labels)
    finally:
        observer.reset(before)
        default_generator.set_state(draws[0])
        np.random.set_state(draws[1])
        for module, mode in modes:
            module.training = mode
    return result, trace


class Graph:
    """The records behind a loss, as the checks want to see them."""

    def __init__(
        self, loss: Tensor, model: Module | None, trace: list[Step] | None
    ) -> None:
        self.loss, self.trace = loss, trace
        named = model.named_parameters() if model is not None else ()
        self.names: dict[Tensor, str] = {p: name for name, p in named}
        self.nodes = nodes_of([loss])
        self.records = [node for node in self.nodes if isinstance(node, Record)]
        self.leaves = {n: None for n in self.nodes if isinstance(n, Tensor)}
        self.uses: dict[Node, list[Record]] = defaultdict(list)
        for record in self.records:
            for parent in record.parents:
                if parent is not None:
                    self.uses[parent].append(record)
        self.notes: list[str] = []

    @cached_property
    def values(self) -> dict[Record, tuple[list[Value], Value]]:
        """The inputs and the result of each record."""
        leaves: dict[Node, Value] = {leaf: leaf._array for leaf in self.leaves}
        with np.errstate(all="ignore"):
            steps = replay(self.nodes, leaves)
            return {record: (inputs, y) for record, _, inputs, y in steps}

    @cached_property
    def flow(self) -> list[Step]:
        """The operations whose results went into the loss, with or without a gradient."""
        wanted, flow = {id(self.loss._array)}, []
        for step in reversed(self.trace or []):
            if id(step.result) in wanted:
                wanted |= {id(x) for x in step.inputs}
                flow.append(step)
        return flow[::-1]

    def of(self, *kinds: type[Op]) -> Iterator[Record]:
        """The records of these operations."""
        return (record for record in self.records if isinstance(record.op, kinds))

    def name_of(self, leaf: Tensor) -> str:
        """The parameter's name, or else its shape."""
        return self.names.get(leaf, f"a parameter of shape {list(leaf.shape)}")


def origin(node: Node | None, *through: type[Op]) -> Node | None:
    """Where a value came from before it was reshaped, moved or cast (or `through`)."""
    while isinstance(node, Record) and (
        (isinstance(node.op, MOVES) and len(node.parents) == 1)
        or (isinstance(node.op, through) and node.parents[1:] in ((), (None,)))
    ):
        node = node.parents[0]
    return node


def kind(node: Node | None) -> str:
    """The name of the operation that a value is the result of; "" for a leaf."""
    return node.name() if isinstance(node, Record) else ""


def listed(names: Sequence[str]) -> str:
    """The names, of many the first six."""
    more = [f"and {len(names) - 6} more"] if len(names) > 6 else []
    return ", ".join([*names[:6], *more])


# ------------------------------------------------------------------- scores and losses


def loss_not_finite(graph: Graph) -> Iterator[Finding]:
    """A loss of inf or NaN, and where the first such value is from."""
    if np.isfinite(graph.loss._array).all():
        return
    for record, (inputs, y) in graph.values.items():
        if not np.isfinite(y).all():
            first = (
                f"The first such result is that of {record.name()}, of finite inputs."
            )
            for i, x in enumerate(inputs):
                if x is not None and not np.isfinite(x).all():
                    bad = record.op.input_name(i)
                    first = f"So is {bad}, an input of {record.name()}."
            yield finding("loss-not-finite", record, first=first)
            return
    yield finding("loss-not-finite", None, first="")


def scores_not_free(graph: Graph) -> Iterator[Finding]:
    """Losses that take scores of any size, given something else."""
    for record in graph.of(LogSoftmax, LogisticLoss):
        before = origin(record.parents[0])
        name, place = kind(before), before if isinstance(before, Record) else record
        if name == "ReLU":
            yield finding("relu-before-cross-entropy", place)
        elif isinstance(record.op, LogSoftmax) and name == "LogSoftmax":
            yield finding("log-softmax-twice", place)
        elif isinstance(record.op, LogSoftmax) and name in ("Softmax", "Sigmoid"):
            classes = record.shape[record.op.axis]
            values = {"name": name.lower(), "classes": classes, "others": classes - 1}
            values["least"] = math.log1p((classes - 1) / math.e)
            yield finding("softmax-before-cross-entropy", place, **values)
        elif name in ("Softmax", "Sigmoid"):
            yield finding("sigmoid-before-logits-loss", place, name=name.lower())


def log_of_softmax(graph: Graph) -> Iterator[Finding]:
    """Right, but not where a probability underflows."""
    for record in graph.of(Log):
        if kind(origin(record.parents[0], Add, Clip)) == "Softmax":
            yield finding("log-of-softmax", record)


def nll_without_log_softmax(graph: Graph) -> Iterator[Finding]:
    """nll_loss takes log-probabilities, whose exponentials sum to 1."""
    for record in graph.of(NLLLoss):
        before = origin(record.parents[0])
        place = before if isinstance(before, Record) else record
        if kind(before) == "Softmax":
            yield finding("softmax-before-nll", place)
        elif not _any_log_behind(before) or _along_other_axis(record.parents[0]):
            with np.errstate(all="ignore"):
                totals = np.exp(graph.values[record][0][0]).sum(axis=1)
            off = np.abs(totals - 1)
            if not (off <= 0.01).all():
                yield finding("nll-of-scores", place, total=totals.flat[off.argmax()])


def _along_other_axis(node: Node | None) -> bool:
    """Whether this is a log-softmax, but not over the classes."""
    op = node.op if isinstance(node, Record) else None
    return isinstance(op, LogSoftmax) and op.axis != 1


def _any_log_behind(node: Node | None) -> bool:
    """Whether log-probabilities may have been made somewhere on the way to this value."""
    stack, seen = [node], set[Node]()
    while stack:
        node = stack.pop()
        if isinstance(node, Record) and node not in seen:
            if isinstance(node.op, LogSoftmax | Log | LogSumExp):
                return True
            seen.add(node)
            stack += node.parents
    return False


# ---------------------------------------------------------------- parameters and layers


def no_gradient(graph: Graph) -> Iterator[Finding]:
    """Parameters that ask for a gradient and get none."""
    fates: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for p, name in graph.names.items():
        if p.requires_grad and p not in graph.leaves:
            fates[_fate(graph, p)].append(name)
    for (place, fate, remedy), names in fates.items():
        values = {"names": listed(names), "fate": fate, "remedy": remedy}
        yield finding("no-gradient", place, **values)


def _fate(graph: Graph, p: Tensor) -> tuple[Record | Step | None, str, str]:
    """Where a parameter was lost on the way to the loss, how, and what to do."""
    use = "Let forward use what is to be trained, and delete the rest."
    if graph.trace is None:
        return None, "not used in forward, or cut off by detach() or no_grad()", use
    marked, path = {id(p._array)}, []
    for step in graph.flow:
        if any(id(x) in marked for x in step.inputs):
            marked.add(id(step.result))
            path.append(step)
    for step in path:
        if not step.recorded:
            fate = "used within no_grad(), where nothing is recorded"
            return step, fate, "Take this line out of no_grad()."
    if path:
        cut = [r for r in graph.records if any(id(c) in marked for c in r.constants)]
        place = cut[0] if cut else path[-1]
        fate = "the graph is cut before this line, as by detach()"
        return place, fate, "Look for detach() or .data before this line."
    for step in graph.trace:
        if any(x is p._array for x in step.inputs):
            fate = "used here, but nothing made of that is seen to reach the loss"
            return step, fate, "Use the result of this line, and not through NumPy."
    return None, "not used in forward", use


def dead_relu(graph: Graph) -> Iterator[Finding]:
    """Units whose output is 0 for the whole batch: no gradient passes them."""
    judged = [r for r in graph.of(ReLU) if len(r.shape) in (2, 4)]
    few = [r.shape[0] for r in judged if r.shape[0] < MIN_IMAGES]
    if few:
        graph.notes.append(
            f"ReLUs were not judged: {few[0]} images are too few to call a unit dead; "
            f"take at least {MIN_IMAGES}."
        )
    for record in judged if not few else ():
        y = graph.values[record][1]
        dead = int((y <= 0).all(axis=(0, *range(2, y.ndim))).sum())
        units, what = y.shape[1], "units" if y.ndim == 2 else "channels"
        if dead > DEAD_SHARE * units:
            share = f"All {units}" if dead == units else f"{dead} of {units}"
            yield finding("dead-relu", record, dead=f"{share} {what}", images=len(y))


def bias_before_batch_norm(graph: Graph) -> Iterator[Finding]:
    """What is added to a whole channel is subtracted again with the channel's mean."""
    pointless: dict[Tensor, list[Record]] = defaultdict(list)
    for record in graph.records:
        bias = _bias_of(record)
        if bias is not None and _only_normalised(graph, record):
            pointless[bias].append(record)
    pointless = {p: r for p, r in pointless.items() if set(_uses(graph, p)) <= set(r)}
    if pointless:
        biases = listed([graph.name_of(p) for p in pointless])
        place = next(iter(pointless.values()))[0]
        yield finding("bias-before-batch-norm", place, biases=biases)


def _bias_of(record: Record) -> Tensor | None:
    """The leaf that this operation adds, one value to each channel (axis 1)."""
    terms = {Conv2d: [2], Conv2dInput: [2], Linear: [2], Add: [0, 1], Sub: [0, 1]}
    ndim = 2 if isinstance(record.op, Convolution) else len(record.shape)
    for i in terms.get(type(record.op), []):
        leaf, shape = origin(record.parents[i]), record.input_shapes[i]
        lengths = (1,) * (ndim - len(shape)) + shape
        if isinstance(leaf, Tensor) and math.prod(lengths) == math.prod(lengths[1:2]):
            return leaf
    return None


def _only_normalised(graph: Graph, record: Record) -> bool:
    return bool(graph.uses[record]) and all(
        (isinstance(use.op, BatchNorm) and use.parents[0] is record)
        or (isinstance(use.op, KEEPS_CHANNELS) and _only_normalised(graph, use))
        for use in graph.uses[record]
    )


def _uses(graph: Graph, node: Node) -> Iterator[Record]:
    """The operations that compute with a value, moved or not."""
    for use in graph.uses[node]:
        if isinstance(use.op, MOVES):
            yield from _uses(graph, use)
        else:
            yield use


def linear_after_linear(graph: Graph) -> Iterator[Finding]:
    """Two dense layers in a row are one, unless the middle is narrow on purpose."""
    for record in graph.of(Linear):
        first = origin(record.parents[0])
        if not (isinstance(first, Record) and isinstance(first.op, Linear)):
            continue
        weights: list[Any] = [first.input_shapes[1], record.input_shapes[1]]
        (hidden, n), (m, width) = weights
        if hidden == width and hidden >= min(n, m) and len(graph.uses[first]) == 1:
            yield finding("linear-after-linear", record, n=n, hidden=hidden, m=m)


def dtype_changed(graph: Graph) -> Iterator[Finding]:
    """float64 or float16 among parameters of another dtype: the first of each."""
    sizes = Counter[Any]()
    for leaf in graph.leaves:
        sizes[leaf.dtype] += leaf.numel()
    usual = sizes.most_common(1)[0][0] if sizes else None
    costs = {
        "float64": "All that follows, forward and back, is computed in float64 too: twice "
        "the memory, half the speed.",
        "float16": "float16 has 11 significant bits and ends at 65504: small gradients "
        "become 0, large ones inf.",
    }
    for dtype, cost in costs.items():
        record = next((r for r in graph.records if r.dtype == dtype), None)
        if record is not None and usual != dtype:
            values = {"usual": usual, "dtype": dtype, "cost": cost}
            values |= {"operation": record.name(), "bringer": _bringer(graph, record)}
            yield finding("dtype-changed", record, **values)


def _bringer(graph: Graph, record: Record) -> str:
    """Which input made this the first result of its dtype."""
    users = graph.uses[record] if isinstance(record.op, Cast) else []
    for r in (record, *users):
        inputs = zip(r.parents, r.input_dtypes, r.input_shapes, strict=True)
        for parent, dtype, shape in inputs:
            if dtype == record.dtype and parent is not record:
                leaf = origin(parent)
                if isinstance(leaf, Tensor):
                    return graph.name_of(leaf)
                return f"a {dtype} tensor of shape {list(shape)}"
    return "a conversion in the code"


CHECKS: tuple[Callable[[Graph], Iterator[Finding]], ...] = (
    loss_not_finite,
    scores_not_free,
    log_of_softmax,
    nll_without_log_softmax,
    no_gradient,
    dead_relu,
    bias_before_batch_norm,
    linear_after_linear,
    dtype_changed,
)


# ---------------------------------------------------------------------- training loops


class watch:
    """Watch a training loop for gradients that are not zeroed between steps.

        with watch(optimizer, model) as findings:
            ...  # the loop
        print(findings)

    The findings are there when the block ends. Reported is a `.grad` that still contains
    the last step's when the next step uses it; several backward passes before one step
    are not. model: names the parameters.
    """

    def __init__(self, optimizer: Optimizer, model: Module | None = None) -> None:
        groups = optimizer.param_groups
        params = [p for group in groups for p in group["params"]]
        given = [name for group in groups for name in group.get("param_names", ())]
        unnamed = [f"parameter {i} {list(p.shape)}" for i, p in enumerate(params)]
        self.names = dict(zip(params, given or unnamed, strict=True))
        named = model.named_parameters() if model is not None else ()
        self.names |= {p: name for name, p in named if p in self.names}
        self.optimizer = optimizer
        self.kept = {p: _Kept() for p in params}
        self.steps, self.stale_steps = 0, 0
        self.findings = Findings()

    def __enter__(self) -> Findings:
        trained = [p for p in self.names if p.requires_grad]
        self.handles = [p.register_hook(partial(self._arrived, p)) for p in trained]
        self.step = self.optimizer.step
        self.before = self.optimizer.__dict__.get("step")
        self.optimizer.__dict__["step"] = self._step
        return self.findings

    def __exit__(self, *error: Any) -> None:
        for handle in self.handles:
            handle.remove()
        del self.optimizer.__dict__["step"]
        if self.before is not None:  # it is watched twice
            self.optimizer.__dict__["step"] = self.before
        name = type(self.optimizer).__name__
        self.findings.looked_at = f"{self.steps} steps of {name}"
        if self.stale_steps:
            counts = {"stale": self.stale_steps, "steps": self.steps}
            values = {"first": self.first, "names": listed(self.stale), **counts}
            self.findings.append(finding("gradients-not-zeroed", self.where, **values))

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        if closure is None:
            self._check()
            result = self.step()
        else:
            result = self.step(partial(self._closed, closure))
        self.steps += 1
        for p in self.kept:
            some = p.grad is not None and p.grad._array.any()
            self.kept[p] = _Kept(p.grad, p.grad._array.copy() if some else None)
        return result

    def _closed(self, closure: Callable[[], Any]) -> Any:
        loss = closure()
        self._check()
        return loss

    def _arrived(self, p: Tensor, g: Tensor) -> None:
        """A gradient is about to be added to `p.grad`."""
        kept, grad = self.kept[p], p.grad
        kept.arrived = g._array + (0 if kept.arrived is None else kept.arrived)
        if grad is None or not grad._array.any():
            kept.added = False
        elif np.array_equal(grad._array, kept.values):
            kept.added = True

    def _check(self) -> None:
        """The optimizer is about to use the gradients."""
        stale = [self.names[p] for p, kept in self.kept.items() if kept.is_in(p.grad)]
        if stale and not self.stale_steps:
            self.first, self.stale, self.where = self.steps + 1, stale, Where()
        self.stale_steps += bool(stale)


@dataclass
class _Kept:
    """A parameter's gradient at the last step, and what has happened to it since."""

    grad: Tensor | None = None
    values: Any = None
    """A copy of the values of `grad`; None where they are all 0."""
    arrived: Any = None
    """The sum of the gradients that have arrived."""
    added: bool = False
    """Whether these were added to the old values."""

    def is_in(self, grad: Tensor | None) -> bool:
        """Whether the gradient at the next step still contains that of the last."""
        if grad is None or grad is not self.grad:
            return False
        if self.arrived is None:
            return np.array_equal(grad._array, self.values)
        # What arrived alone, if it was written anew; not always the sum of both, since it
        # may have been clipped.
        return self.added and not np.array_equal(grad._array, self.arrived)
