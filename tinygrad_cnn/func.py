"""Functions made of functions, as `torch.func`: derivatives, and a loop over a batch.

    per_image = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)

Arguments and results may be Tensors in any nesting of tuples, lists and dicts. What a
transformed function makes is recorded where it depends on a Tensor outside of it that
requires a gradient, so transformations nest. `.grad` stays as it is. There is no forward
mode here: `jvp` and `jacfwd` go backward.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .autograd.functional import as_jacobians, each_row, pulled, pushed
from .core.creation import zeros_like
from .core.engine import Tensor
from .core.generator import default_generator
from .core.methods.shape import stack
from .core.recording import enable_grad, is_grad_enabled
from .core.replaying import leaves_of
from .errors import ArgumentError, AutogradError, DTypeError, ShapeError
from .missing import teach
from .nn import Module
from .nn.utils.stateless import functional_call

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]

Function = Callable[..., Any]
Places = int | tuple[int, ...]


def grad(func: Function, argnums: Places = 0, has_aux: bool = False) -> Function:
    """The function that gives ∂func/∂argument for the arguments at these places.

    func returns a Tensor of no axes; with has_aux a pair of that and anything else, which
    is returned beside the gradient. A tuple of gradients for a tuple of places.
    """

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def grad_and_value(
    func: Function, argnums: Places = 0, has_aux: bool = False
) -> Function:
    """The function that gives (gradient, value), as `grad`; a pair with has_aux."""

    @functools.wraps(func)
    def both(*args: Any, **kwargs: Any) -> Any:
        call = _Call(func, args, kwargs, argnums, has_aux)
        value = call.output
        if not isinstance(value, Tensor) or value.ndim:
            raise ShapeError(
                "grad: Expected f(*args) to return a scalar Tensor, got "
                f"{_kind(value)}; vjp and jacrev take others"
            )
        found = call.pulled([None])
        value = call.freed(value)
        return found, ((value, call.aux) if has_aux else value)

    return both


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """(output, f): f(v), v nested as the output, gives Σ v ∂output/∂primal for each.

    With has_aux, func returns (output, anything else); then (output, f, anything else).
    """
    call = _Call(func, primals, {}, tuple(range(len(primals))), has_aux)

    def product(cotangents: Any) -> Any:
        _check_alike("cotangents", cotangents, "output", call.output)
        return call.pulled(leaves(cotangents))

    output = call.freed(call.output)
    return (output, product, call.aux) if has_aux else (output, product)


def jvp(
    func: Function,
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """func(*primals), and Σ ∂output/∂primal · tangent; with has_aux, what is beside it.

    primals and tangents are tuples, nested alike. strict: AutogradError where the output
    does not depend on them; else the result is zeros.
    """
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple):
            raise DTypeError(f"jvp: Expected {name} to be a tuple, got {_kind(given)}")
    _check_alike("tangents", tangents, "primals", primals)
    call = _Call(func, primals, {}, tuple(range(len(primals))), has_aux)
    slope = call.pushed(leaves(tangents), strict)
    found = call.freed(call.output), slope
    return (*found, call.aux) if has_aux else found


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """func(*primals), and f: f(*tangents) is what `jvp` gives for these, without func."""
    call = _Call(func, primals, {}, tuple(range(len(primals))), False)

    def slope(*tangents: Any) -> Any:
        _check_alike("tangents", tangents, "primals", primals)
        return call.pushed(leaves(tangents), False)

    return call.freed(call.output), slope


def jacrev(
    func: Function,
    argnums: Places = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Function:
    """The function that gives ∂output/∂argument: the shape of output, then of argument.

    Nested as the output, and within as the arguments at these places. There is a backward
    pass for each value of the output; chunk_size changes nothing.
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        call = _Call(func, args, kwargs, argnums, has_aux)
        found = tree_map(call.jacobian, call.output)
        return (found, call.aux) if has_aux else found

    return jacobian


