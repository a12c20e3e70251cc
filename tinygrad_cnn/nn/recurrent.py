"""Recurrent layers: a state h that each step of a sequence changes.

A cell makes one step, a layer all of them. Both have the same four parameters: weight_ih
and bias_ih for the step's input, weight_hh and bias_hh for the state; of LSTM and GRU each
is several of these, gate below gate. All start uniform in ±1/√hidden_size.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..core.creation import empty, zeros
from ..core.engine import Tensor
from ..core.methods.shape import cat, stack
from ..errors import ArgumentError, DTypeError, ShapeError
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence, split_rows

States = tuple[Tensor, ...]
Step = Callable[[Tensor, States, Tensor, Tensor | None], States]


# ------------ one step: from W_ih x + b_ih and the state (N, …), with W_hh and b_hh


def _tanh_step(x: Tensor, state: States, w: Tensor, b: Tensor | None) -> States:
    return (F.tanh(x + F.linear(state[0], w, b)),)


def _relu_step(x: Tensor, state: States, w: Tensor, b: Tensor | None) -> States:
    return (F.relu(x + F.linear(state[0], w, b)),)


def _lstm_step(x: Tensor, state: States, w: Tensor, b: Tensor | None) -> States:
    h, c = state
    i, f, g, o = (x + F.linear(h, w, b)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru_step(x: Tensor, state: States, w: Tensor, b: Tensor | None) -> States:
    (h,) = state
    r_x, z_x, n_x = x.chunk(3, -1)
    r_h, z_h, n_h = F.linear(h, w, b).chunk(3, -1)
    r, z = (r_x + r_h).sigmoid(), (z_x + z_h).sigmoid()
    n = (n_x + r * n_h).tanh()
    return (n + z * (h - n),)


_NONLINEARITIES: dict[str, Step] = {"tanh": _tanh_step, "relu": _relu_step}


def _step_of(nonlinearity: str) -> Step:
    if nonlinearity not in _NONLINEARITIES:
        raise ArgumentError(
            f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
        )
    return _NONLINEARITIES[nonlinearity]


class _Recurrent(Module):
    """What cells and layers share: gates, parameters, states."""

    _gates: ClassVar[int] = 1
    _states: ClassVar[int] = 1
    """How many Tensors the state is: LSTM has h and c."""
    _usual: ClassVar[dict[str, Any]]
    """Options by their usual values, which the repr leaves out."""
    _step: Step

    input_size: int
    hidden_size: int

    def _add_parameters(
        self, suffix: str, inputs: int, outputs: int, bias: bool, factory: Any
    ) -> None:
        rows = self._gates * self.hidden_size
        weights = ("weight_ih", (rows, inputs)), ("weight_hh", (rows, outputs))
        for name, shape in (*weights, ("bias_ih", (rows,)), ("bias_hh", (rows,))):
            given = bias or name[0] == "w"
            values = Parameter(empty(shape, **factory)) if given else None
            if given or not suffix:  # a cell without biases has the names
                self.register_parameter(name + suffix, values)

    def reset_parameters(self) -> None:
        """Draw new values, uniform in ±1/√hidden_size."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def extra_repr(self) -> str:
        given = {name: getattr(self, name) for name in self._usual}
        unusual = [f", {k}={v}" for k, v in given.items() if v != self._usual[k]]
        return f"{self.input_size}, {self.hidden_size}{''.join(unusual)}"


# --------------------------------------------------------------------------------- cells


class _Cell(_Recurrent):
    _usual: ClassVar[dict[str, Any]] = {"bias": True}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        factory = {"device": device, "dtype": dtype}
        self._add_parameters("", input_size, hidden_size, bias, factory)
        self.reset_parameters()

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        name = type(self).__name__
        if input.ndim not in (1, 2):
            raise ArgumentError(
                f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead"
            )
        single = input.ndim == 1
        state = (hx,) if isinstance(hx, Tensor) else hx
        x = input.unsqueeze(0) if single else input
        if state is None:
            blank = zeros(len(x), self.hidden_size, dtype=x.dtype)
            state = (blank,) * self._states
        elif any(h.ndim != input.ndim for h in state):
            raise ArgumentError(
                f"{name}: Expected hidden to be {input.ndim}D, as the input is, got "
                f"{[h.ndim for h in state]}"
            )
        elif single:
            state = tuple([h.unsqueeze(0) for h in state])
        for h in state:
            if h.shape != (len(x), self.hidden_size):
                raise ShapeError(
                    f"{name}: hidden state {list(h.shape)} for an input {list(x.shape)}; "
                    f"expected {[len(x), self.hidden_size]}"
                )
        projected = F.linear(x, self.weight_ih, self.bias_ih)
        new = self._step(projected, state, self.weight_hh, self.bias_hh)
        found = tuple([h.squeeze(0) for h in new]) if single else new
        return found if self._states == 2 else found[0]


