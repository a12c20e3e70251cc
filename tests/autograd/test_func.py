"""`func`: functions made of functions give, nest and record what PyTorch's do."""

import pytest
from agreement import alike, draw, library, refuses_as_torch, same
from pytorch import from_pytorch, torch

import tinygrad_cnn
from tinygrad_cnn import func, nn
from tinygrad_cnn.errors import ArgumentError, ShapeError

# Of PyTorch's own code, which is being renewed.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def flat(nested):
    """The Tensors of nested tuples, lists and dicts, and how they are nested."""
    if isinstance(nested, dict):
        return [list(nested), *flat(list(nested.values()))]
    if isinstance(nested, tuple | list):
        parts = [x for part in nested for x in flat(part)]
        return [type(nested).__name__, len(nested), *parts]
    return [nested]


def cube(a):
    return (a**3).sum()


def product(a, b):
    return cube(a) * b.exp().sum()


def of_tree(tree):
    return cube(tree["a"]) * tree["b"][0].sum()


def tree(a, b):
    return {"a": a, "b": [b, b * 2]}


def with_aux(a, b):
    return product(a, b), {"twice": a * 2, "negative": [-a]}


# Each takes torch.func or ours, and two Tensors.
PROGRAMS = {
    "grad": lambda f, a, b: f.grad(cube)(a),
    "grad at": lambda f, a, b: f.grad(product, 1)(a, b),
    "grad from behind": lambda f, a, b: f.grad(product, -1)(a, b),
    "grad of two": lambda f, a, b: f.grad(product, (1, 0))(a, b),
    "grad of an unused": lambda f, a, b: f.grad(lambda a, b: cube(a), (0, 1))(a, b),
    "grad of a tree": lambda f, a, b: f.grad(of_tree)(tree(a, b)),
    "grad with more": lambda f, a, b: f.grad(with_aux, (0,), has_aux=True)(a, b),
    "grad by name": lambda f, a, b: f.grad(product)(a, b=b),
    "grad of what is outside": lambda f, a, b: f.grad(lambda a: product(a, b))(a),
    "grad past detach": lambda f, a, b: f.grad(lambda a: (a.detach() * a).sum())(a),
    "grad and value": lambda f, a, b: f.grad_and_value(product)(a, b),
    "both with more": lambda f, a, b: f.grad_and_value(with_aux, has_aux=True)(a, b),
    "grad of grad": lambda f, a, b: f.grad(lambda x: cube(f.grad(cube)(x)))(a),
    "thrice": lambda f, a, b: f.grad(f.grad(f.grad(lambda x: x**4)))(a.sum()),
    "grad inside": lambda f, a, b: f.grad(
        lambda x: product(f.grad(lambda y: product(x * y, b))(x), x)
    )(a),
    "vjp": lambda f, a, b: (lambda y, g: [y, g(a * 2), g(a)])(
        *f.vjp(lambda x: x**3, a)
    ),
    "vjp of trees": lambda f, a, b: (lambda y, g: [y, g(tree(b, b))])(
        *f.vjp(lambda x, y: tree(x.sum() * y, y**2), a, b)
    ),
    "vjp with more": lambda f, a, b: (lambda y, g, aux: [y, g(a), aux])(
        *f.vjp(lambda x: (x**2, x * 2), a, has_aux=True)
    ),
    "jvp": lambda f, a, b: f.jvp(product, (a, b), (a, b)),
    "jvp of trees": lambda f, a, b: f.jvp(
        lambda t: [of_tree(t), t["b"][1] ** 2], (tree(a, b),), (tree(a, b),)
    ),
    "jvp of a constant": lambda f, a, b: f.jvp(lambda x: x.detach(), (a,), (a,)),
    "jvp with more": lambda f, a, b: f.jvp(
        lambda x: (x**2, x * 2), (a,), (a,), has_aux=True
    ),
    "jacrev": lambda f, a, b: f.jacrev(lambda a, b: a.sum() * b)(a, b),
    "jacrev of two": lambda f, a, b: f.jacrev(
        lambda a, b: (a**3 * b, product(a, b)), (0, 1)
    )(a, b),
    "jacrev of trees": lambda f, a, b: f.jacrev(lambda t: tree(t["a"], t["b"][1]))(
        tree(a, b)
    ),
    "jacrev with more": lambda f, a, b: f.jacrev(lambda a: (a**2, a * 2), has_aux=True)(
        a
    ),
    "jacfwd": lambda f, a, b: f.jacfwd(lambda a, b: product(a, b) * b, (0, 1))(a, b),
    "hessian": lambda f, a, b: f.hessian(cube)(a),
    "hessian of two": lambda f, a, b: f.hessian(product, (0, 1))(a, b),
    "hessian, mixed": lambda f, a, b: f.jacfwd(f.jacrev(product, 1))(a, b),
    "vmap": lambda f, a, b: f.vmap(lambda x: x * 2)(a),
    "vmap along another": lambda f, a, b: f.vmap(lambda x: x * 2, 1, -1)(a),
    "vmap from behind": lambda f, a, b: f.vmap(lambda x: (x * 2, x.sum()), -1, (1, 0))(
        a
    ),
    "vmap of whole": lambda f, a, b: f.vmap(lambda x, y: x @ y, (0, None))(a, b),
    "vmap of trees": lambda f, a, b: f.vmap(
        lambda t, k: tree(t["a"] * k, t["b"][0] * t["b"][1]),
        ({"a": 0, "b": [None, None]}, None),
    )({"a": a, "b": [b, 3]}, 2.0),
    "vmap by name": lambda f, a, b: f.vmap(lambda x, y: x * y)(a, y=b),
    "vmap of constants": lambda f, a, b: f.vmap(lambda x: b, out_dims=None)(a),
    "vmap of vmap": lambda f, a, b: f.vmap(f.vmap(lambda x, y: x * y, (0, None)))(a, a),
    "gradients of each": lambda f, a, b: f.vmap(f.grad(product, 1), (0, None))(a, b),
    "jacobians of each": lambda f, a, b: f.vmap(f.jacrev(lambda x: x**2))(a),
}


