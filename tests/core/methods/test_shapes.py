"""Methods that move values: shapes, values and gradients are PyTorch's."""

import numpy as np
from agreement import agree, draw, library, torch
from each import for_each
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_cnn import no_grad, tensor

MOVES = {
    "reshape": lambda x: x.reshape(4, 6),
    "reshape tuple": lambda x: x.reshape((4, -1)),
    "reshape all": lambda x: x.reshape(-1),
    "reshape more": lambda x: x.reshape(2, 1, 3, 2, 2),
    "view": lambda x: x.view(-1, 4),
    "view_as": lambda x: x.view_as(x.reshape(6, 4)),
    "reshape_as": lambda x: x.reshape_as(x.reshape(6, 4)),
    "flatten": lambda x: x.flatten(),
    "flatten 1": lambda x: x.flatten(1),
    "flatten 0 1": lambda x: x.flatten(0, 1),
    "flatten -2": lambda x: x.flatten(start_dim=-2),
    "flatten one": lambda x: x.flatten(1, 1),
    "ravel": lambda x: x.ravel(),
    "permute": lambda x: x.permute(2, 0, 1),
    "permute tuple": lambda x: x.permute((2, 0, 1)),
    "permute negative": lambda x: x.permute(-1, 0, -2),
    "transpose": lambda x: x.transpose(0, 2),
    "transpose negative": lambda x: x.transpose(-1, 1),
    "transpose same": lambda x: x.transpose(1, 1),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "t": lambda x: x[0].t(),
    "t of a vector": lambda x: x[0, 0].t(),
    "T": lambda x: x[0].T,
    "mT": lambda x: x.mT,
    "expand": lambda x: x[:1].expand(5, 3, 4),
    "expand -1": lambda x: x[:, :1].expand(-1, 5, -1),
    "expand more": lambda x: x.expand(2, 5, 2, 3, 4),
    "expand tuple": lambda x: x.expand((7, 2, 3, 4)),
    "expand to none": lambda x: x[:1].expand(0, 3, 4),
    "expand_as": lambda x: x[0].expand_as(x),
    "repeat": lambda x: x.repeat(2, 1, 3),
    "repeat tuple": lambda x: x.repeat((2, 1, 3)),
    "repeat more": lambda x: x.repeat(2, 1, 1, 2),
    "repeat none": lambda x: x.repeat(1, 0, 2),
    "squeeze": lambda x: x[:1, :, :1].squeeze(),
    "squeeze 0": lambda x: x[:1, :, :1].squeeze(0),
    "squeeze -1": lambda x: x[:1, :, :1].squeeze(-1),
    "squeeze a long axis": lambda x: x.squeeze(1),
    "squeeze tuple": lambda x: x[:1, :, :1].squeeze((0, 1, 2)),
    "unsqueeze 0": lambda x: x.unsqueeze(0),
    "unsqueeze 3": lambda x: x.unsqueeze(3),
    "unsqueeze -1": lambda x: x.unsqueeze(-1),
    "unsqueeze -4": lambda x: x.unsqueeze(-4),
    "flip": lambda x: x.flip(0),
    "flip two": lambda x: x.flip(0, 2),
    "flip tuple": lambda x: x.flip((1, -1)),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "narrow negative": lambda x: x.narrow(-1, -2, 2),
    "narrow to none": lambda x: x.narrow(0, 2, 0),
    "split": lambda x: x.split(2, 1),
    "split sizes": lambda x: x.split([1, 3], dim=2),
    "split one": lambda x: x.split(5),
    "chunk": lambda x: x.chunk(2, 1),
    "chunk more than there are": lambda x: x.chunk(5, dim=0),
    "chunk -1": lambda x: x.chunk(3, -1),
    "unbind": lambda x: x.unbind(),
    "unbind 1": lambda x: x.unbind(1),
    "unbind -1": lambda x: x.unbind(dim=-1),
    "iter": lambda x: list(x),
    "contiguous": lambda x: x.transpose(0, 1).contiguous(),
    "cat": lambda x: library(x).cat([x, x * 2]),
    "cat 1": lambda x: library(x).cat((x, x[:, :1]), dim=1),
    "cat -1": lambda x: library(x).cat((x, x), -1),
    "cat one": lambda x: library(x).cat([x], 2),
    "concat": lambda x: library(x).concat([x, x], 1),
    "stack": lambda x: library(x).stack([x, x + 1]),
    "stack 1": lambda x: library(x).stack([x, x], dim=1),
    "stack -1": lambda x: library(x).stack((x, x * 3), -1),
    "function flatten": lambda x: library(x).flatten(x, 1),
    "function reshape": lambda x: library(x).reshape(x, (6, 4)),
    "function transpose": lambda x: library(x).transpose(x, 0, 1),
    "function permute": lambda x: library(x).permute(x, (1, 2, 0)),
    "function squeeze": lambda x: library(x).squeeze(x[:1]),
    "function unsqueeze": lambda x: library(x).unsqueeze(x, 1),
    "function split": lambda x: library(x).split(x, 2, dim=1),
    "function chunk": lambda x: library(x).chunk(x, 2),
    "function unbind": lambda x: library(x).unbind(x),
    "function flip": lambda x: library(x).flip(x, (0,)),
}


