"""`autograd.functional`: values, nesting and what is recorded are PyTorch's."""

import pytest
from agreement import alike, draw, library, refuses_as_torch

from tinygrad_cnn import is_grad_enabled
from tinygrad_cnn.errors import ArgumentError


def flat(nested):
    """The Tensors of nested tuples, and how they are nested."""
    if isinstance(nested, tuple):
        return [len(nested), *[x for part in nested for x in flat(part)]]
    return [nested]


def cube(a):
    return (a**3).sum()


def several(a, b):
    return a * a * b.sum(), (b * 2).tanh(), a.exp().sum()


def product(a, b):
    return (a**3).sum() * b.exp().sum()


def with_unused(a, b):
    return a * 2, (a * 3).detach()


FUNCTIONS = {
    "one": (lambda a: a.exp(), 1),
    "a scalar": (cube, 1),
    "a tuple of one": (lambda a: (a * a,), 1),
    "several": (several, 2),
    "a product": (product, 2),
    "an unused input": (with_unused, 2),
    "a constant": (lambda a: a.detach() * 2, 1),
}
SCALARS = {
    "one": (cube, 1),
    "one element": (lambda a: cube(a).reshape(1, 1), 1),
    "linear": (lambda a: a.sum(), 1),
    "a product": (product, 2),
    "an unused input": (lambda a, b: cube(a), 2),
    "a sum": (lambda a, b: cube(a) + cube(b), 2),
}
PRODUCTS = {"hvp": SCALARS, "vhp": SCALARS, "jvp": FUNCTIONS, "vjp": FUNCTIONS}
MATRICES = {"hessian": SCALARS, "jacobian": FUNCTIONS}


def cases(names):
    return [(name, case) for name, found in names.items() for case in found]


def given(tensors, count, asking):
    inputs = [x if asking else x.detach() for x in tensors[:count]]
    return inputs[0] if count == 1 else tuple(inputs)


@pytest.mark.parametrize("asking", [False, True])
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(("name", "case"), cases(MATRICES))
def test_matrices_are_pytorchs(name, case, create_graph, asking):
    function, count = MATRICES[name][case]

    def program(lib, *tensors):
        compute = getattr(lib.autograd.functional, name)
        with lib.no_grad():
            found = compute(function, given(tensors, count, asking), create_graph)
        return flat(found)

    alike(program, draw(2, 1), draw(3))


@pytest.mark.parametrize("asking", [False, True])
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(("name", "case"), cases(PRODUCTS))
def test_products_are_pytorchs(name, case, create_graph, asking):
    function, count = PRODUCTS[name][case]

    def program(lib, *tensors):
        compute = getattr(lib.autograd.functional, name)
        inputs = given(tensors, count, asking)
        vectors = tuple([draw(*x.shape, seed=5) for x in tensors[:count]])
        if name == "vjp":
            outputs = function(*tensors[:count])
            listed = outputs if isinstance(outputs, tuple) else (outputs,)
            vectors = tuple([draw(*y.shape, seed=5) for y in listed])
        v = tuple([lib.tensor(x.tolist(), dtype=lib.float64) for x in vectors])
        v = v[0] if len(v) == 1 else v
        return flat(compute(function, inputs, v, create_graph))

    alike(program, draw(2, 1), draw(3))


def test_what_is_recorded_has_gradients_and_leaves_grad_alone():
    def program(lib, a, b):
        found = lib.autograd.functional.hessian(product, (a, b), create_graph=True)
        before = a.grad
        sum(h.sum() for row in found for h in row).backward()
        return [before is None, a.grad, b.grad]

    alike(program, draw(2), draw(3))


REFUSED = {
    "independent": ("jacobian", lambda a: a.detach() * 2, {"strict": True}),
    "linear": ("jacobian", lambda a: a * 2, {"strict": True, "create_graph": True}),
    "linear, twice": ("hessian", lambda a: a.sum(), {"strict": True}),
    "linear, hvp": ("hvp", lambda a: a.sum(), {"strict": True}),
    "not one element": ("hessian", lambda a: a**2, {}),
    "no Tensor": ("jacobian", lambda a: 3.0, {}),
    "no vector": ("vjp", lambda a: a**2, {}),
    "no vector, jvp": ("jvp", lambda a: a**2, {}),
    "strict and vectorized": (
        "jacobian",
        lambda a: a,
        {"strict": True, "vectorize": True},
    ),
    "forward": ("jacobian", lambda a: a, {"strategy": "forward-mode"}),
    "no strategy": ("jacobian", lambda a: a, {"strategy": "sideways"}),
    "a vector of another shape": ("vjp", lambda a: a[:2], {"v": (3,)}),
    "two vectors": ("jvp", lambda a: a, {"v": [(3,), (3,)]}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_pytorch_refuses_is_refused(case):
    name, function, options = REFUSED[case]

    def program(a):
        lib = library(a)
        made = dict(options)
        if isinstance(shapes := made.get("v"), list):
            made["v"] = tuple([lib.ones(shape) for shape in shapes])
        elif shapes:
            made["v"] = lib.ones(shapes)
        getattr(lib.autograd.functional, name)(function, a, **made)

    kind = ArgumentError if case in ("forward", "no strategy") else None
    refuses_as_torch(program, draw(3), kind=kind)
    assert is_grad_enabled()
