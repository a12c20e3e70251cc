"""What cannot be done is refused where PyTorch refuses it, as an error of the same kind."""

import contextlib
import operator

import numpy as np
import pytest
from agreement import both, draw, library, refuses_as_torch, same
from each import for_each

import tinygrad_cnn
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError, TinygradError


def _at(x, place):
    return library(x).tensor([place])


REFUSED = {
    "add shapes": lambda x: x + library(x).ones(5),
    "mul shapes": lambda x: x * library(x).ones(2),
    "sub shapes": lambda x: x - library(x).ones(3, 3),
    "div shapes": lambda x: x / library(x).ones(2, 2),
    "pow shapes": lambda x: x ** library(x).ones(4),
    "remainder shapes": lambda x: x % library(x).ones(4),
    "floor shapes": lambda x: x // library(x).ones(4),
    "compare shapes": lambda x: x > library(x).ones(4),
    "equal shapes": lambda x: x == library(x).ones(4),
    "and shapes": lambda x: (x > 0) & (library(x).ones(4) > 0),
    "or shapes": lambda x: (x > 0) | (library(x).ones(4) > 0),
    "maximum shapes": lambda x: x.maximum(library(x).ones(4)),
    "where shapes": lambda x: library(x).where(x > 0, x, library(x).ones(4)),
    "masked_fill shapes": lambda x: x.masked_fill(library(x).ones(4) > 0, 0.0),
    "matmul shapes": lambda x: x @ library(x).ones(2, 3),
    "matmul vector": lambda x: x @ library(x).ones(2),
    "matmul 0-d": lambda x: x @ library(x).tensor(2.0),
    "matmul batches": lambda x: library(x).ones(2, 1, 1) @ library(x).ones(3, 1, 1),
    "matmul number": lambda x: x @ 2.0,
    "mm of vectors": lambda x: x[0].mm(x[0]),
    "mm of batches": lambda x: x[None].mm(x[None]),
    "bmm of matrices": lambda x: x.bmm(x.T),
    "dot of matrices": lambda x: x.dot(x),
    "dot lengths": lambda x: x[0].dot(x[:, 0]),
    "add list": lambda x: operator.add(x, [1.0, 2.0, 3.0]),
    "add string": lambda x: x + "a",
    "add none": lambda x: x + None,
    "maximum number": lambda x: x.maximum(1.0),
    "reshape": lambda x: x.reshape(4),
    "reshape -1": lambda x: x.reshape(4, -1),
    "reshape -1 -1": lambda x: x.reshape(-1, -1),
    "reshape -2": lambda x: x.reshape(-2, 3),
    "reshape 0": lambda x: x.reshape(0, -1),
    "view": lambda x: x.view(5),
    "flatten order": lambda x: x.flatten(1, 0),
    "flatten no axis": lambda x: x.flatten(2),
    "permute few": lambda x: x.permute(0),
    "permute twice": lambda x: x.permute(0, 0),
    "permute no axis": lambda x: x.permute(0, 2),
    "transpose no axis": lambda x: x.transpose(0, 2),
    "t of 3 axes": lambda x: x[None].t(),
    "mT of a vector": lambda x: x[0].mT,
    "expand": lambda x: x.expand(4, 3),
    "expand fewer": lambda x: x.expand(3),
    "expand -1 in front": lambda x: x.expand(-1, 2, 3),
    "repeat fewer": lambda x: x.repeat(2),
    "repeat negative": lambda x: x.repeat(-1, 1),
    "squeeze no axis": lambda x: x.squeeze(2),
    "unsqueeze no axis": lambda x: x.unsqueeze(4),
    "flip no axis": lambda x: x.flip(2),
    "flip twice": lambda x: x.flip(0, 0),
    "split sizes": lambda x: x.split([1, 5], 1),
    "split 0": lambda x: x.split(0),
    "split negative": lambda x: x.split(-1),
    "split no axis": lambda x: x.split(1, 2),
    "chunk 0": lambda x: x.chunk(0),
    "unbind 0-d": lambda x: x.sum().unbind(),
    "unbind no axis": lambda x: x.unbind(2),
    "size no axis": lambda x: x.size(2),
    "cat nothing": lambda x: library(x).cat([]),
    "cat a tensor": lambda x: library(x).cat(x[0]),
    "cat shapes": lambda x: library(x).cat([x, x[:, :1]]),
    "cat axes": lambda x: library(x).cat([x, x[0][None, None]]),
    "cat 0-d": lambda x: library(x).cat([x.sum(), x.sum()]),
    "cat no axis": lambda x: library(x).cat([x, x], 2),
    "cat arrays": lambda x: library(x).cat([np.ones(2), np.ones(2)]),
    "stack nothing": lambda x: library(x).stack([]),
    "stack shapes": lambda x: library(x).stack([x, x[0]]),
    "stack no axis": lambda x: library(x).stack([x, x], 3),
    "narrow 0-d": lambda x: x.sum().narrow(0, 0, 1),
    "select": lambda x: x.select(0, 2),
    "movedim": lambda x: x.movedim((0, 1), (0,)),
    "roll": lambda x: x.roll((1, 2), 0),
    "tile negative": lambda x: x.tile(-1),
    "repeat_interleave negative": lambda x: x.repeat_interleave(-1),
    "unflatten": lambda x: x.unflatten(1, (2, -1)),
    "unfold": lambda x: x.unfold(0, 3, 1),
    "hsplit": lambda x: x.hsplit(2),
    "meshgrid": lambda x: library(x).meshgrid(x[0], x),
    "block_diag": lambda x: library(x).block_diag(x[None]),
    "broadcast": lambda x: library(x).broadcast_tensors(x, x.T),
    "diagonal of a vector": lambda x: x[0].diagonal(),
    "tril of a vector": lambda x: x[0].tril(),
    "outer": lambda x: library(x).outer(x, x[0]),
    "tensordot": lambda x: library(x).tensordot(x, x, 1),
    "addmm": lambda x: x.addmm(x, x.T),
    "matrix_power": lambda x: x.matrix_power(2),
    "sort no axis": lambda x: x.sort(2),
    "kthvalue": lambda x: x.kthvalue(4),
    "histc of nothing": lambda x: x.histc(0),
    "bincount of negatives": lambda x: (x[0] * 0).long().sub(1).bincount(),
    "index_select floats": lambda x: x.index_select(0, x[0]),
    "index_add lengths": lambda x: x.index_add(0, _at(x, 0), x),
    "index_put beyond": lambda x: x.index_put((_at(x, 4),), x[0, 0]),
    "scatter beyond": lambda x: x[0].scatter(0, _at(x, 5), 1.0),
    "scatter dtypes": lambda x: x[0].scatter(0, _at(x, 1), _at(x, 1)),
    "scatter_reduce": lambda x: x[0].scatter_reduce(0, _at(x, 1), x[0], "median"),
    "take beyond": lambda x: x.take(_at(x, 6)),
    "masked_select floats": lambda x: x.masked_select(x),
    "masked_scatter few": lambda x: x.masked_scatter(x == x, x[0]),
    "sum no axis": lambda x: x.sum(2),
    "sum negative no axis": lambda x: x.sum(-3),
    "sum twice": lambda x: x.sum((0, 0)),
    "sum twice negative": lambda x: x.sum((0, -2)),
    "mean no axis": lambda x: x.mean(2),
    "var twice": lambda x: x.var((1, 1)),
    "amax no axis": lambda x: x.amax(5),
    "max no axis": lambda x: x.max(2),
    "max of two axes": lambda x: x.max((0, 1)),
    "argmax no axis": lambda x: x.argmax(2),
    "argmin no axis": lambda x: x.argmin(-3),
    "all no axis": lambda x: x.all(2),
    "any no axis": lambda x: x.any(2),
    "softmax no axis": lambda x: x.softmax(2),
    "log_softmax no axis": lambda x: x.log_softmax(2),
    "logsumexp no axis": lambda x: x.logsumexp(2),
    "0-d sum(1)": lambda x: x.sum().sum(1),
    "axis 0.5": lambda x: x.sum(0.5),
    "axis 'a'": lambda x: x.sum("a"),
    "max of nothing": lambda x: x[:0].max(),
    "max along nothing": lambda x: x[:0].max(0),
    "amax along nothing": lambda x: x[:0].amax(0),
    "argmax of nothing": lambda x: x[:0].argmax(),
    "argmax along nothing": lambda x: x[:0].argmax(0),
    "mean of integers": lambda x: x.long().mean(),
    "var of integers": lambda x: x.long().var(),
    "std of integers": lambda x: x.long().std(0),
    "softmax of integers": lambda x: x.long().softmax(0),
    "log_softmax of integers": lambda x: x.long().log_softmax(0),
    "minus bools": lambda x: -(x > 0),
    "bool - bool": lambda x: (x > 0) - (x > 0),
    "bool ** bool": lambda x: (x > 0) ** (x > 0),
    "bool @ bool": lambda x: (x > 0) @ (x > 0).T,
    "float & float": lambda x: x & x,
    "float | int": lambda x: x | 1,
    "~ float": lambda x: ~x,
    "integer // 0": lambda x: x.long() // 0,
    "integer % 0": lambda x: x.long() % 0,
    "integer ** -1": lambda x: x.long() ** -1,
    "div rounded up": lambda x: x.div(2, rounding_mode="ceil"),
    "div by integer 0": lambda x: x.long().div(0, rounding_mode="trunc"),
    "div of bools": lambda x: (x > 0).div(x > 0, rounding_mode="floor"),
    "relu of bools": lambda x: (x > 0).relu(),
    "lerp of integers": lambda x: x.long().lerp(x.long(), 0.5),
    "atan2 number": lambda x: x.atan2(1.0),
    "logical_and number": lambda x: x.logical_and(1.0),
    "isclose dtypes": lambda x: x.isclose(x.long()),
    "heaviside dtypes": lambda x: x.heaviside(x.long()),
    "norm of integers": lambda x: x.long().norm(),
    "norm p": lambda x: x.norm("max"),
    "matrix_norm of a vector": lambda x: library(x).linalg.matrix_norm(x[0]),
    "vector_norm ord": lambda x: library(x).linalg.vector_norm(x, "fro"),
    "norm of three axes": lambda x: library(x).linalg.norm(x[None], 1),
    "quantile share": lambda x: x.quantile(1.5),
    "quantile interpolation": lambda x: x.quantile(0.5, interpolation="cubic"),
    "quantile of nothing": lambda x: x[:0].quantile(0.5),
    "cumsum no axis": lambda x: x.cumsum(2),
    "prod no axis": lambda x: x.prod(2),
    "in place float to integer": lambda x: x.long().sin_(),
    "clamp by a tensor and a number": lambda x: x.clamp(x, 0.5),
    "clamp nothing": lambda x: x.clamp(),
    "clamp string": lambda x: x.clamp("a"),
    "where integers": lambda x: library(x).where(x.long(), x, x),
    "masked_fill integers": lambda x: x.masked_fill(x.long(), 0.0),
    "masked_fill a vector": lambda x: x.masked_fill(x > 0, library(x).ones(3)),
}


