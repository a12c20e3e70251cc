"""Recurrent layers, embeddings, attention: with PyTorch's weights, PyTorch's results.

A case is a program `run(library, module, draw)`; draw(shape) is a leaf, the same with
both libraries. Compared are the results and the gradients of all leaves and parameters.
"""

import copy

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import TinygradError

torch = pytest.importorskip("torch")


def made(library, name, args, options, seed=0):
    """The module in float64; both libraries' has the same drawn parameters."""
    module = getattr(library.nn, name)(*args, **options).double()
    rng = np.random.default_rng(seed)
    for p in module.parameters():
        p.data = library.tensor(rng.uniform(-0.8, 0.8, tuple(p.shape)))
    return module


def flat(value):
    """The Tensors in what a program returns."""
    if isinstance(value, tuple | list):
        return [t for v in value for t in flat(v)]
    return [] if value is None else [value]


def outcome(library, name, args, options, run):
    module = made(library, name, args, options)
    leaves, rng = [], np.random.default_rng(1)

    def draw(*shape):
        leaves.append(library.tensor(rng.uniform(-1.5, 1.5, shape), requires_grad=True))
        return leaves[-1]

    results = flat(run(library, module, draw))
    floats = [r for r in results if r.requires_grad]
    loss = sum((r * (r + 0.3)).sum() for r in floats)
    loss.backward()
    grads = {n: p.grad for n, p in module.named_parameters()}
    grads |= {f"leaf {i}": leaf.grad for i, leaf in enumerate(leaves)}
    return module, [r.detach().numpy() for r in results], grads


def agree(name, args, options, run):
    theirs, expected, their_grads = outcome(torch, name, args, options, run)
    ours, found, grads = outcome(tg, name, args, options, run)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-11, strict=True)
    assert grads.keys() == their_grads.keys()
    for key, g in their_grads.items():
        if g is None:
            assert grads[key] is None, key
        else:
            np.testing.assert_allclose(
                grads[key].numpy(), g.numpy(), 1e-9, 1e-11, err_msg=key
            )


# ------------------------------------------------------------------------------ recurrent

OPTIONS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
    ("RNN", {"bidirectional": True, "bias": False}),
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("LSTM", {"num_layers": 2, "proj_size": 2, "bidirectional": True}),
    ("LSTM", {"proj_size": 2, "bias": False}),
    ("GRU", {"num_layers": 3}),
    ("GRU", {"bidirectional": True, "batch_first": True, "bias": False}),
]


def states(name, options, draw, *batch):
    """Initial states, as many as the layer has."""
    layers = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    h = draw(layers, *batch, options.get("proj_size") or 4)
    return (h, draw(layers, *batch, 4)) if name == "LSTM" else h


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
@pytest.mark.parametrize("form", ["batched", "with states", "unbatched", "long"])
def test_recurrent_layers(name, options, form):
    def run(library, module, draw):
        if form == "unbatched":
            return module(draw(5, 3), states(name, options, draw))
        length = 21 if form == "long" else 5
        shape = (2, length) if module.batch_first else (length, 2)
        x = draw(*shape, 3)
        if form == "with states":
            return module(x, states(name, options, draw, 2))
        return module(x)

    agree(name, (3, 4), options, run)


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
@pytest.mark.parametrize("given", [False, True])
def test_recurrent_layers_of_packed_sequences(name, options, given):
    def run(library, module, draw):
        rnn = library.nn.utils.rnn
        x, lengths = draw(4, 5, 3), [2, 5, 1, 5]
        packed = rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        initial = states(name, options, draw, 4) if given else None
        y, last = module(packed, initial)
        first = options.get("batch_first", False)
        padded, sizes = rnn.pad_packed_sequence(y, first, -1.0, total_length=6)
        return padded, sizes, last, *y

    agree(name, (3, 4), options, run)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RNNCell", {}),
        ("RNNCell", {"nonlinearity": "relu", "bias": False}),
        ("LSTMCell", {}),
        ("GRUCell", {"bias": False}),
        ("GRUCell", {}),
    ],
    ids=str,
)
def test_cells(name, options):
    def run(library, module, draw):
        x, h = draw(2, 3), draw(2, 4)
        state = (h, draw(2, 4)) if name == "LSTMCell" else h
        single = (h[0], h[1]) if name == "LSTMCell" else h[0]
        return module(x), module(x, state), module(x[0]), module(x[1], single)

    agree(name, (3, 4), options, run)


def test_a_recurrent_layer_can_be_copied_and_differentiated_twice():
    x = tg.randn(3, 1, 2, dtype=tg.float64).requires_grad_()
    layer = copy.deepcopy(tg.nn.GRU(2, 3).double())
    layer.flatten_parameters()
    assert [len(w) for w in layer.all_weights] == [4]
    assert tg.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))


