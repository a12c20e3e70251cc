"""PyTorch's own samples of its operations, run there and here.

`torch.testing._internal` has, for each operation, inputs that its authors found worth
trying. An operation of theirs that exists here takes each of them as a function, a method
and in place, and must give what PyTorch gives: values, dtype, memory shared or not, first
and second gradients, whether these ask for gradients; or refuse.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from pytorch import torch

import tinygrad_cnn
from tinygrad_cnn import Tensor
from tinygrad_cnn.errors import TinygradError

pytest.importorskip("expecttest", reason="PyTorch's samples need expecttest")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal import common_methods_invocations, common_utils
    from torch.testing._internal.opinfo import core

# They look in the whole stack for a unittest.TestCase, of which there is none here.
common_utils.extract_test_fn = core.extract_test_fn = lambda: None

DTYPES = torch.float64, torch.float32, torch.int64, torch.bool
FORMS = "function", "method", "in place"
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 1e-2}
RANDOM = (
    *("rand_like", "randn", "randn_like", "randint", "empty", "empty_like", "rrelu"),
    *("dropout", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
    *("bernoulli", "multinomial", "normal", "randint_like", "new_empty"),
)
"""What draws, or leaves values unwritten: compared in shape and dtype alone."""


class Found(NamedTuple):
    """What came of one sample: equal, differs, refused or unknown; and why."""

    outcome: str
    why: str = ""


class NotHere(Exception):
    """A sample asks for what there is nothing of here, such as a memory format."""


@cache  # since what is not here is looked for among all names, to be told
def find(name: str) -> Any:
    """What is called so here; None if nothing is."""
    found: Any = tinygrad_cnn
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def operations() -> list[Any]:
    """The entries of PyTorch's list of operations that exist here."""
    return [
        entry
        for entry in common_methods_invocations.op_db
        if find(entry.name) is not None or hasattr(Tensor, entry.name)
        if entry.name != "zero_"  # of which the list has a form that copies
    ]


def samples_of(
    entry: Any, dtype: Any
) -> Iterator[tuple[Any, list[Any], dict[str, Any]]]:
    """Inputs that the operation takes: the first, the further arguments, by name."""
    if dtype not in entry.dtypes:
        return
    torch.manual_seed(0)
    asks = dtype.is_floating_point and entry.supports_autograd
    for sample in entry.sample_inputs("cpu", dtype, requires_grad=asks):
        yield sample.input, list(sample.args), dict(sample.kwargs)


def _second_first(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda first, second, *more, **named: function(second, first, *more, **named)


def forms_of(entry: Any) -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """PyTorch's and ours, as a function, a method and in place, where there are both."""
    name = entry.name.rpartition(".")[2]
    theirs = {
        "function": entry.op,
        "method": entry.method_variant,
        "in place": entry.inplace_variant,
    }
    function, method = find(entry.name), getattr(Tensor, name, None)
    if name == "where":  # whose samples begin with what is chosen
        function = method = lambda x, condition, y: tinygrad_cnn.where(condition, x, y)
    if name == "embedding":  # whose samples begin with the weight
        function = _second_first(function)
    if name == "einsum":  # and here with the Tensors
        function = lambda tensors, equation: tinygrad_cnn.einsum(equation, *tensors)
    if isinstance(method, property):
        method = method.fget
    ours = {
        "function": method if isinstance(function, type(None) | np.dtype) else function,
        "method": method,
        "in place": getattr(Tensor, f"{name}_", None),
    }
    return {
        form: (theirs[form], ours[form])
        for form in FORMS
        if callable(theirs[form]) and callable(ours[form])
    }


# ------------------------------------------------------------------ from theirs to ours


def translate(value: Any, known: dict[int, Tensor]) -> Any:
    """The same value here; one Tensor of theirs is one of ours, in the same layout."""
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.is_complex() or value.is_quantized:
            raise NotHere(f"{value.layout} {value.dtype}")
        if value.ndim > 64:
            raise NotHere("more axes than NumPy has")
        if id(value) not in known:
            array = np.array(value.numpy(force=True), order="K", copy=True)
            known[id(value)] = Tensor._wrap(array)
            if not value.is_contiguous():  # a view, which does not lie together
                doubled = Tensor._wrap(np.stack([array, array], -1))
                known[id(value)] = doubled[..., 0]
            known[id(value)].requires_grad_(value.requires_grad)
        return known[id(value)]
    if isinstance(value, torch.dtype):
        name = str(value).removeprefix("torch.")
        if not hasattr(tinygrad_cnn, name):
            raise NotHere(name)
        return getattr(tinygrad_cnn, name)
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, tuple | list):
        return type(value)([translate(v, known) for v in value])
    if isinstance(value, dict):
        return {k: translate(v, known) for k, v in value.items()}
    if isinstance(value, torch.device):
        return "cpu"
    if isinstance(value, torch.memory_format | torch.layout | torch.Generator):
        raise NotHere(str(value))
    return value


