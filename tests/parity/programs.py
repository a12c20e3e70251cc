"""Random programs, run step by step by PyTorch and here.

A program is a list of steps, each a name of STEPS and some numbers in [0, 1) that choose
its operands, so that a step can be left out and the rest still runs. After each step every
value so far must be what it is in PyTorch: a view that is a copy shows as a base that did
not change, a copy that is a view as one that did. At the end the gradients of all leaves
must be equal. A step that PyTorch refuses is left out; where we refuse, with an error of
ours, the program ends, and that is no difference. There is no `.data`: what is changed by
it PyTorch does not notice, and takes for what was computed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from pytorch import torch

import tinygrad_cnn
from tinygrad_cnn.errors import TinygradError

Step = tuple[str, tuple[float, ...]]
PICKS = 3
LARGEST = 40_000
"""Values of more entries are not made, to keep a program quick."""


class Outcome(NamedTuple):
    """What came of a program: nothing to tell, a difference, or what was refused."""

    difference: str = ""
    refused: str = ""


def pick(pool: list[Any], number: float) -> Any:
    """One of the values so far, the latest ones more often."""
    return pool[int(number**0.5 * len(pool))]


# ------------------------------------------------------------------------------ steps

Take = Callable[[Any, Any, Any, tuple[float, ...]], Any]

MAKE: dict[str, Take] = {
    "conv2d": lambda lib, a, b, p: lib.nn.functional.conv2d(
        a, weight_for(lib, a), padding=1
    ),
    "max_pool2d": lambda lib, a, b, p: lib.nn.functional.max_pool2d(
        a, 2, 1 + int(2 * p[2])
    ),
    "avg_pool2d": lambda lib, a, b, p: lib.nn.functional.avg_pool2d(a, 2),
    "adaptive_avg_pool2d": lambda lib, a, b, p: lib.nn.functional.adaptive_avg_pool2d(
        a, a.shape[-2:] if p[2] < 0.5 else 1
    ),
    "batch_norm": lambda lib, a, b, p: lib.nn.functional.batch_norm(
        a, None, None, training=True
    ),
    "pad": lambda lib, a, b, p: lib.nn.functional.pad(
        a, (0, int(2 * p[2])), mode="constant"
    ),
    "relu": lambda lib, a, b, p: lib.relu(a),
    "leaky_relu": lambda lib, a, b, p: lib.nn.functional.leaky_relu(a, 0.1),
    "dropout of none": lambda lib, a, b, p: lib.nn.functional.dropout(a, 0.0),
    "softmax": lambda lib, a, b, p: lib.softmax(a, -1),
    "tanh": lambda lib, a, b, p: lib.tanh(a),
    "add": lambda lib, a, b, p: a + b,
    "mul": lambda lib, a, b, p: a * b,
    "sub number": lambda lib, a, b, p: a - 0.5,
    "where": lambda lib, a, b, p: lib.where(a > 0, a, b),
    "maximum": lambda lib, a, b, p: lib.maximum(a, b),
    "clone": lambda lib, a, b, p: a.clone(),
    "sum": lambda lib, a, b, p: a.sum(int(p[2] * a.ndim)),
    "mean": lambda lib, a, b, p: a.mean(-1, keepdim=True),
    "amax": lambda lib, a, b, p: a.amax(-1),
    "cat": lambda lib, a, b, p: lib.cat([a, b]),
    "stack": lambda lib, a, b, p: lib.stack([a, b], -1),
    "flip": lambda lib, a, b, p: a.flip([0] if p[2] < 0.5 else []),
    "gathered": lambda lib, a, b, p: a[[0, 0, -1]],
    "masked": lambda lib, a, b, p: a[a > 0],
    "matmul": lambda lib, a, b, p: a @ a.transpose(-1, -2),
    "repeat": lambda lib, a, b, p: a.repeat(*[1] * (a.ndim - 1), 2),
}
VIEW: dict[str, Take] = {
    "view flat": lambda lib, a, b, p: a.view(-1),
    "view rows": lambda lib, a, b, p: a.view(a.shape[0], -1),
    "reshape": lambda lib, a, b, p: a.reshape(a.shape[0], -1),
    "flatten": lambda lib, a, b, p: a.flatten(int(2 * p[2])),
    "ravel": lambda lib, a, b, p: a.ravel(),
    "contiguous": lambda lib, a, b, p: a.contiguous(),
    "transpose": lambda lib, a, b, p: a.transpose(0, -1),
    "permute": lambda lib, a, b, p: a.permute(*range(a.ndim)[::-1]),
    "first": lambda lib, a, b, p: a[0],
    "slice": lambda lib, a, b, p: a[:, : 1 + int(2 * p[2])],
    "strided": lambda lib, a, b, p: a[..., ::2],
    "narrow": lambda lib, a, b, p: a.narrow(0, 0, 1),
    "unsqueeze": lambda lib, a, b, p: a.unsqueeze(int(p[2] * a.ndim)),
    "squeeze": lambda lib, a, b, p: a.squeeze(),
    "expand": lambda lib, a, b, p: a.expand(2, *a.shape),
    "chunk": lambda lib, a, b, p: a.chunk(2)[int(2 * p[2])],
    "unbind": lambda lib, a, b, p: a.unbind()[-1],
    "detach": lambda lib, a, b, p: a.detach(),
}
CHANGE: dict[str, Take] = {
    "add_": lambda lib, a, b, p: a.add_(0.5),
    "add_ b": lambda lib, a, b, p: a.add_(b),
    "mul_": lambda lib, a, b, p: a.mul_(1.5),
    "mul_ b": lambda lib, a, b, p: a.mul_(b),
    "sub_": lambda lib, a, b, p: a.sub_(b),
    "div_": lambda lib, a, b, p: a.div_(2),
    "relu_": lambda lib, a, b, p: a.relu_(),
    "F.relu inplace": lambda lib, a, b, p: lib.nn.functional.relu(a, inplace=True),
    "clamp_": lambda lib, a, b, p: a.clamp_(-0.5, 0.5),
    "zero_": lambda lib, a, b, p: a.zero_(),
    "fill_": lambda lib, a, b, p: a.fill_(0.25),
    "copy_": lambda lib, a, b, p: a.copy_(b),
    "set first": lambda lib, a, b, p: a.__setitem__(0, 0.5),
    "set last": lambda lib, a, b, p: a.__setitem__((..., -1), b[..., 0]),
    "set mask": lambda lib, a, b, p: a.__setitem__(a > 0, 0.1),
}
STEPS = MAKE | VIEW | CHANGE


def weight_for(lib: Any, a: Any) -> Any:
    """A kernel that fits, the same in both libraries, and no leaf."""
    channels = a.shape[1]
    values = np.random.default_rng(channels).standard_normal((2, channels, 3, 3))
    return lib.tensor(values / 3)


# ----------------------------------------------------------------------------- programs


def draw(seed: int, longest: int = 12) -> tuple[int, list[Step]]:
    """The size of the batch, and the steps."""
    rng = np.random.default_rng(seed)
    batch = int(rng.choice([1, 2, 3, 8, 64], p=[0.15, 0.35, 0.2, 0.15, 0.15]))
    kinds = rng.choice(3, size=rng.integers(2, longest + 1), p=[0.4, 0.3, 0.3])
    names = [list(kind) for kind in (MAKE, VIEW, CHANGE)]
    steps = []
    for kind in kinds:
        name = names[kind][rng.integers(len(names[kind]))]
        steps.append((name, tuple(rng.random(PICKS).tolist())))
    return batch, steps


def leaves(lib: Any, batch: int) -> list[Any]:
    """Images and a matrix that ask for gradients, and images that do not."""
    rng = np.random.default_rng(batch)
    images = rng.standard_normal((batch, 2, 4, 4))
    matrix, others = rng.standard_normal((4, 4)), rng.standard_normal((batch, 2, 4, 4))
    given = [(images, True), (matrix, True), (others, False)]
    return [lib.tensor(x, requires_grad=asked) for x, asked in given]


def run(batch: int, steps: list[Step]) -> Outcome:
    """The program in both, step by step."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        theirs, ours = leaves(torch, batch), leaves(tinygrad_cnn, batch)
        starts = theirs[:], ours[:]
        for number, step in enumerate(steps):
            where = f"step {number}, {step[0]}"
            a, b = (pick(theirs, number) for number in step[1][:2])
            overlap = a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
            if a.numel() > LARGEST or (step[0] in CHANGE and overlap and a is not b):
                continue  # PyTorch reads b while it is being written to
            expected, error = _take(torch, theirs, step)
            if error is not None:
                continue  # it may have changed nothing, which is seen at the next step
            found, refusal = _take(tinygrad_cnn, ours, step)
            if isinstance(refusal, TinygradError):
                return Outcome(refused=f"{step[0]}: {str(refusal).splitlines()[0]}")
            if refusal is not None:
                return Outcome(f"{where}: {type(refusal).__name__}: {refusal}")
            if step[0] not in CHANGE:
                theirs.append(expected)
                ours.append(found)
            for k, (a, b) in enumerate(zip(theirs, ours, strict=True)):
                why = _unlike(a, b)
                if why:
                    return Outcome(f"{where}: value {k} {why}")
        return _gradients(theirs, ours, starts)