# Where PyTorch is of two minds, or gets to another check first.
OF_ANOTHER_KIND = {
    "matmul number": ArgumentError,
    "cat nothing": DTypeError,
    "cat a tensor": ShapeError,
    "max along nothing": ShapeError,
    "amax along nothing": ShapeError,
    "argmax of nothing": ShapeError,
    "argmax along nothing": ShapeError,
}


@for_each("name", REFUSED)
def test_a_call_that_pytorch_refuses_is_refused_alike(name):
    kind = OF_ANOTHER_KIND.get(name)
    message = refuses_as_torch(REFUSED[name], draw(2, 3), kind=kind)
    assert len(message) > 15


@for_each("dtype", [np.uint8, np.int32, np.int64])
@for_each("number", [300, -1, 2**40, 2**70])
def test_a_python_integer_beyond_the_dtype_wraps_as_in_pytorch_or_is_refused(
    number, dtype
):
    operations = (
        lambda x: x + number,
        lambda x: number - x,
        lambda x: x.clone().add_(number),
        lambda x: x.clone().fill_(number),
        lambda x: x.maximum(library(x).tensor([number])),
        lambda x: x.clamp(max=number),
    )
    for operate in operations:
        x, z = both(np.array([1, 2], dtype))
        try:
            expected = operate(z)
        except (RuntimeError, OverflowError, ValueError):
            continue
        with contextlib.suppress(TinygradError):
            same(operate(x), expected)


def test_an_order_with_none_or_text_is_a_type_error():
    for other in (None, "a"):
        with pytest.raises(TypeError):
            assert tinygrad_cnn.tensor([1.0]) < other


def test_a_comparison_with_an_integer_beyond_the_dtype_is_exact():
    x = tinygrad_cnn.tensor(np.array([1, 255], np.uint8))
    assert (x > -1).tolist() == [True, True]
    assert (x < 300).tolist() == [True, True]
    assert (x == 257).tolist() == [False, False]


def test_complex_numbers_and_text_are_no_operands():
    x = tinygrad_cnn.tensor([1.0])
    for other in (
        1j,
        np.array([1j]),
        np.array(["a"]),
        object(),
        {1: 2},
        np.datetime64(0, "s"),
    ):
        with pytest.raises(DTypeError):
            x + other


def test_all_errors_are_one_tree_and_each_is_a_builtin_error_too():
    errors = [e for e in vars(tinygrad_cnn.errors).values() if isinstance(e, type)]
    assert len(errors) >= 10
    for error in errors:
        assert issubclass(error, TinygradError)
        bases = [e for e in error.__mro__ if e.__module__ == "builtins"]
        assert error is TinygradError or bases[0] is not Exception