@pytest.mark.parametrize("asking", ["", "a", "ab"])
@pytest.mark.parametrize("case", PROGRAMS)
def test_results_and_what_is_recorded_are_pytorchs(case, asking):
    def program(lib, a, b):
        a, b = a if "a" in asking else a.detach(), b if "b" in asking else b.detach()
        found = flat(PROGRAMS[case](lib.func, a, b))
        with lib.no_grad():
            found += flat(PROGRAMS[case](lib.func, a, b))
        return [*found, a.grad is None, b.grad is None]

    alike(program, draw(2, 3), draw(3))


def test_what_is_recorded_has_gradients():
    def program(lib, a, b):
        (lib.func.grad(product)(a, b) ** 2).sum().backward()
        (lib.func.vmap(lib.func.hessian(cube))(a) * b).sum().backward()
        return [a.grad, b.grad]

    alike(program, draw(2, 3), draw(3))


REFUSED = {
    "a vector": lambda f, a: f.grad(lambda x: x)(a),
    "one element with an axis": lambda f, a: f.grad(lambda x: x[:1, 0])(a),
    "no Tensor": lambda f, a: f.grad(lambda x: 3.0)(a),
    "no such argument": lambda f, a: f.grad(cube, 1)(a),
    "no primals": lambda f, a: f.jvp(cube, a, a),
    "tangents of another shape": lambda f, a: f.jvp(cube, (a,), (a[0],)),
    "cotangents of another shape": lambda f, a: f.vjp(lambda x: x, a)[1](a[0]),
    "nothing to map": lambda f, a: f.vmap(cube, (None,))(a),
    "no arguments": lambda f, a: f.vmap(lambda: a)(),
    "two lengths": lambda f, a: f.vmap(product)(a, a[0]),
    "no such axis": lambda f, a: f.vmap(cube, 2)(a),
    "a number": lambda f, a: f.vmap(product)(a, 2.0),
    "too few axes": lambda f, a: f.vmap(product, (0,))(a, a),
    "axes that are none": lambda f, a: f.vmap(cube, "0")(a),
    "a result that is no Tensor": lambda f, a: f.vmap(lambda x: 3.0)(a),
    "a random draw": lambda f, a: f.vmap(lambda x: x + library(x).rand(3))(a),
    "no randomness": lambda f, a: f.vmap(cube, randomness="some")(a),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_pytorch_refuses_is_refused(case):
    kind = ShapeError if "tangents" in case else None  # PyTorch's is an assertion
    refuses_as_torch(lambda a: REFUSED[case](library(a).func, a), draw(2, 3), kind=kind)


def test_random_numbers_are_the_same_or_different_in_each_call():
    def drawn(randomness):
        noise = func.vmap(lambda x: x + tinygrad_cnn.rand(2), randomness=randomness)
        return noise(tinygrad_cnn.zeros(2, 2)).tolist()

    (a, b), (c, d) = drawn("same"), drawn("different")
    assert a == b and c != d
    with pytest.raises(ArgumentError, match="at least one turn"):
        func.vmap(cube)(tinygrad_cnn.zeros(0, 2))


def test_a_linearized_function_is_its_jvp_at_one_point():
    calls = []

    def noted(x):
        calls.append(x)
        return cube(x) * x

    x, v = tinygrad_cnn.tensor([1.0, 2.0]), tinygrad_cnn.tensor([3.0, -1.0])
    y, slope = func.linearize(noted, x)
    expected = func.jvp(noted, (x,), (v,))
    assert [y.tolist(), slope(v).tolist()] == [t.tolist() for t in expected]
    assert (slope(v * 2) == slope(v) * 2).all() and len(calls) == 2
    with pytest.raises(ShapeError, match="tangents must be as primals"):
        slope(v[:1])


def ensemble(lib, states=None):
    """Models side by side, in one call of each on a batch of its own."""
    models = [
        lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.BatchNorm1d(3)) for _ in "ab"
    ]
    for model, state in zip(models, states or (), strict=False):
        model.load_state_dict({k: v.array for k, v in state.items()})
    models = [model.double().eval() for model in models]
    parameters, buffers = lib.func.stack_module_state(models)
    x = lib.arange(12.0, dtype=lib.float64).reshape(2, 3, 2)

    def call(parameters, buffers, x):
        return lib.func.functional_call(models[0], (parameters, buffers), (x,))

    y = lib.func.vmap(call)(parameters, buffers, x)
    y.sum().backward()
    leaves = [[k, p, p.is_leaf, p.grad] for k, p in parameters.items()]
    return [model.state_dict() for model in models], [y, leaves, sorted(buffers)]


def test_an_ensemble_is_pytorchs():
    states, expected = from_pytorch(lambda: ensemble(torch))
    same(ensemble(tinygrad_cnn, states)[1], expected)
    with pytest.raises(ArgumentError, match="models of one class"):
        func.stack_module_state([nn.Linear(1, 1), nn.ReLU()])