@for_each("name", MOVES)
def test_a_move_is_pytorchs(name):
    agree(MOVES[name], draw(2, 3, 4))
    agree(MOVES[name], np.arange(24).reshape(2, 3, 4))


@for_each("layout", ["fortran", "backwards", "strided"])
@for_each("name", MOVES)
def test_a_move_does_not_depend_on_the_memory_order(name, layout):
    x = draw(2, 3, 4)
    lay = {
        "fortran": lambda x: x.permute(2, 1, 0).clone().permute(2, 1, 0),
        "backwards": lambda x: x.flip(0, 1, 2).flip(0, 1, 2),
        "strided": lambda x: library(x).stack([x, x], -1)[..., 0],
    }[layout]
    if name.startswith("view"):
        agree(lambda x: MOVES[name](lay(x).contiguous()), x)
    else:
        agree(lambda x: MOVES[name](lay(x)), x)


EMPTY = {
    "reshape": lambda x: x.reshape(4, 0),
    "reshape known": lambda x: x.reshape(0, 3, 2),
    "flatten": lambda x: x.flatten(),
    "flatten 1": lambda x: x.flatten(1),
    "permute": lambda x: x.permute(1, 0),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "squeeze": lambda x: x.squeeze(),
    "expand": lambda x: x.expand(2, 0, 3),
    "repeat": lambda x: x.repeat(2, 2),
    "flip": lambda x: x.flip(0),
    "cat": lambda x: library(x).cat([x, x]),
    "stack": lambda x: library(x).stack([x, x]),
    "index": lambda x: x[:, 1],
    "mask": lambda x: x[x > 0],
    "integers": lambda x: x[:, [0, 0]],
    "split": lambda x: x.split(2, 1),
    "iter": lambda x: list(x),
    "matmul": lambda x: x @ x.T,
    "matmul empty inside": lambda x: x.T @ x,
    "tolist": lambda x: x.tolist(),
    "numel": lambda x: x.numel(),
}


@for_each("name", EMPTY)
def test_a_batch_of_no_images_moves_too(name):
    agree(EMPTY[name], draw(0, 3))


ZERO_D = {
    "reshape": lambda x: x.reshape(1, 1),
    "reshape ()": lambda x: x.reshape(()),
    "flatten": lambda x: x.flatten(),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "squeeze": lambda x: x.squeeze(),
    "squeeze 0": lambda x: x.squeeze(0),
    "expand": lambda x: x.expand(3),
    "repeat": lambda x: x.repeat(3),
    "T": lambda x: x.t(),
    "permute": lambda x: x.permute(()),
    "transpose": lambda x: x.transpose(0, -1),
    "stack": lambda x: library(x).stack([x, x]),
    "...": lambda x: x[...],
    "None": lambda x: x[None],
    "()": lambda x: x[()],
    "True": lambda x: x[True],
    "False": lambda x: x[False],
}


@for_each("name", ZERO_D)
def test_a_tensor_without_axes_moves_too(name):
    agree(ZERO_D[name], draw())


QUESTIONS = {
    "shape": lambda x: tuple(x.shape),
    "size": lambda x: tuple(x.size()),
    "size 1": lambda x: x.size(1),
    "size -1": lambda x: x.size(-1),
    "ndim": lambda x: x.ndim,
    "dim": lambda x: x.dim(),
    "numel": lambda x: x.numel(),
    "nelement": lambda x: x.nelement(),
    "len": lambda x: len(x),
    "element_size": lambda x: x.element_size(),
    "nbytes": lambda x: x.nbytes,
    "is_floating_point": lambda x: x.is_floating_point(),
    "is_contiguous": lambda x: x.is_contiguous(),
    "is_contiguous transposed": lambda x: x.transpose(0, 1).is_contiguous(),
    "shape[1:]": lambda x: tuple(x.shape[1:]),
    "unpacked": lambda x: [x.shape[0], *x.size()[1:]],
}


@for_each("name", QUESTIONS)
def test_questions_about_the_shape(name):
    for dtype in (np.float32, np.float64, np.int64, np.uint8):
        agree(QUESTIONS[name], np.ones((2, 3, 4), dtype))


@given(data=st.data())
def test_any_chain_of_moves_is_pytorchs(data):
    def moved(x):
        for kind, a, b in steps:
            if kind == "reshape":
                x = x.reshape(x.shape[a % x.ndim], -1)
            elif kind == "transpose":
                x = x.transpose(a % x.ndim, b % x.ndim)
            elif kind == "flip":
                x = x.flip(a % x.ndim)
            elif kind == "unsqueeze":
                x = x.unsqueeze(a % (x.ndim + 1))
            elif kind == "index":
                x = x[..., : max(x.shape[-1] - 1, 1)]
            else:
                x = library(x).cat([x, x], a % x.ndim)
        return x

    kinds = ["reshape", "transpose", "flip", "unsqueeze", "index", "cat"]
    step = st.tuples(st.sampled_from(kinds), st.integers(0, 5), st.integers(0, 5))
    steps = data.draw(st.lists(step, max_size=5))
    agree(moved, draw(2, 3))


