"""What all optimisers share: groups of parameters, their options, and a state for each."""

from __future__ import annotations

import copy
import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from itertools import chain
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from ..core.engine import Tensor
from ..core.methods.gradient import HookHandle
from ..core.recording import Where, enable_grad, no_grad
from ..errors import ArgumentError, DTypeError, ShapeError

Array = np.ndarray[Any, Any]
Group = dict[str, Any]

_NOT_HERE = ("foreach", "fused", "capturable", "differentiable")
_WORDS = {"lr": "learning rate", "eps": "epsilon value"}


def check_not_negative(**options: Any) -> None:
    """Refuse, in PyTorch's words, an option that is no number ≥ 0."""
    for name, value in options.items():
        what = f"Invalid {_WORDS.get(name, f'{name} value')}: "
        if not isinstance(value, Real):
            raise DTypeError(f"{what}expected a number, got {type(value).__name__}")
        if not float(value) >= 0:
            raise ArgumentError(f"{what}{value}; expected a number of at least 0")


def check_betas(betas: Iterable[float]) -> None:
    """Refuse decays outside 0 ≤ β < 1."""
    for i, beta in enumerate(betas):
        if not 0 <= beta < 1:
            raise ArgumentError(
                f"Invalid beta parameter at index {i}: {beta}; expected 0 ≤ β < 1"
            )


def options(arguments: dict[str, Any]) -> dict[str, Any]:
    """The options among a constructor's `locals()`: the defaults of the groups."""
    others = ("self", "params", "__class__")
    return {name: value for name, value in arguments.items() if name not in others}


def with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """A `step` that calls the hooks before and after it."""

    @functools.wraps(step)
    def stepped(*args: Any, **kwargs: Any) -> Any:
        self = args[0]
        for hook in list(self._step_pre_hooks.values()):
            changed = hook(self, args, kwargs)
            if changed is None:
                continue
            if not (isinstance(changed, tuple) and len(changed) == 2):
                raise DTypeError(
                    f"{hook} must return None or a tuple of (new_args, new_kwargs), but "
                    f"got {changed}."
                )
            args, kwargs = changed
        loss = step(*args, **kwargs)
        for hook in list(self._step_post_hooks.values()):
            hook(self, args, kwargs)
        return loss

    return stepped