def tensors_in(value: Any, kind: type) -> list[Any]:
    """The Tensors in nested tuples, lists and dicts, in order."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [t for v in value for t in tensors_in(v, kind)]
    return []


# -------------------------------------------------------------------------- comparison


def compare(
    entry: Any, form: str, sample: tuple[Any, list[Any], dict[str, Any]]
) -> Found:
    """Run one sample in one form in both."""
    theirs, ours = forms_of(entry)[form]
    try:
        known: dict[int, Tensor] = {}
        x, arguments, options = [translate(part, known) for part in sample]
    except NotHere as reason:
        return Found("unknown", str(reason))
    first, more, named = sample
    if form == "in place":
        first, x = first.detach().clone(), Tensor._wrap(x._array.copy(order="K"))
    if form != "function" and not isinstance(first, torch.Tensor):
        return Found("unknown", "no method of a number")
    expected, error = run_quietly(theirs, [first, *more], named)
    found, refusal = run_quietly(ours, [x, *arguments], options)
    if refusal is not None:
        found = refused(refusal)
        return Found("equal") if error and found.outcome == "refused" else found
    if error is not None:
        return Found("differs", f"PyTorch refuses: {type(error).__name__}: {error}")
    inputs = [first, *tensors_in([more, named], torch.Tensor)]
    inputs = tensors_in(inputs, torch.Tensor)
    pairs = [(t, known[id(t)]) for t in inputs if id(t) in known]
    if form == "in place":
        pairs = [(first, x), *pairs]
    random = entry.name.rpartition(".")[2] in RANDOM
    why = difference(expected, found, pairs, random)
    return Found("differs", why) if why else Found("equal")


def refused(error: Exception) -> Found:
    """What to make of an error: one of this package's is a refusal."""
    if isinstance(error, TinygradError):
        return Found("refused", str(error))
    unknown = isinstance(error, TypeError) and "argument" in str(error)
    return Found(
        "unknown" if unknown else "differs", f"{type(error).__name__}: {error}"
    )


def errors_of(entry: Any) -> Iterator[Any]:
    """What PyTorch says that the operation refuses, as samples."""
    if entry.error_inputs_func is not None and not entry.name.startswith("__"):
        for found in entry.error_inputs("cpu"):
            yield found.sample_input


def compare_error(entry: Any, sample: Any) -> Found:
    """Whether what PyTorch refuses is refused here, by an error of this package."""
    theirs, ours = forms_of(entry).get("function", (None, None))
    parts = sample.input, list(sample.args), dict(sample.kwargs)
    try:
        x, arguments, options = [translate(part, {}) for part in parts]
    except NotHere as reason:
        return Found("unknown", str(reason))
    if ours is None:
        return Found("unknown", "no function")
    _, error = run_quietly(theirs, [parts[0], *parts[1]], parts[2])
    found, refusal = run_quietly(ours, [x, *arguments], options)
    return judge_refusal(error, found, refusal)


def judge_refusal(
    error: Exception | None, found: Any, refusal: Exception | None
) -> Found:
    """What to make of a sample that PyTorch should have refused."""
    if error is None:
        return Found("unknown", "PyTorch takes it")
    if refusal is None:
        what = [t.shape for t in tensors_in(found, Tensor)]
        return Found("differs", f"taken, giving {what}; PyTorch: {error}")
    judged = refused(refusal)
    return Found("equal") if judged.outcome == "refused" else judged


