"""Whether a model does the same at each step, as far as its code can show.

The code of forward, and of whatever it reaches, is read instruction by instruction. What
it loads from outside of itself must be something that cannot change unseen: a module, a
parameter or a buffer of the model, a number or a text, a function that is itself such, or
of this package. Each look-up is a fact, which is looked up again at each step. Whatever
else is met is the reason why the model is not provable: in doubt it is not.
"""

from __future__ import annotations

import builtins
import dis
import math
import os
import types
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core.engine import Tensor
from ..errors import PlanningError
from ..nn import Module, Parameter
from ..nn.hooks import Hooked
from ..nn.state import State
from .tracing import Loss, modules_of

Fact = tuple[Callable[..., Any], tuple[Any, ...], Any]
"""A look-up, its arguments, and what it gave."""

PACKAGE = __name__.partition(".")[0]
FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
FUNCTIONS = ("core.methods.", "core.creation", "nn.functional.", "nn.loss", "ops.")
"""The modules of this package whose functions give nothing but their results; where they
draw or read values, tracing notices.
"""
MISSING = object()
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), np.dtype)
BUILTINS = [
    "abs",
    "all",
    "any",
    "bool",
    "enumerate",
    "float",
    "int",
    "isinstance",
    "len",
    "list",
    "max",
    "min",
    "range",
    "reversed",
    "round",
    "slice",
    "str",
    "sum",
    "tuple",
    "zip",
]
OF_CONTAINERS = [
    "append",
    "count",
    "extend",
    "get",
    "index",
    "insert",
    "items",
    "keys",
    "pop",
    "values",
]
OF_MODULES = [
    "children",
    "forward",
    "modules",
    "named_children",
    "named_modules",
    "named_parameters",
    "parameters",
    "items",
    "keys",
    "values",
]
DEPENDING_ON_MEMORY = [
    "data_ptr",
    "grad",
    "grad_fn",
    "is_contiguous",
    "storage_offset",
    "stride",
]
OVERRIDABLE = {"__init__", "forward", "extra_repr", "__repr__", "__slots__"}

_ALLOWED = (
    "BEFORE_WITH BINARY_ BUILD_LIST BUILD_MAP BUILD_SET BUILD_SLICE BUILD_STRING "
    "BUILD_TUPLE BUILD_CONST CACHE CALL CHECK_EXC_MATCH COMPARE_OP CONTAINS_OP COPY "
    "DICT_ END_ EXTENDED_ARG FORMAT_ FOR_ITER GET_ITER GET_LEN IS_OP JUMP_ KW_NAMES "
    "LIST_ LOAD_ASSERTION_ERROR LOAD_CLOSURE LOAD_COMMON_CONSTANT LOAD_CONST "
    "LOAD_FAST LOAD_SMALL_INT LOAD_SPECIAL MAKE_CELL MAKE_FUNCTION MAP_ADD NOP "
    "NOT_TAKEN POP_ PRECALL PUSH_ RAISE_VARARGS RERAISE RESUME RETURN_ SET_ADD "
    "SET_FUNCTION_ATTRIBUTE SET_UPDATE STORE_FAST SWAP TO_BOOL UNARY_ UNPACK_ "
    "WITH_EXCEPT_START YIELD_VALUE COPY_FREE_VARS"
)
ALLOWED = tuple(_ALLOWED.split())
"""How the names of instructions begin that touch nothing but values already there."""


def proven(model: Module, loss: Loss | None) -> list[Fact]:
    """The facts on which it rests that steps of this model are alike.

    Raises PlanningError with the reason where that cannot be shown.
    """
    proof = _Proof(modules_of(model, loss))
    for module in proof.modules:
        proof.check_module(module)
    if loss is not None and not isinstance(loss, Module):
        proof.check_value(loss, "the loss")
    once = {(get, *map(id, given)): (get, given, x) for get, given, x in proof.facts}
    return list(once.values())


def holds(facts: Sequence[Fact]) -> bool:
    """Whether every look-up still gives what it gave."""
    return all(_same(get(*given), value) for get, given, value in facts)


