"""PyTorch's functions of functions: Jacobians and Hessians, and products with them.

Each calls func(*inputs) on Tensors of its own that share the memory of the inputs, and
leaves every `.grad` alone. Inputs and results may be a Tensor or a tuple of them; what is
returned is nested likewise. Common arguments:

create_graph: record what is computed, so that inputs that require gradients get them.
strict: refuse, with AutogradError, a result that does not depend on an input; else its
    gradient is zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.creation import ones_like, zeros, zeros_like
from ..core.engine import Tensor
from ..core.gradients import grad
from ..core.methods.shape import stack
from ..core.recording import enable_grad
from ..errors import ArgumentError, AutogradError, DTypeError, ShapeError
from ..missing import teach

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Found = Sequence[Tensor | None]

INDEPENDENT = " of the user-provided function is independent of input {}"


@enable_grad()
def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """∂output/∂input of func(*inputs): the shape of the output, then that of the input.

    A tuple of them for a tuple of inputs; one of these for each output of a tuple. There
    is a backward pass for each value of the outputs, whatever vectorize and strategy are.
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ArgumentError(
            f'strategy is "reverse-mode" or "forward-mode", not {strategy!r}'
        )
    if strategy == "forward-mode" and not vectorize:
        raise ArgumentError("the forward-mode strategy needs vectorize=True")
    if strict and vectorize:
        raise ArgumentError("strict=True and vectorize=True do not go together")
    call = _Call("jacobian", func, inputs, create_graph, strict)
    made = [call.jacobian(i) for i in range(len(call.outputs))]
    return call.as_outputs([call.as_inputs(row) for row in made])


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """∂²output/∂input∂input of func(*inputs), which has one element.

    For a tuple of inputs a tuple of tuples: [i][j] has the shape of input i, then of j.
    vectorize and outer_jacobian_strategy as those of `jacobian`.
    """
    alone = isinstance(inputs, Tensor)

    def gradients(*given: Tensor) -> Any:
        call = _Call("hessian", func, given, True, strict, scalar=True)
        return call.gradients()

    options = create_graph, strict, vectorize, outer_jacobian_strategy
    made = jacobian(gradients, (inputs,) if alone else inputs, *options)
    return made[0][0] if alone else made


@enable_grad()
def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs of func(*inputs), and Σ v ∂output/∂input for each input.

    v: as the outputs; may be left out where that is one element.
    """
    call = _Call("vjp", func, inputs, create_graph, strict)
    weights = call.vectors(v, call.outputs)
    return call.results(), call.as_inputs(call.gradients(weights))


@enable_grad()
def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs of func(*inputs), and Σ ∂output/∂input v for each output.

    v: as the inputs; may be left out where that is one element. The vector-Jacobian
    product is linear in its vector; the derivative by that is what is returned.
    """
    call = _Call("jvp", func, inputs, create_graph, strict)
    along = call.vectors(v, call.inputs)
    return call.results(), call.as_outputs(call.pushed(call.outputs, along))


@enable_grad()
def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The output of func(*inputs), one element, and its Hessian times v for each input.

    v: as the inputs. `vhp` is faster, and the same where the Hessian is symmetric.
    """
    call = _Call("hvp", func, inputs, create_graph, strict, scalar=True)
    along = call.vectors(v, call.inputs)
    slopes = call.gradients(create_graph=True)
    return call.results(), call.as_inputs(call.pushed(slopes, along))


@enable_grad()
def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The output of func(*inputs), one element, and v times its Hessian for each input.

    v: as the inputs.
    """
    call = _Call("vhp", func, inputs, create_graph, strict, scalar=True)
    along = call.vectors(v, call.inputs)
    slopes = call.gradients(create_graph=True)
    found = pulled(slopes, call.inputs, along, create_graph)
    what = "The jacobian" + INDEPENDENT
    return call.results(), call.as_inputs(call.filled(found, call.inputs, what))