class Optimizer:
    """Base of the optimisers; a new one defines `_update` (or its own `step`).

    params: Tensors, or (name, Tensor) pairs, or dicts {"params": ..., option: value} whose
    options stand in for `defaults`.
    Raises DTypeError for what is no Tensor, ArgumentError for no parameters, a Tensor that
    was computed, a Tensor in two groups, or options of PyTorch that mean nothing here
    (foreach, fused, capturable, differentiable).
    """

    _numbers: ClassVar[tuple[str, ...]] = ("step",)
    """What in a parameter's state is a number."""

    def __init_subclass__(cls) -> None:
        if "step" in vars(cls):
            cls.step = with_hooks(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise DTypeError(
                "params argument given to the optimizer should be an iterable of "
                f"Tensors or dicts, but got {type(params).__name__}"
            )
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._opt_called = False
        self._step_pre_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._step_post_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._memory: dict[Any, Array] = {}
        self._views: dict[Any, tuple[Array, ...]] = {}
        groups = list(params)
        if not groups:
            raise ArgumentError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Optimise more parameters: {"params": ..., option: value}."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise DTypeError(
                'param_group must be a dict with the key "params", '
                f"but got {type(param_group).__name__}: {param_group!r}"
            )
        given = param_group["params"]
        if isinstance(given, set):
            raise DTypeError(
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. "
                "Please use a list instead."
            )
        params = [given] if isinstance(given, Tensor) else list(given)
        names = [entry[0] for entry in params if isinstance(entry, tuple)]
        if names:
            if len(names) != len(params):
                raise ArgumentError(
                    "all optimizer params should be with/without names. "
                    "Some param names are missing"
                )
            params = [parameter for _, parameter in params]
            param_group["param_names"] = names
        self._check(params, bool(names))
        param_group["params"] = params
        for option, default in self.defaults.items():
            param_group.setdefault(option, default)
        for option in _NOT_HERE:
            if param_group.get(option):
                raise ArgumentError(
                    f"{option}={param_group[option]} is not available here: updates are "
                    "made in place by NumPy, one parameter at a time; leave it out"
                )
        self.param_groups.append(param_group)

    def _check(self, params: list[Any], named: bool) -> None:
        for p in params:
            if not isinstance(p, Tensor):
                raise DTypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__name__}"
                )
            if not (p.is_leaf or p.retains_grad):
                raise ArgumentError("can't optimize a non-leaf Tensor")
        if len(set(params)) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters",
                stacklevel=5,
            )
        for group in self.param_groups:
            if ("param_names" in group) != named:
                raise ArgumentError(
                    "all optimizer param groups should be with/without names. cannot add "
                    f"param group {'with' if named else 'without'} names to the optimizer"
                )
            if not set(params).isdisjoint(group["params"]):
                raise ArgumentError(
                    "some parameters appear in more than one parameter group"
                )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; with `set_to_none` False, set them to 0."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad = p.grad.detach().zero_()

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call hook(optimizer, args, kwargs) before each step; args begins with the
        optimizer. What it returns replaces (args, kwargs).
        """
        return HookHandle(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call hook(optimizer, args, kwargs) after each step."""
        return HookHandle(self._step_post_hooks, hook)

    @with_hooks
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update, in place, each parameter that has a gradient.

        closure: called first, with gradients on; computes the loss anew, which is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._opt_called = True
        with no_grad(), np.errstate(all="ignore"):
            where = Where()
            for group in self.param_groups:
                decay, maximize = 0.0, group.get("maximize")
                if "weight_decay" in self.defaults:
                    decay = float(group["weight_decay"])
                if group.get("decoupled_weight_decay"):
                    decay = 0.0
                for p in group["params"]:
                    grad = p.grad
                    if grad is None:
                        continue
                    p.check_in_place()
                    work, spare, own = self._get_scratch(p._array)
                    g = grad._array
                    if maximize:
                        g = np.negative(g, out=own)
                    if decay != 0:
                        g = np.add(g, np.multiply(p._array, decay, out=work), out=own)
                    self._update(p, g, group, work, spare)
                    p.mark_changed(where)
        return loss

    def _update(
        self, p: Tensor, g: Array, group: Group, work: Array, spare: Array
    ) -> None:
        """Change p._array by the direction g; `work` and `spare` are scratch memory."""
        raise NotImplementedError

    def _get_scratch(self, like: Array) -> tuple[Array, ...]:
        """Three arrays of that shape and dtype, in memory that all parameters share."""
        key = like.shape, like.dtype.char
        views = self._views.get(key)
        if views is None:
            memory = self._memory.get(like.dtype)
            if memory is None or memory.shape[1] < like.size:
                memory = self._memory[like.dtype] = np.empty((3, like.size), like.dtype)
                self._views.clear()  # of the memory before
            block = memory[:, : like.size].reshape(3, *like.shape)
            views = self._views[key] = tuple([block[i, ...] for i in range(3)])
        return views

    def _get_state(self, p: Tensor, name: str) -> Array:
        """The array `name` of p's state; zeros at first."""
        state = self.state[p]
        if state.get(name) is None:
            state[name] = Tensor._wrap(np.zeros_like(p._array))
        array: Array = state[name]._array
        return array

    def _count_update(self, p: Tensor) -> int:
        """Which update of p this is, from 1."""
        step = self.state[p]["step"] = int(self.state[p].get("step", 0)) + 1
        return step

    def state_dict(self) -> dict[str, Any]:
        """{"state": {i: {...}}, "param_groups": [{..., "params": [i, ...]}]}.

        Parameters are numbered through the groups. The state's Tensors are the live ones:
        save or deepcopy it before the next step. `step` is an int.
        """
        index: dict[Any, int] = {}
        params = chain.from_iterable(group["params"] for group in self.param_groups)
        for i, p in enumerate(params):
            index.setdefault(p, i)
        groups = [
            {**group, "params": [index[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {index.get(key, key): values for key, values in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a copy of another's options and state, cast to the parameters' dtypes.

        State values may be Tensors, arrays or numbers; `step` a number or a Tensor.
        """
        if not {"state", "param_groups"} <= set(state_dict):
            raise ArgumentError(
                'an optimizer\'s state dict has the keys "state" and "param_groups", '
                f"got {list(state_dict)}"
            )
        groups, saved = self.param_groups, copy.deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved):
            raise ArgumentError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved)}, the optimizer has {len(groups)}"
            )
        params: dict[Any, Tensor] = {}
        for i, (group, other) in enumerate(zip(groups, saved, strict=True)):
            if len(group["params"]) != len(other["params"]):
                raise ArgumentError(
                    "loaded state dict contains a parameter group that doesn't match the "
                    f"size of optimizer's group: {len(other['params'])} parameters in "
                    f"group {i}, the optimizer has {len(group['params'])}"
                )
            params.update(zip(other["params"], group["params"], strict=True))
            other["params"] = group["params"]
            if "param_names" in group:
                other.setdefault("param_names", group["param_names"])
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, values in state_dict["state"].items():
            if key in params:
                p = params[key]
                state[p] = {
                    name: self._copy_state(p, name, v) for name, v in values.items()
                }
            elif str(key).isdigit():
                raise ArgumentError(
                    f"loaded state dict has a state for parameter {key!r}, which is in "
                    f"none of its groups; known are {list(params)}"
                )
            else:
                state[key] = values
        self.state = state
        self.param_groups = [{**self.defaults, **other} for other in saved]

    def _copy_state(self, p: Tensor, name: str, value: Any) -> Any:
        if name in self._numbers:
            return int(value) if name == "step" else float(value)
        if not isinstance(value, Tensor | np.ndarray):
            return copy.deepcopy(value)
        array = value._array if isinstance(value, Tensor) else value
        if array.shape != p.shape:
            raise ShapeError(
                f"loaded state dict has {name} of shape {list(array.shape)} for a "
                f"parameter of shape {list(p.shape)}"
            )
        return Tensor._wrap(np.array(array, dtype=p.dtype))

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return "\n".join([*lines, ")"])