JOINED = {
    "int and float": ((np.ones(2, np.int64), np.ones(2, np.float32))),
    "int32 and uint8": ((np.ones(2, np.int32), np.ones(2, np.uint8))),
    "float32 and float64": ((np.ones(2, np.float32), np.ones(2, np.float64))),
    "bool and int": ((np.ones(2, bool), np.ones(2, np.int64))),
}


@for_each("name", JOINED)
def test_joining_promotes(name):
    for join in ("cat", "stack"):
        agree(lambda *xs, j=join: getattr(library(xs[0]), j)(xs), *JOINED[name])


MATMULS = {
    "matrix matrix": ((2, 3), (3, 4)),
    "matrix vector": ((2, 3), (3,)),
    "vector matrix": ((3,), (3, 4)),
    "vector vector": ((3,), (3,)),
    "batched": ((5, 2, 3), (5, 3, 4)),
    "batch matrix": ((5, 2, 3), (3, 4)),
    "matrix batch": ((2, 3), (5, 3, 4)),
    "batch vector": ((5, 2, 3), (3,)),
    "vector batch": ((3,), (5, 3, 4)),
    "broadcast": ((6, 1, 2, 3), (5, 3, 4)),
    "broadcast 1": ((1, 2, 3), (5, 3, 1)),
    "inner 0": ((2, 0), (0, 4)),
    "batch 0": ((0, 2, 3), (3, 4)),
}


@for_each("name", MATMULS)
def test_matmul_is_pytorchs(name):
    a, b = (draw(*shape, seed=i) for i, shape in enumerate(MATMULS[name]))
    agree(lambda a, b: a @ b, a, b)
    agree(lambda a, b: a.matmul(b), a, b)
    agree(lambda a, b: library(a).matmul(a, b), a, b)


def test_mm_bmm_and_dot():
    agree(lambda a, b: a.mm(b), draw(2, 3), draw(3, 4))
    agree(lambda a, b: library(a).mm(a, b), draw(2, 3), draw(3, 4))
    agree(lambda a, b: a.bmm(b), draw(5, 2, 3), draw(5, 3, 4))
    agree(lambda a, b: a.dot(b), draw(3), draw(3, seed=1))


# ------------------------------------------------------------------- shared memory

VIEWS = {
    "reshape": lambda x: x.reshape(6, 4),
    "view": lambda x: x.view(6, 4),
    "flatten": lambda x: x.flatten(1),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, 1),
    "T": lambda x: x[0].T,
    "mT": lambda x: x.mT,
    "squeeze": lambda x: x[:1].squeeze(0),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "narrow": lambda x: x.narrow(1, 0, 2),
    "split": lambda x: x.split(1)[0],
    "chunk": lambda x: x.chunk(2)[0],
    "unbind": lambda x: x.unbind()[0],
    "slice": lambda x: x[:, 1:],
    "row": lambda x: x[0],
    "row of a row": lambda x: x[0][0],
    "one element": lambda x: x[0, 0, 0],
    "one element of a vector": lambda x: x[0, 0][0],
    "ellipsis": lambda x: x[...],
    "None": lambda x: x[None],
    "detach": lambda x: x.detach(),
    "data": lambda x: x.data,
    "integers": lambda x: x[[0]],
    "mask": lambda x: x[x < 100],
    "flip": lambda x: x.flip(0),
    "clone": lambda x: x.clone(),
    "repeat": lambda x: x.repeat(1, 1, 1),
    "contiguous": lambda x: x.contiguous(),
    "contiguous of transposed": lambda x: x.transpose(0, 1).contiguous(),
    "reshape of transposed": lambda x: x.transpose(0, 1).reshape(-1),
    "same dtype": lambda x: x.float(),
    "other dtype": lambda x: x.double().float(),
    "relu": lambda x: x.relu(),
    "cat": lambda x: library(x).cat([x]),
    "clamp": lambda x: x.clamp(-100, 100),
    "sum over nothing": lambda x: x[None].sum(0),
    "pos": lambda x: +x,
    "to copy": lambda x: x.to(x.dtype, copy=True),
    "gather": lambda x: x.gather(0, library(x).zeros(1, 3, 4).long()),
}


@for_each("name", VIEWS)
def test_memory_is_shared_where_pytorch_shares_it(name):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x, z = tensor(values), torch.tensor(values)
    with no_grad():
        VIEWS[name](x).fill_(-1)
        VIEWS[name](z).fill_(-1)
    np.testing.assert_array_equal(x.numpy(), z.numpy())


@for_each("name", VIEWS)
def test_a_change_of_the_base_is_seen_where_pytorch_shows_it(name):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x, z = tensor(values), torch.tensor(values)
    y, w = VIEWS[name](x), VIEWS[name](z)
    x.add_(1)
    z.add_(1)
    np.testing.assert_array_equal(y.numpy(), w.numpy())