def run_quietly(
    function: Callable[..., Any], arguments: Sequence[Any], options: dict[str, Any]
) -> tuple[Any, Exception | None]:
    """What function(*arguments, **options) gives, or the error that it raises."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return function(*arguments, **options), None
        except Exception as error:
            return None, error


def difference(
    expected: Any, found: Any, pairs: list[tuple[Any, Tensor]], random: bool = False
) -> str:
    """In what the results differ, or what follows from them; nothing if in nothing.

    pairs: each Tensor that they came from, there and here.
    """
    results, others = tensors_in(expected, torch.Tensor), tensors_in(found, Tensor)
    if len(results) != len(others):
        return f"{len(others)} results, PyTorch {len(results)}"
    if not results and expected != found and expected == expected:
        return f"{found!r}, PyTorch {expected!r}"
    for a, b in zip(results, others, strict=True):
        why = _unlike(a, b, values=not random)
        if why:
            return why
        for s, t in pairs:
            shared = _share(a, s), np.shares_memory(b._array, t._array)
            if shared[0] != shared[1] and a.numel():
                return f"shares memory with an input: {shared[1]}, PyTorch {shared[0]}"
    return "" if random else _gradient_difference(results, others, pairs)


def _share(a: Any, b: Any) -> bool:
    return bool(a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr())


def _unlike(a: Any, b: Tensor, values: bool = True) -> str:
    """What differs between a Tensor of PyTorch's and one of ours."""
    facts = [
        (
            str(b.dtype).removeprefix("torch."),
            str(a.dtype).removeprefix("torch."),
            "dtype",
        ),
        (tuple(b.shape), tuple(a.shape), "shape"),
        (b.requires_grad, a.requires_grad, "requires_grad"),
    ]
    for ours, theirs, what in facts:
        if ours != theirs:
            return f"{what} {ours}, PyTorch {theirs}"
    if not values:
        return ""
    x, y = b._array, a.numpy(force=True)
    room = TOLERANCE.get(a.dtype, 0)
    if not np.allclose(x, y, room, room, equal_nan=True):
        bad = np.argwhere(~np.isclose(x, y, room, room, equal_nan=True))[0]
        at = tuple(map(int, bad))
        return f"value {x[at]} at {at}, PyTorch {y[at]}"
    return ""


def _gradient_difference(
    results: list[Any], others: list[Tensor], pairs: list[tuple[Any, Tensor]]
) -> str:
    """Of the first and second gradients of random sums of the results."""
    able = [(a, b) for a, b in zip(results, others, strict=True) if a.requires_grad]
    leaves = [(s, t) for s, t in dict.fromkeys(pairs) if s.requires_grad and s.is_leaf]
    if not able or not leaves or able[0][0].dtype != torch.float64:
        return ""
    rng = np.random.default_rng(0)
    for order in ("first", "second"):
        weights = [rng.uniform(0.5, 1.5, tuple(a.shape)) for a, _ in able]
        theirs, error = _differentiate(torch, [a for a, _ in able], leaves, 0, weights)
        ours, refusal = _differentiate(
            tinygrad_cnn, [b for _, b in able], leaves, 1, weights
        )
        if isinstance(refusal, TinygradError) or error is not None:
            return ""  # refused, or a derivative that PyTorch has not
        if refusal is not None:
            return f"{order} gradient: {type(refusal).__name__}: {refusal}"
        for g, d in zip(theirs, ours, strict=True):
            if (g is None) != (d is None):
                return f"{order} gradient is None: {d is None}, PyTorch {g is None}"
            if g is None:
                continue
            # whether a second gradient asks for a third is not looked at
            asks = d.requires_grad if order == "second" else g.requires_grad
            why = _unlike(g.detach().requires_grad_(asks), d)
            if why:
                return f"{order} gradient: {why}"
        able = [
            (g, d)
            for g, d in zip(theirs, ours, strict=True)
            if g is not None and g.requires_grad
        ]
        if not able:
            return ""
    return ""


def _differentiate(
    library: Any, results: list[Any], leaves: list[Any], side: int, weights: list[Any]
) -> tuple[Any, Exception | None]:
    def gradients() -> Any:
        return library.autograd.grad(
            results,
            [pair[side] for pair in leaves],
            [library.tensor(w) for w in weights],
            create_graph=True,
            allow_unused=True,
        )

    return run_quietly(gradients, [], {})