def test_dropout_lies_between_layers_and_only_in_training():
    with pytest.warns(UserWarning, match="adds dropout after all but last"):
        tg.nn.LSTM(2, 3, dropout=0.5)
    layer, x = tg.nn.RNN(2, 3, 2, dropout=1.0), tg.randn(4, 1, 2)
    with tg.no_grad():
        assert not tg.equal(layer.eval()(x)[0], layer(x * 2)[0])
        assert tg.equal(layer.train()(x)[0], layer(x * 2)[0])


REFUSED = {
    "axes": lambda lib: lib.nn.LSTM(2, 3)(lib.zeros(1, 2, 3, 4)),
    "input size": lambda lib: lib.nn.LSTM(2, 3)(lib.zeros(4, 5, 3)),
    "states": lambda lib: lib.nn.GRU(2, 3)(lib.zeros(4, 5, 2), lib.zeros(1, 5, 4)),
    "states of LSTM": lambda lib: lib.nn.LSTM(2, 3)(
        lib.zeros(4, 5, 2), (lib.zeros(1, 5, 4), lib.zeros(1, 5, 3))
    ),
    "axes of states": lambda lib: lib.nn.GRU(2, 3)(lib.zeros(4, 2), lib.zeros(1, 1, 3)),
    "hidden size": lambda lib: lib.nn.RNN(2, 0),
    "nonlinearity": lambda lib: lib.nn.RNN(2, 3, nonlinearity="sin"),
    "nonlinearity of a cell": lambda lib: lib.nn.RNNCell(2, 3, nonlinearity="sin")(
        lib.zeros(2)
    ),
    "projection": lambda lib: lib.nn.LSTM(2, 3, proj_size=3),
    "dropout": lambda lib: lib.nn.LSTM(2, 3, dropout=2.0),
    "cell's axes": lambda lib: lib.nn.GRUCell(2, 3)(lib.zeros(1, 1, 2)),
    "cell's state": lambda lib: lib.nn.GRUCell(2, 3)(lib.zeros(4, 2), lib.zeros(4, 4)),
    "lengths": lambda lib: lib.nn.utils.rnn.pack_padded_sequence(
        lib.zeros(3, 2, 1), [1, 2]
    ),
    "no length": lambda lib: lib.nn.utils.rnn.pack_padded_sequence(
        lib.zeros(3, 2, 1), [2, 0]
    ),
    "total length": lambda lib: lib.nn.utils.rnn.pad_packed_sequence(
        lib.nn.utils.rnn.pack_sequence([lib.zeros(3, 1)]), total_length=2
    ),
    "index": lambda lib: lib.nn.Embedding(3, 2)(lib.tensor([0, 3])),
    "negative index": lambda lib: lib.nn.Embedding(3, 2)(lib.tensor([-1])),
    "index of floats": lambda lib: lib.nn.Embedding(3, 2)(lib.zeros(2)),
    "offsets": lambda lib: lib.nn.EmbeddingBag(3, 2)(
        lib.tensor([0, 1]), lib.tensor([1])
    ),
    "mask's shape": lambda lib: lib.nn.MultiheadAttention(4, 2)(
        *[lib.zeros(3, 2, 4)] * 3, attn_mask=lib.zeros(2, 3)
    ),
    "hint": lambda lib: lib.nn.MultiheadAttention(4, 2)(
        *[lib.zeros(3, 2, 4)] * 3, is_causal=True
    ),
    "both": lambda lib: lib.nn.functional.scaled_dot_product_attention(
        *[lib.zeros(3, 2, 4)] * 3, attn_mask=lib.zeros(2, 2), is_causal=True
    ),
    "activation": lambda lib: lib.nn.TransformerEncoderLayer(4, 2, activation="sin"),
    "bilinear": lambda lib: lib.nn.Bilinear(2, 3, 4)(lib.zeros(2, 2), lib.zeros(3, 3)),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_what_pytorch_refuses_is_refused_with_its_kind(call):
    with pytest.raises(Exception) as theirs:
        call(torch)
    with pytest.raises(theirs.type) as ours:
        call(tg)
    assert isinstance(ours.value, TinygradError)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_sequences_are_padded_and_packed_and_come_back(first, side):
    def run(lib):
        rnn = lib.nn.utils.rnn
        xs = [lib.arange(2.0 * n).reshape(n, 2) + 10 * n for n in (2, 4, 1)]
        padded = rnn.pad_sequence(xs, first, 7, side)
        packed = rnn.pack_sequence(xs, enforce_sorted=False)
        back = rnn.unpack_sequence(packed)
        lengths = lib.tensor([2, 4, 1])
        # PyTorch's unpad_sequence transposes what it is given in place.
        return [padded, *packed, *back, *rnn.unpad_sequence(padded * 1, lengths, first)]

    for a, b in zip(run(tg), run(torch), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)


# ----------------------------------------------------------------------------- embeddings


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Embedding", {"padding_idx": -3}),
        ("Embedding", {"max_norm": 1.0, "padding_idx": 0}),
        ("Embedding", {"max_norm": 0.7, "norm_type": 1.0}),
        ("EmbeddingBag", {"padding_idx": 2}),
        ("EmbeddingBag", {"mode": "max", "max_norm": 1.0}),
        ("EmbeddingBag", {"mode": "sum", "include_last_offset": True}),
    ],
    ids=str,
)
def test_embeddings(name, options):
    def run(library, module, draw):
        before = module.weight.detach().clone()
        indices = library.tensor([[2, 0, 2], [4, 2, 1]])
        if name == "Embedding":
            return module(indices), module(library.tensor(2)), module.weight - before
        offsets = library.tensor([0, 2, 2, 6])
        flat = indices.reshape(-1)
        weights = {}
        if module.mode == "sum":
            weights["per_sample_weights"] = draw(6)
        return module(indices), module(flat, offsets, **weights), module.weight - before

    agree(name, (5, 3), options, run)