def _same(a: Any, b: Any) -> bool:
    # 0.0 and -0.0 are equal, and not the same: what is equal must also look alike.
    return a is b or (type(a) is type(b) and type(a) in PLAIN and repr(a) == repr(b))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


class _Proof:
    """The modules of a model, the facts found so far, and the code already read."""

    def __init__(self, modules: list[Module]) -> None:
        self.modules, self.facts = modules, list[Fact]()
        self.read = set[Any]()
        self.held = {id(t) for m in modules for t in (*m.parameters(), *m.buffers())}

    def look_up(self, get: Callable[..., Any], *given: Any) -> Any:
        """What the look-up gives, and give it again it must."""
        value = get(*given)
        self.facts.append((get, given, value))
        return value

    # ------------------------------------------------------------------------ values

    def check_module(self, module: Module) -> None:
        """Its class, what it holds where the package reads it, and its forward."""
        kind, name = type(module), type(module).__name__
        for base in kind.__mro__:
            if not _ours(base) and base is not object:
                _check_overridden(base)
        for hook in ("__call__", "__getattribute__", "__getattr__"):
            found = self.look_up(getattr, kind, hook, MISSING)
            if not _ours(found) and found is not object.__getattribute__:
                raise PlanningError(f"{name} has a {hook} of its own")
        own: Any = vars(module).get("forward", MISSING)
        forward = self.look_up(getattr, kind, "forward") if own is MISSING else own
        if _ours(forward) and own is MISSING:
            for base in kind.__mro__:
                if not _ours(base) and any(map(_is_property, vars(base).values())):
                    raise PlanningError(f"{base.__name__} has a property")
            for key, value in vars(module).items():
                if not key.startswith("_"):
                    self.check_value(value, f"{name}.{key}")
        elif isinstance(forward, types.FunctionType) and own is MISSING:
            self.check_function(forward, module)
        elif isinstance(forward, types.MethodType) and forward.__self__ is module:
            self.check_function(forward.__func__, module)
        else:
            self.check_value(forward, f"{name}.forward")

    def check_value(self, value: Any, what: str) -> None:
        """Refuse what may change inside, or may do anything when it is called."""
        if isinstance(value, tuple) and type(value) is tuple:
            for i, item in enumerate(value):
                self.check_value(item, f"{what}[{i}]")
        elif isinstance(value, partial) and type(value) is partial:
            self._check_partial(value, what)
        elif isinstance(value, types.FunctionType):
            self.check_function(value)
        elif isinstance(value, types.MethodType):
            if not any(value.__self__ is m for m in self.modules):
                raise PlanningError(f"{what} is a method of something outside")
            owner: Any = value.__self__
            self.check_function(value.__func__, owner)
        elif isinstance(value, Module):
            if not any(value is m for m in self.modules):
                raise PlanningError(f"{what} is a module that is no part of the model")
        elif isinstance(value, Tensor):
            if id(value) not in self.held:
                raise PlanningError(f"{what} is a Tensor that no module holds")
        elif not _is_constant(value):
            kind = type(value).__name__
            raise PlanningError(f"{what}, a {kind}, may change or do anything")

    def _check_partial(self, value: Any, what: str) -> None:
        self.check_value(value.func, what)
        self.check_value(value.args, what)
        self.look_up(len, value.keywords)
        for name in value.keywords:
            given = self.look_up(value.keywords.get, name)
            self.check_value(given, f"{name} of {what}")

    # -------------------------------------------------------------------------- code

    def check_function(self, function: Any, module: Module | None = None) -> None:
        """Read the code of a function, or of a method of this module."""
        code = self.look_up(getattr, function, "__code__", MISSING)
        if (function, id(module)) in self.read:
            return
        self.read.add((function, id(module)))
        if _ours(function):
            self._check_ours(function)
            return
        name = function.__qualname__
        for defaults in ("__defaults__", "__kwdefaults__"):
            given = self.look_up(getattr, function, defaults)
            values = given.values() if isinstance(given, dict) else given or ()
            if isinstance(given, dict):
                raise PlanningError(f"{name} has defaults by name")
            for value in values:
                self.check_value(value, f"a default of {name}")
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        self._read_code(code, function.__globals__, cells, module, None)

    def _check_ours(self, function: Any) -> None:
        where = function.__module__.removeprefix(f"{PACKAGE}.")
        known = where.startswith(FUNCTIONS)
        if not known and function.__name__ not in OF_MODULES:
            raise PlanningError(f"it calls {where}.{function.__name__}")

    def _read_code(
        self,
        code: types.CodeType,
        names: dict[str, Any],
        cells: dict[str, Any],
        module: Module | None,
        own: str | None,
    ) -> None:
        """own: the name that the module has, where the code lies within a method."""
        first = code.co_varnames[0] if module and code.co_argcount else None
        me = first if own is None else own
        if own and own in code.co_varnames:
            raise PlanningError(f"{code.co_name} has a {own} of its own")
        instructions = list(dis.get_instructions(code))
        known, chain = MISSING, ""  # what was loaded last, if it is known, and its name
        for at in instructions:
            op, name = at.opname, at.argval
            if op in ("CACHE", "EXTENDED_ARG", "PUSH_NULL"):
                continue
            if op in ("LOAD_ATTR", "LOAD_METHOD"):
                known, chain = self._attribute(known, str(name), chain)
                continue
            self._use(known, chain)
            known, chain = MISSING, str(name)
            if op in ("LOAD_GLOBAL", "LOAD_NAME"):
                known = self._global(names, name)
            elif op.startswith(("LOAD_FAST", "STORE_FAST", "DELETE_FAST")):
                known = self._local(op, name, me, module)
            elif op in ("LOAD_DEREF", "LOAD_CLASSDEREF"):
                if name in cells:
                    known = self.look_up(_content, cells[name])
                elif name == me:
                    known = module
            elif op == "STORE_DEREF" and name in code.co_cellvars and name != me:
                pass
            elif not op.startswith(ALLOWED) and op != "GEN_START":
                raise PlanningError(f"{code.co_name} has {op} {name or ''}".strip())
        self._use(known, chain)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._read_code(constant, names, cells, module, me or "")

    def _local(self, op: str, name: Any, me: str | None, module: Any) -> Any:
        """A local is known only where it is the module; a pair is of two instructions."""
        loaded = name if isinstance(name, tuple) else (name,)
        if me not in loaded or not me:
            return MISSING
        if op.startswith("LOAD_FAST") and loaded[-1] == me and loaded.count(me) == 1:
            return module
        raise PlanningError(f"{me} is given away or assigned")

    def _global(self, names: dict[str, Any], name: str) -> Any:
        value = self.look_up(names.get, name, MISSING)
        if value is not MISSING:
            return value
        if name not in BUILTINS:
            known = getattr(builtins, name, None)
            if not (isinstance(known, type) and issubclass(known, BaseException)):
                raise PlanningError(f"it uses {name}, of which nothing is known")
        return self.look_up(getattr, builtins, name)

    def _use(self, value: Any, what: str) -> None:
        """Something known is used as a value, after the attributes read of it."""
        if value is MISSING:
            return
        if isinstance(value, Module) and "." not in what:
            raise PlanningError(f"{what}, a module, is given away")
        self.check_value(value, what)

    def _attribute(self, of: Any, name: str, what: str) -> tuple[Any, str]:
        what = f"{what}.{name}"
        if of is MISSING:
            self._unknown_attribute(name)
            return MISSING, what
        if isinstance(of, Module):
            if not any(of is m for m in self.modules):
                raise PlanningError(
                    f"{what} is of a module that is no part of the model"
                )
            return self._of_module(of, name, what), what
        if isinstance(of, types.ModuleType):
            if _ours(of) or of is math:
                return self.look_up(getattr, of, name, MISSING), what
            raise PlanningError(f"{what} is of a module of which nothing is known")
        self.check_value(of, what)
        if isinstance(of, Tensor | str | tuple) or (of is Tensor):
            self._unknown_attribute(name)
            return MISSING, what
        raise PlanningError(f"{what} is an attribute of a {type(of).__name__}")

    def _of_module(self, module: Module, name: str, what: str) -> Any:
        """An attribute as Python finds it: what a module holds is compared anyway."""
        if name.startswith("__"):
            raise PlanningError(f"{what} is read")
        in_class = self.look_up(getattr, type(module), name, MISSING)
        for store in (vars(module), *_stores(module)):
            if name in store:
                if _is_data_descriptor(in_class):
                    raise PlanningError(f"{what} is a property")
                return store[name]
        if isinstance(in_class, types.FunctionType):
            static = any(
                isinstance(vars(base).get(name), staticmethod | classmethod)
                for base in type(module).__mro__
            )
            if _ours(in_class) and name not in OF_MODULES and not static:
                raise PlanningError(f"it calls {what}")
            if not static:
                self.check_function(in_class, module)
                return MISSING
            return in_class
        if in_class is MISSING or _is_data_descriptor(in_class):
            raise PlanningError(f"{what} is worked out when it is read")
        return in_class

    def _unknown_attribute(self, name: str) -> None:
        """Of something computed: a Tensor, a container, or a module of the model."""
        having = [m for m in self.modules if name in dir(m)]
        for module in having:
            if name in ("append", "extend", "insert", "pop"):
                raise PlanningError(f"{name} may change a {type(module).__name__}")
            ours = _ours(getattr(type(module), name, None))
            if name not in OF_CONTAINERS or not ours or name in vars(module):
                value = self._of_module(module, name, f"{type(module).__name__}.{name}")
                if value is not MISSING:
                    self.check_value(value, name)
        if name.startswith("_") or name in DEPENDING_ON_MEMORY:
            raise PlanningError(f"it reads {name}")
        if having or name in OF_CONTAINERS:
            return
        method = self.look_up(getattr, Tensor, name, MISSING)
        if method is MISSING:
            raise PlanningError(f"it reads {name}, of which nothing is known")
        if isinstance(method, types.FunctionType) and not _ours(method):
            raise PlanningError(f"Tensor.{name} is not the package's")