def _take(lib: Any, pool: list[Any], step: Step) -> tuple[Any, Exception | None]:
    name, picks = step
    try:
        return STEPS[name](lib, pick(pool, picks[0]), pick(pool, picks[1]), picks), None
    except Exception as error:
        return None, error


def _unlike(a: Any, b: Any) -> str:
    if tuple(a.shape) != b.shape:
        return f"has shape {b.shape}, PyTorch {tuple(a.shape)}"
    if a.requires_grad != b.requires_grad:
        return f"has requires_grad {b.requires_grad}, PyTorch {a.requires_grad}"
    if not np.allclose(b._array, a.detach().numpy(), 1e-9, 1e-9, equal_nan=True):
        return "has other values"
    return ""


def _gradients(
    theirs: list[Any], ours: list[Any], starts: tuple[list[Any], list[Any]]
) -> Outcome:
    """Back from the sum of all values, each times a weight of its own."""
    expected, error = _back(torch, theirs, starts[0])
    found, refusal = _back(tinygrad_cnn, ours, starts[1])
    if isinstance(refusal, TinygradError):
        return Outcome(refused=f"backward: {str(refusal).splitlines()[0][:60]}")
    if refusal is not None:
        return Outcome(f"backward: {type(refusal).__name__}: {refusal}")
    if error is not None:
        return Outcome()  # it kept a value that was changed, where ours keeps another
    for k, (g, d) in enumerate(zip(expected, found, strict=True)):
        if (g is None) != (d is None):
            return Outcome(f"gradient {k} is None: {d is None}, PyTorch {g is None}")
        if g is not None and not np.allclose(d._array, g.numpy(), 1e-8, 1e-8, True):
            return Outcome(f"gradient {k} has other values")
    return Outcome()


def _back(lib: Any, pool: list[Any], asked: list[Any]) -> tuple[Any, Exception | None]:
    rng = np.random.default_rng(0)
    try:
        total = None
        for value in pool:
            weight = lib.tensor(rng.uniform(0.5, 1.5, tuple(value.shape)))
            if value.requires_grad:
                part = (value * weight).sum()
                total = part if total is None else total + part
        if total is not None:
            total.backward()
        return [x.grad for x in asked], None
    except Exception as error:
        return None, error


def shrink(batch: int, steps: list[Step]) -> tuple[int, list[Step], str]:
    """A shorter program, on fewer images, that still differs, and in what."""
    why = run(batch, steps).difference
    tried = True
    while tried:
        tried = False
        smaller = [(b, steps) for b in (1, 2, 3) if b < batch]
        smaller += [(batch, steps[:i] + steps[i + 1 :]) for i in range(len(steps))]
        for b, shorter in smaller:
            if found := run(b, shorter).difference:
                batch, steps, why, tried = b, shorter, found, True
                break
    return batch, steps, why