class _Call:
    """func(*inputs) as it is differentiated: `inputs` that ask for gradients, `outputs`."""

    def __init__(
        self,
        name: str,
        func: Callable[..., Any],
        inputs: Any,
        create_graph: bool,
        strict: bool,
        scalar: bool = False,
    ) -> None:
        self.create_graph, self.strict = create_graph, strict
        self.inputs = [
            x.clone()
            if create_graph and x.requires_grad
            else x.detach().requires_grad_()
            for x in _listed(inputs, f"the inputs given to {name}")
        ]
        self.several_inputs = not isinstance(inputs, Tensor)
        outputs = func(*self.inputs)
        self.outputs = _listed(outputs, f"the outputs of the function given to {name}")
        self.several = not isinstance(outputs, Tensor)
        if scalar and (self.several or outputs.numel() != 1):
            raise ShapeError(
                f"the function given to {name} should return a single Tensor with a "
                "single element"
            )
        for i, y in enumerate(self.outputs):
            if strict and not y.requires_grad:
                raise AutogradError(
                    f"Output {i} of the user-provided function does not require "
                    "gradients. It must be computed from the inputs in strict mode."
                )

    def as_inputs(self, made: Sequence[Any]) -> Any:
        return tuple(made) if self.several_inputs else made[0]

    def as_outputs(self, made: Sequence[Any]) -> Any:
        return tuple(made) if self.several else made[0]

    def results(self) -> Any:
        """The outputs for the user."""
        keep = self.create_graph
        return self.as_outputs([y if keep else y.detach() for y in self.outputs])

    def vectors(self, v: Any, like: list[Tensor]) -> list[Tensor]:
        """v as a list, of the shapes of these Tensors."""
        if v is None:
            if len(like) > 1 or like[0].numel() != 1:
                raise ArgumentError(
                    "The vector v can only be None where it would have a single element, "
                    f"but it must have {[list(x.shape) for x in like]}"
                )
            return [ones_like(like[0])]
        given = _listed(v, "v")
        if len(given) != len(like):
            raise ArgumentError(
                f"v is a tuple of invalid length: should be {len(like)} but got "
                f"{len(given)}."
            )
        for x, one in zip(like, given, strict=True):
            if x.shape != one.shape:
                raise ShapeError(
                    f"v has invalid size: should be {x.shape} but got {one.shape}."
                )
        return given

    def gradients(
        self, weights: Found | None = None, create_graph: bool | None = None
    ) -> list[Tensor]:
        """Σ weight ∂output/∂input for each input."""
        keep = self.create_graph if create_graph is None else create_graph
        weights = [None] * len(self.outputs) if weights is None else weights
        found = pulled(self.outputs, self.inputs, weights, keep)
        return self.filled(found, self.inputs, "The output" + INDEPENDENT)

    def jacobian(self, i: int) -> list[Tensor]:
        """∂(output i)/∂input for each input."""
        output, what = self.outputs[i], f"Output {i}{INDEPENDENT}"
        found = each_row(output, self.inputs, self.create_graph)
        return as_jacobians(
            [self.filled(row, self.inputs, what) for row in found], output, self.inputs
        )

    def pushed(self, results: list[Tensor], along: list[Tensor]) -> list[Tensor]:
        """Σ ∂result/∂input · along for each result."""
        found = pushed(results, self.inputs, along, self.create_graph)
        what = "Result {} does not depend on the inputs"
        return self.filled(found, results, what)

    def filled(self, found: Found, like: Sequence[Tensor], what: str) -> list[Tensor]:
        """With zeros in place of None; strict calls refuse these.

        what: the sentence then, {} being the place.
        """
        for i, d in enumerate(found):
            if self.strict and (
                d is None or (self.create_graph and not d.requires_grad)
            ):
                sentence = what if d is None else "The jacobian" + INDEPENDENT
                order = "" if d is None else " when create_graph=True"
                raise AutogradError(
                    f"{sentence.format(i)}. This is not allowed in strict mode{order}."
                )
        pairs = zip(found, like, strict=True)
        return [zeros_like(x) if d is None else d for d, x in pairs]


def pulled(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], weights: Found, keep: bool
) -> Found:
    """Σ weight ∂output/∂input for each input, None where no output depends on it."""
    behind = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    if not behind:
        return [None] * len(inputs)
    results, given = zip(*behind, strict=True)
    options = {"retain_graph": True, "create_graph": keep, "allow_unused": True}
    return grad(results, inputs, given, **options)


def pushed(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], along: Found, keep: bool
) -> Found:
    """Σ ∂output/∂input · along for each output: the slope of `pulled` in its weights."""
    weights = [zeros_like(y).requires_grad_() for y in outputs]
    back = pulled(outputs, inputs, weights, True)
    met = [(d, v) for d, v in zip(back, along, strict=True) if d is not None]
    if not met:
        return [None] * len(outputs)
    gradients, vectors = zip(*met, strict=True)
    return pulled(gradients, weights, vectors, keep)


def each_row(output: Tensor, inputs: Sequence[Tensor], keep: bool) -> list[Found]:
    """∂(one value of the output)/∂input for each value."""
    units = np.eye(output.numel(), dtype=output.dtype)
    return [
        pulled([output], inputs, [Tensor._wrap(unit.reshape(output.shape))], keep)
        for unit in units
    ]


def as_jacobians(
    rows: Sequence[Sequence[Tensor]], output: Tensor, inputs: Sequence[Tensor]
) -> list[Tensor]:
    """The gradients of each value of the output, as one Tensor for each input."""
    if not rows:
        return [zeros((*output.shape, *x.shape), dtype=x.dtype) for x in inputs]
    columns = zip(*rows, inputs, strict=True)
    return [stack(ds).reshape((*output.shape, *x.shape)) for *ds, x in columns]


def _listed(given: Any, what: str) -> list[Tensor]:
    listed = [given] if isinstance(given, Tensor) else given
    if not isinstance(listed, tuple | list) or not all(
        isinstance(t, Tensor) for t in listed
    ):
        raise DTypeError(
            f"{what} must be either a Tensor or a tuple of Tensors, but got {type(given)}"
        )
    return list(listed)


teach(__name__)