def _stores(module: Module) -> Iterator[dict[str, Any]]:
    yield module._parameters
    yield module._buffers
    yield module._modules


def _is_constant(value: Any) -> bool:
    if isinstance(value, type):
        known = value in (Tensor, Parameter, *map(partial(getattr, builtins), BUILTINS))
        return known or issubclass(value, BaseException | np.generic)
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__
        return owner is math or (owner is builtins and value.__name__ in BUILTINS)
    return type(value) in PLAIN


def _is_data_descriptor(value: Any) -> bool:
    return hasattr(type(value), "__get__") and not isinstance(
        value, types.FunctionType | types.BuiltinFunctionType
    )


def _is_property(value: Any) -> bool:
    return hasattr(type(value), "__set__") and not isinstance(
        value, types.GetSetDescriptorType
    )


def _ours(value: Any) -> bool:
    """Whether a function, a class or a module is of this package."""
    if isinstance(value, types.FunctionType):
        return value.__code__.co_filename.startswith(FOLDER)
    if isinstance(value, types.ModuleType):
        return (getattr(value, "__file__", None) or "").startswith(FOLDER)
    return isinstance(value, type) and value.__module__.split(".")[0] == PACKAGE


def _check_overridden(kind: type) -> None:
    """Refuse a class that changes what the package's own code relies on."""
    for base in kind.__mro__[1:]:
        if not _ours(base) or base in (State, Hooked):
            continue
        for name in vars(kind).keys() & vars(base).keys():
            value = vars(kind)[name]
            if name not in OVERRIDABLE and callable(value) | hasattr(value, "__get__"):
                raise PlanningError(f"{kind.__name__} overrides {name}")
    for name, value in vars(kind).items():
        special = name.startswith("__") and not name.startswith("__annotate")
        if special and name not in OVERRIDABLE and callable(value):
            raise PlanningError(f"{kind.__name__} has a {name} of its own")