def jacfwd(
    func: Function,
    argnums: Places = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Function:
    """As `jacrev`, by which it is computed."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Function, argnums: Places = 0) -> Function:
    """The function that gives ∂²output/∂argument∂argument, nested as jacrev of jacrev."""
    return jacrev(jacrev(func, argnums), argnums)


class _Turn:
    """Whether a function that is differentiated has returned."""

    over = False


class _Leaf(Tensor):
    """What a function is differentiated by, and in which call."""

    __slots__ = ("turn",)
    turn: _Turn


class _Call:
    """func(*args) as it is differentiated by the Tensors in the arguments at `argnums`."""

    def __init__(
        self, func: Function, args: Any, kwargs: Any, argnums: Places, has_aux: bool
    ) -> None:
        self.recorded = is_grad_enabled()
        self.turn = _Turn()
        places = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for at in places:
            if not -len(args) <= at < len(args):
                raise ArgumentError(
                    f"Got argnum={at}, but only {len(args)} positional inputs"
                )
        given = list(args)
        with enable_grad():
            for at in dict.fromkeys([at % len(args) for at in places]):
                given[at] = tree_map(self.entered, given[at])
            output = func(*given, **kwargs)
        self.turn.over = True
        chosen = [given[at] for at in places]
        self.given = chosen[0] if isinstance(argnums, int) else tuple(chosen)
        self.inputs: list[Tensor] = leaves(self.given)
        if has_aux and not (isinstance(output, tuple) and len(output) == 2):
            raise DTypeError(
                "with has_aux=True the function must return a tuple (output, aux), but it "
                f"returned {_kind(output)}"
            )
        self.output, aux = output if has_aux else (output, None)
        self.aux: Any = self.freed(aux)
        self.outputs: list[Tensor] = leaves(self.output)
        for y in self.outputs:
            if not isinstance(y, Tensor):
                raise DTypeError(f"Expected f(*args) to return a Tensor, got {type(y)}")

    def entered(self, x: Any) -> Tensor:
        """x as the function gets it: a leaf, or a copy through which gradients go on."""
        if not isinstance(x, Tensor):
            raise DTypeError(
                f"only Tensors are differentiated by, but an argument holds {x!r}"
            )
        if self.recorded and x.requires_grad:
            return x.clone()
        leaf = Tensor._wrap(x.lie_in_rows(), into=_Leaf.__new__(_Leaf))
        leaf._version, leaf.turn = x._version, self.turn
        return leaf.requires_grad_()

    def reaches_out(self, tensors: Sequence[Tensor]) -> bool:
        """Whether these depend on a Tensor of outside that requires a gradient."""
        asking = [t for t in tensors if t.requires_grad]
        return self.recorded and any(self.outside(x) for x in leaves_of(asking))

    def outside(self, leaf: Tensor) -> bool:
        """Not made here, nor by a call inside of this one."""
        made = isinstance(leaf, _Leaf) and leaf.turn
        return not made or not (made is self.turn or made.over)

    def freed(self, tree: Any) -> Any:
        """With the Tensors cut off that depend on this call's own leaves alone."""
        return tree_map(
            lambda t: (
                t.detach() if isinstance(t, Tensor) and not self.reaches_out([t]) else t
            ),
            tree,
        )

    def pulled(self, weights: Sequence[Any]) -> Any:
        """Σ weight ∂output/∂input, nested as the arguments."""
        given = [w for w in weights if w is not None]
        keep = self.reaches_out([*self.outputs, *given])
        with enable_grad():
            return self.nested(pulled(self.outputs, self.inputs, weights, keep))

    def pushed(self, tangents: list[Tensor], strict: bool) -> Any:
        """Σ ∂output/∂input · tangent, nested as the output."""
        keep = self.reaches_out([*self.outputs, *tangents])
        with enable_grad():
            found = pushed(self.outputs, self.inputs, tangents, keep)
            if strict and None in found:
                raise AutogradError(
                    "jvp: the output is independent of the inputs, which strict=True "
                    "does not allow"
                )
            return self.freed(_nested(self.output, _filled(found, self.outputs)))

    def jacobian(self, output: Tensor) -> Any:
        """∂output/∂input, nested as the arguments."""
        keep = self.reaches_out([output])
        with enable_grad():
            rows = each_row(output, self.inputs, keep)
            filled = [_filled(row, self.inputs) for row in rows]
            return self.nested(as_jacobians(filled, output, self.inputs))

    def nested(self, found: Sequence[Tensor | None]) -> Any:
        return self.freed(_nested(self.given, _filled(found, self.inputs)))


def _filled(found: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
    pairs = zip(found, like, strict=True)
    return [zeros_like(x) if d is None else d for d, x in pairs]


# ------------------------------------------------------------------- over a batch


def vmap(
    func: Function,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Function:
    """func for each place along an axis of the arguments, the results side by side.

    A loop: it saves writing one, and no time. func gets Tensors without the axis.
    in_dims: which axis of each argument, nested as they are (or one int for all); None
        for what each call gets whole. Keyword arguments are given whole.
    out_dims: where the axis is in each result; None for a result that is the same in all
        calls, of which the first one's is taken.
    randomness: "different" or "same" numbers in each call; "error" refuses to draw any.
    """

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        dims = _spread(in_dims, args, "in_dims", "the arguments")
        values = leaves(args)
        size = _batch_size(values, dims)
        columns = [
            [x] * size if dim is None else x.unbind(dim)
            for x, dim in zip(values, dims, strict=True)
        ]
        results = []
        before = default_generator.get_state()
        for row in zip(*columns, strict=True):
            if randomness == "same":
                default_generator.set_state(before)
            given = _nested(args, row)
            results.append(func(*given, **kwargs))
            if randomness == "error" and default_generator.get_state() != before:
                raise AutogradError(
                    "vmap: called random operation while in randomness error mode; give "
                    'randomness="same" or "different"'
                )
        ends = iter(_spread(out_dims, results[0], "out_dims", "the result"))
        return tree_map(lambda *ys: _joined(ys, next(ends)), *results)

    if randomness not in ("error", "different", "same"):
        raise ArgumentError(
            f'randomness is "error", "different" or "same", not {randomness!r}'
        )
    return mapped


def _batch_size(values: list[Any], dims: list[Any]) -> int:
    sizes = set()
    for x, dim in zip(values, dims, strict=True):
        if dim is None:
            continue
        if not isinstance(x, Tensor):
            raise ArgumentError(
                f"vmap: an argument with in_dim={dim} is {x!r}, which is no Tensor; its "
                "in_dim is None"
            )
        if not -x.ndim <= dim < x.ndim:
            raise ArgumentError(f"vmap: in_dim={dim} for a Tensor of {x.ndim} axes")
        sizes.add(x.shape[dim])
    if len(sizes) != 1:
        raise ArgumentError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, "
            f"got sizes {sorted(sizes)}"
            if sizes
            else "vmap: Expected at least one Tensor to vmap over"
        )
    if sizes == {0}:
        raise ArgumentError("vmap: is a loop here, which needs at least one turn")
    return int(sizes.pop())


def _joined(results: tuple[Any, ...], dim: int | None) -> Any:
    if dim is None:
        return results[0]
    if not isinstance(results[0], Tensor):
        raise ArgumentError(
            f"vmap: the function must only return Tensors, got {type(results[0])}; "
            "out_dims is None for other results"
        )
    return stack(results, dim)


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters, and the buffers, of models of one class, each name's side by side.

    Leaves of their own; for vmap of a function that calls `functional_call`.
    """
    models = list(models)
    if len({type(model) for model in models}) != 1:
        raise ArgumentError(
            "stack_module_state: Expected models of one class, got "
            f"{sorted({type(model).__name__ for model in models})}"
        )

    def stacked(named: Function) -> dict[str, Any]:
        found = zip(*[named(model) for model in models], strict=True)
        return {
            of_all[0][0]: stack([x.detach() for _, x in of_all]).requires_grad_(
                of_all[0][1].requires_grad
            )
            for of_all in found
        }

    return (
        stacked(lambda model: model.named_parameters()),
        stacked(lambda model: model.named_buffers()),
    )


# ------------------------------------------------------- nested tuples, lists and dicts


def tree_map(function: Function, tree: Any, *others: Any) -> Any:
    """The tree with function(leaf, leaves of the others there) for each leaf."""
    if isinstance(tree, dict):
        pairs = [
            (key, tree_map(function, value, *[other[key] for other in others]))
            for key, value in tree.items()
        ]
        return type(tree)(pairs)
    if isinstance(tree, tuple | list):
        made = [tree_map(function, *parts) for parts in zip(tree, *others, strict=True)]
        return type(tree)(*made) if hasattr(tree, "_fields") else type(tree)(made)
    return function(tree, *others)


def _nested(tree: Any, values: Iterable[Any]) -> Any:
    """The tree with these in the place of its leaves."""
    left = iter(values)
    return tree_map(lambda _: next(left), tree)


def leaves(tree: Any) -> list[Any]:
    """What is no tuple, list or dict, in order."""
    found: list[Any] = []
    tree_map(found.append, tree)
    return found


def _spread(dims: Any, tree: Any, name: str, what: str) -> list[Any]:
    """The axis for each leaf of the tree."""
    if dims is None or isinstance(dims, int):
        return [dims for _ in leaves(tree)]

    def pairs() -> Iterator[tuple[Any, Any]]:
        if isinstance(dims, dict) and isinstance(tree, dict) and {*dims} == {*tree}:
            yield from [(dims[key], part) for key, part in tree.items()]
        elif (
            isinstance(dims, tuple | list)
            and isinstance(tree, tuple | list)
            and len(dims) == len(tree)
        ):
            yield from zip(dims, tree, strict=True)
        else:
            raise ArgumentError(
                f"vmap: {name} is not compatible with the structure of {what}: "
                f"{dims!r} for {_kind(tree)}"
            )

    return [dim for d, part in pairs() for dim in _spread(d, part, name, what)]


def _check_alike(name: str, tree: Any, of: str, other: Any) -> None:
    """ShapeError if two trees differ in shape, of themselves or of their Tensors."""
    if _kind(tree) != _kind(other):
        raise ShapeError(
            f"{name} must be as {of}, {_kind(other)}, but they are {_kind(tree)}"
        )


def _kind(tree: Any) -> str:
    """The tree for a message."""
    return repr(tree_map(lambda t: t.shape if isinstance(t, Tensor) else type(t), tree))


teach(__name__)