class RNNCell(_Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or ReLU for tanh.

    input (N, input_size) or (input_size), hx (N, hidden_size) or None, which is 0.
    """

    _usual: ClassVar[dict[str, Any]] = {"bias": True, "nonlinearity": "tanh"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def _step(self, *args: Any) -> States:
        return _step_of(self.nonlinearity)(*args)


class LSTMCell(_Cell):
    """A state h and a memory c, which gates keep and fill; both (N, hidden_size).

        i, f, o = σ(W_i x + V_i h + b_i), …;   g = tanh(W_g x + V_g h + b_g)
        c' = f · c + i · g;   h' = o · tanh(c')

    The rows of the parameters are those of i, f, g and o. hx and the result are (h, c).
    """

    _gates, _states = 4, 2
    _step = staticmethod(_lstm_step)


class GRUCell(_Cell):
    """A state h (N, hidden_size) that moves towards a new one as far as a gate lets it.

        r, z = σ(W_r x + V_r h + b_r), …;   n = tanh(W_n x + b_n + r · (V_n h + c_n))
        h' = n + z · (h − n)

    The rows of the parameters are those of r, z and n.
    """

    _gates = 3
    _step = staticmethod(_gru_step)


# -------------------------------------------------------------------------------- layers


class _Layers(_Recurrent):
    """num_layers layers over whole sequences, in both directions where bidirectional.

    dropout: between the layers, in training.
    """

    _usual: ClassVar[dict[str, Any]] = {
        "proj_size": 0,
        "num_layers": 1,
        "bias": True,
        "batch_first": False,
        "dropout": 0,
        "bidirectional": False,
    }

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional = dropout, bidirectional
        self.proj_size = proj_size
        self._check_options()
        factory = {"device": device, "dtype": dtype}
        outputs = proj_size or hidden_size
        for layer in range(num_layers):
            inputs = outputs * len(self._directions) if layer else input_size
            for direction in self._directions:
                suffix = f"_l{layer}{direction}"
                self._add_parameters(suffix, inputs, outputs, bias, factory)
                if proj_size:
                    projection = Parameter(empty(proj_size, hidden_size, **factory))
                    self.register_parameter(f"weight_hr{suffix}", projection)
        self.reset_parameters()

    def _check_options(self) -> None:
        if isinstance(self.dropout, bool) or not 0 <= self.dropout <= 1:
            raise ArgumentError(
                "dropout should be a number in range [0, 1] representing the probability "
                f"of an element being zeroed, got {self.dropout}"
            )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so "
                "non-zero dropout expects num_layers greater than 1, but got "
                f"dropout={self.dropout} and num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name in ("bias", "batch_first", "bidirectional"):
            if not isinstance(value := getattr(self, name), bool):
                raise DTypeError(f"{name} should be of type bool, got {value!r}")
        for name in ("input_size", "hidden_size", "num_layers"):
            value = getattr(self, name)
            if not isinstance(value, int):
                raise DTypeError(f"{name} should be of type int, got {value!r}")
            if value <= 0:
                raise ArgumentError(f"{name} must be greater than zero, got {value}")
        if not 0 <= self.proj_size < self.hidden_size:
            raise ArgumentError(
                "proj_size has to be a positive integer, smaller than hidden_size, or "
                f"zero to disable projections; got {self.proj_size}"
            )

    @property
    def _directions(self) -> tuple[str, ...]:
        """How the names of each direction's parameters end."""
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        kinds = ["weight_ih", "weight_hh", *["bias_ih", "bias_hh"] * self.bias]
        kinds += ["weight_hr"] * (self.proj_size > 0)
        return [
            [getattr(self, f"{kind}_l{layer}{direction}") for kind in kinds]
            for layer in range(self.num_layers)
            for direction in self._directions
        ]

    def flatten_parameters(self) -> None:
        """Nothing: PyTorch's, for the memory of a GPU."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(output, states): the last layer's h at each step, and the states at the end.

        input: (L, N, input_size), (N, L, input_size) with batch_first, (L, input_size), or
        a PackedSequence; output has the same form, both directions side by side. hx and
        states, (h, c) of an LSTM: (num_layers · directions, N, hidden_size); None is 0.
        """
        states = (hx,) if isinstance(hx, Tensor) else hx
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, states)
        if input.ndim not in (2, 3):
            raise ArgumentError(
                f"{type(self).__name__}: Expected input to be 2D or 3D, got "
                f"{input.ndim}D instead"
            )
        single = input.ndim == 2
        axis = 1 if single or not self.batch_first else 0
        x = input.unsqueeze(1) if single else input
        x = x.transpose(0, 1) if axis == 0 else x
        if single and states is not None:
            self._check_axes(states, 2)
            states = tuple([s.unsqueeze(1) for s in states])
        steps, batch = x.shape[:2]
        self._check_input(x)
        y, states = self._run(x.flatten(0, 1), [batch] * steps, states)
        y = y.reshape(steps, batch, y.shape[-1])
        if single:
            y, states = y.squeeze(1), tuple([s.squeeze(1) for s in states])
        return y.transpose(0, 1) if axis == 0 else y, self._as_given(states)

    def _forward_packed(self, packed: PackedSequence, states: Any) -> Any:
        order, back = packed.sorted_indices, packed.unsorted_indices
        if order is not None and states is not None:
            states = tuple([s[:, order] for s in states])
        self._check_input(packed.data)
        y, states = self._run(packed.data, packed.batch_sizes.tolist(), states)
        if back is not None:
            states = tuple([s[:, back] for s in states])
        return packed._replace(data=y), self._as_given(states)

    def _as_given(self, states: States) -> Any:
        return states if self._states == 2 else states[0]

    def _check_input(self, x: Tensor) -> None:
        if x.shape[-1] != self.input_size:
            raise ShapeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {x.shape[-1]}"
            )

    def _check_axes(self, states: Sequence[Tensor], ndim: int) -> None:
        if any(s.ndim != ndim for s in states):
            raise ShapeError(
                f"{type(self).__name__}: the initial states have as many axes as the "
                f"input, {ndim}, got {[s.ndim for s in states]}"
            )

    def _initial_states(self, given: Any, batch: int, dtype: Any) -> list[States]:
        """The state of each layer and direction before the first step."""
        layers = self.num_layers * len(self._directions)
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: self._states]
        if given is None:
            blank = tuple([zeros(batch, size, dtype=dtype) for size in sizes])
            return [blank] * layers
        self._check_axes(given, 3)
        for i, (state, size) in enumerate(zip(given, sizes, strict=True)):
            expected = (layers, batch, size)
            if state.shape != expected:
                which = f"hidden[{i}]" if len(sizes) > 1 else "hidden"
                raise ShapeError(
                    f"Expected {which} size {expected}, got {list(state.shape)}"
                )
        return list(zip(*[s.unbind(0) for s in given], strict=True))

    def _run(
        self, x: Tensor, sizes: Sequence[int], given: Any
    ) -> tuple[Tensor, States]:
        """All layers over x (Σ sizes, …), the packed steps of falling `sizes`."""
        starts = self._initial_states(given, sizes[0] if sizes else 0, x.dtype)
        weights, ends = self.all_weights, list[States]()
        for layer in range(self.num_layers):
            if layer:
                x = F.dropout(x, self.dropout, self.training)
            both = []
            for direction in self._directions:
                k = len(ends)
                y, end = self._run_one(x, sizes, starts[k], weights[k], direction)
                both.append(y)
                ends.append(end)
            x = cat(both, -1) if len(both) > 1 else both[0]
        return x, tuple([stack(each) for each in zip(*ends, strict=True)])

    def _run_one(
        self,
        x: Tensor,
        sizes: Sequence[int],
        state: States,
        weights: Sequence[Parameter],
        direction: str,
    ) -> tuple[Tensor, States]:
        """One layer in one direction: h at each step, packed, and the last state."""
        w_ih, w_hh, *rest = weights
        projection = rest.pop() if self.proj_size else None
        b_ih, b_hh = rest or (None, None)
        # The input's share of all steps at once; the state's has to wait for the state.
        steps = split_rows(F.linear(x, w_ih, b_ih), sizes)
        outputs = []
        for step in reversed(steps) if direction else steps:
            n = len(step)
            idle: States = ()  # of sequences that have ended, or not begun
            if n < len(state[0]):
                idle, state = (
                    tuple([s[n:] for s in state]),
                    tuple([s[:n] for s in state]),
                )
            state = self._step(step, state, w_hh, b_hh)
            if projection is not None:
                state = (F.linear(state[0], projection), *state[1:])
            outputs.append(state[0])
            if idle:
                state = tuple([cat(pair) for pair in zip(state, idle, strict=True)])
        return cat(outputs[::-1] if direction else outputs), state


class RNN(_Layers):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh) at each step, or ReLU for tanh.

    See `forward` for shapes.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _step_of(nonlinearity)
        options = num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(input_size, hidden_size, *options, 0, device, dtype)
        self.nonlinearity = nonlinearity

    def _step(self, *args: Any) -> States:
        return _step_of(self.nonlinearity)(*args)


class LSTM(_Layers):
    """The steps of `LSTMCell`; see `forward` for shapes.

    proj_size: h is W_hr times what it would be, and has this many values.
    """

    _gates, _states = 4, 2
    _step = staticmethod(_lstm_step)


class GRU(_Layers):
    """The steps of `GRUCell`; see `forward` for shapes."""

    _gates = 3
    _step = staticmethod(_gru_step)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        options = num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(input_size, hidden_size, *options, 0, device, dtype)