def test_an_embedding_of_given_rows_shares_them_and_is_frozen():
    rows = tg.ones(4, 2)
    layer = tg.nn.Embedding.from_pretrained(rows, padding_idx=1)
    assert not layer.weight.requires_grad and layer.padding_idx == 1
    rows[0, 0] = 5
    assert layer(tg.tensor(0)).tolist() == [5, 1]
    bag = tg.nn.EmbeddingBag.from_pretrained(rows, freeze=False, mode="sum")
    assert bag.weight.requires_grad
    assert bag(tg.tensor([[0, 1]])).tolist() == [[6, 2]]
    assert tg.nn.Embedding(9, 2, padding_idx=3).weight[3].tolist() == [0, 0]
    with pytest.raises(ValueError, match="sparse=True is not available"):
        tg.nn.Embedding(3, 2, sparse=True)


# ------------------------------------------------------------------------------ attention


def causal(library, n):
    return library.nn.Transformer.generate_square_subsequent_mask(
        n, dtype=library.float64
    )


ATTENTIONS = [
    {},
    {"bias": False, "batch_first": True},
    {"kdim": 3, "vdim": 5},
    {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
]


@pytest.mark.parametrize("options", ATTENTIONS, ids=str)
@pytest.mark.parametrize("masks", ["none", "bools", "floats", "each head"])
def test_attention(options, masks):
    def run(library, module, draw):
        def padded(n, *widths):
            shape = (2, n) if module.batch_first else (n, 2)
            return draw(*shape, *widths)

        q = padded(4, 6)
        k, v = padded(5, module.kdim), padded(5, module.vdim)
        more = {}
        if masks == "bools":
            more["attn_mask"] = library.tensor(np.triu(np.ones((4, 5)), 2) > 0)
            more["key_padding_mask"] = library.tensor(
                [[False] * 5, [False] * 4 + [True]]
            )
        elif masks == "floats":
            more["attn_mask"], more["key_padding_mask"] = draw(4, 5), draw(2, 5)
        elif masks == "each head":
            more["attn_mask"] = draw(6, 4, 5)
        both = module(q, k, v, **more)
        apart = module(q, k, v, average_attn_weights=False, **more)
        without = module(q, k, v, need_weights=False, **more)
        axis = 0 if module.batch_first else 1
        one = [x.unbind(axis)[1] for x in (q, k, v)]
        return *both, *apart, *without, *module(*one)

    agree("MultiheadAttention", (6, 3), options, run)


@pytest.mark.parametrize("bias", [False, True])
def test_bilinear(bias):
    def run(library, module, draw):
        return module(draw(2, 4, 3), draw(2, 4, 2)), module(draw(3), draw(2))

    agree("Bilinear", (3, 2, 5), {"bias": bias}, run)


LAYER = {"dim_feedforward": 7, "dropout": 0.0}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm_first": True, "activation": "gelu"},
        {"batch_first": True, "bias": False},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_transformers(options):
    def run(library, module, draw):
        shape = (lambda n: (2, n, 6)) if module.batch_first else (lambda n: (n, 2, 6))
        src, tgt = draw(*shape(4)), draw(*shape(3))
        padding = library.tensor(
            [[0.0] * 4, [0.0, 0.0, 0.0, -1.0]], dtype=library.float64
        )
        y = module(
            src,
            tgt,
            tgt_mask=causal(library, 3),
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )
        return y, module.encoder(src), module.decoder.layers[0](tgt, src)

    agree("Transformer", (6, 2, 2, 2), options | LAYER, run)


def test_a_query_that_may_see_nothing_gives_zero_without_weights():
    x = tg.randn(1, 2, 3, dtype=tg.float64).requires_grad_()
    mask = tg.tensor([[True, False], [False, False]])
    y = tg.nn.functional.scaled_dot_product_attention(x, x, x, mask)
    assert y[0, 1].tolist() == [0, 0, 0] and tg.equal(y[0, 0], x[0, 0])
    y.sum().backward()
    assert tg.isfinite(x.grad).all()
