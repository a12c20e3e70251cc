"""The few instructions of Python's pickle that trees of weights are written in.

A pickle is a program for a machine with a stack. Python's own reader imports and calls what
the program names; this one knows some thirty instructions, builds plain values, and calls
only what it is given by name. Everything else is refused, by name.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

Call = Callable[..., Any]

MOST_ITEMS = 10_000_000
"""Instructions that are carried out; no file of weights has so many."""


class PickleError(ValueError):
    """What the bytes hold that no tree of weights does."""


class Name:
    """Something that the program names, and what calling it gives."""

    def __init__(self, name: str, call: Call | None = None, value: Any = None) -> None:
        self.name, self.call, self.value = name, call, value


class State(OrderedDict[str, Any]):
    """An OrderedDict that may have attributes, as a state_dict has `_metadata`."""

    _metadata: Any


def read_pickle(
    data: bytes, names: Mapping[str, Name], persistent: Callable[[Any], Any]
) -> Any:
    """The tree that the program in `data` builds.

    names: what it may name, as "module name". persistent: gives what the program asks for
    by an identifier, here the storages of tensors. Raises PickleError.
    """
    return Machine(data, names, persistent).run()


class Machine:
    """The stack, the marks on it, and the memory of the machine."""

    def __init__(
        self,
        data: bytes,
        names: Mapping[str, Name],
        persistent: Callable[[Any], Any],
    ) -> None:
        self.data, self.at = data, 0
        self.names, self.persistent = names, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Carry out the program."""
        for _ in range(MOST_ITEMS):
            code = self.take(1)
            if code == b".":
                if len(self.stack) != 1 or self.marks:
                    self.refuse("it ends with more than one value")
                return _plain(self.stack[0])
            step = STEPS.get(code)
            if step is None:
                self.refuse(
                    f"the instruction {code!r} at byte {self.at - 1} belongs to no tree of "
                    "weights"
                )
            step(self)
        self.refuse(f"it has more than {MOST_ITEMS:,} instructions")

    def refuse(self, why: str) -> NoReturn:
        """Give up."""
        raise PickleError(why)

    def take(self, count: int) -> bytes:
        """The next bytes of the program."""
        if count < 0 or self.at + count > len(self.data):
            self.refuse("it breaks off")
        found = self.data[self.at : self.at + count]
        self.at += count
        return found

    def number(self, form: str) -> Any:
        """A number in the notation of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """The text up to the end of the line."""
        end = self.data.find(b"\n", self.at, self.at + 1000)
        if end < 0:
            self.refuse("a name without an end")
        return self.take(end + 1 - self.at)[:-1].decode("utf-8", "replace")

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the last value."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            self.refuse("it takes a value where there is none")
        return self.stack.pop()

    def to_mark(self) -> list[Any]:
        """Take all values since the last mark."""
        if not self.marks:
            self.refuse("it takes values up to a mark where there is none")
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def top(self, kind: type) -> Any:
        """The last value, which must be of this kind; it stays."""
        value = self.pop()
        if not isinstance(value, kind):
            self.refuse(f"a {type(value).__name__} where a {kind.__name__} is expected")
        self.push(value)
        return value

    # ---------------------------------------------------------------- instructions

    def text(self, length: int) -> None:
        """A string of so many bytes."""
        self.push(self.take(length).decode("utf-8", "surrogatepass"))

    def tuple_of(self, count: int) -> None:
        """A tuple of the last values."""
        self.push(tuple([self.pop() for _ in range(count)][::-1]))

    def set_items(self, pairs: list[Any]) -> None:
        """Keys and values in turn, into the dict below them."""
        if len(pairs) % 2:
            self.refuse("a key without a value")
        found = self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str | int | float | None):
                self.refuse(f"a key that is a {type(key).__name__}")
            found[key] = _plain(value)

    def remember(self, key: int) -> None:
        """Keep the last value under a number."""
        self.memo[key] = (
            self.stack[-1] if self.stack else self.refuse("nothing to keep")
        )

    def recall(self, key: int) -> None:
        """A value that was kept."""
        if key not in self.memo:
            self.refuse(f"it asks for value {key}, which was not kept")
        self.push(self.memo[key])

    def find(self, name: str) -> None:
        """What the program names, if it may."""
        found = self.names.get(name)
        if found is None:
            shown = name.replace(" ", ".")[:100]
            self.refuse(
                f"it names {shown!r}, which is no part of a tree of weights; in PyTorch, "
                "save model.state_dict() alone"
            )
        self.push(found)

    def find_on_stack(self) -> None:
        """The same, module and name being values."""
        name, module = self.pop(), self.pop()
        self.find(f"{module} {name}")

    def call(self) -> None:
        """Call what was named."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Name) or function.call is None:
            self.refuse("it calls what is no function")
        if not isinstance(arguments, tuple):
            self.refuse("it calls something without a tuple of arguments")
        try:
            self.push(function.call(*map(_plain, arguments)))
        except PickleError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            self.refuse(
                f"{function.name.replace(' ', '.')} cannot be called so: {error}"
            )

    def build(self) -> None:
        """Give the value below its attributes: only a state_dict has one."""
        attributes = self.pop()
        found = self.top(State)
        if not isinstance(attributes, dict) or attributes.keys() - {"_metadata"}:
            self.refuse("it sets attributes that a state_dict has not")
        if "_metadata" in attributes:
            found._metadata = attributes["_metadata"]

    def add(self, items: list[Any], kind: type) -> None:
        """Add the items to the list or set below them."""
        found = self.top(kind)
        for item in items:
            if kind is set and not isinstance(item, str | int | float | None):
                self.refuse(f"a set with a {type(item).__name__}")
            found.append(_plain(item)) if kind is list else found.add(item)

    def mark(self) -> None:
        """Put a mark."""
        self.marks.append(len(self.stack))

    def whole(self, length: int) -> None:
        """An integer of so many bytes."""
        if length > 1000:
            self.refuse("an integer of more than 8,000 bits")
        self.push(int.from_bytes(self.take(length), "little", signed=True))


def _plain(value: Any) -> Any:
    """A value for a tree; of what was named, only what stands for a value."""
    if isinstance(value, Name):
        if value.call is not None:
            raise PickleError(
                f"{value.name.replace(' ', '.')} stands where a value belongs"
            )
        return value.value
    return value


STEPS: dict[bytes, Callable[[Machine], Any]] = {
    b"\x80": lambda m: m.take(1),  # the version
    b"\x95": lambda m: m.take(8),  # how long a part is
    b"(": Machine.mark,
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"J": lambda m: m.push(m.number("<i")),
    b"\x8a": lambda m: m.whole(m.number("<B")),
    b"G": lambda m: m.push(m.number(">d")),
    b"X": lambda m: m.text(m.number("<I")),
    b"\x8c": lambda m: m.text(m.number("<B")),
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b")": lambda m: m.push(()),
    b"\x8f": lambda m: m.push(set()),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"t": lambda m: m.push(tuple(m.to_mark())),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.to_mark()),
    b"a": lambda m: m.add([m.pop()], list),
    b"e": lambda m: m.add(m.to_mark(), list),
    b"\x90": lambda m: m.add(m.to_mark(), set),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"c": lambda m: m.find(f"{m.line()} {m.line()}"),
    b"\x93": Machine.find_on_stack,
    b"R": Machine.call,
    b"b": Machine.build,
    b"Q": lambda m: m.push(m.persistent(m.pop())),
}
"""What each instruction does, by its code."""


# ------------------------------------------------------------------------------ writing


def write_pickle(tree: Any, leaf: Callable[[Any], bytes]) -> bytes:
    """The program that builds a tree; `leaf` gives that of what is no plain value."""
    return b"\x80\x02" + instructions(tree, leaf) + b"."


def instructions(value: Any, leaf: Callable[[Any], bytes]) -> bytes:
    """Those that put a value on the stack."""

    def every(values: Iterable[Any]) -> bytes:
        return b"".join([instructions(v, leaf) for v in values])

    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        return b"X" + struct.pack("<I", len(text)) + text
    if isinstance(value, list):
        return b"](" + every(value) + b"e"
    if isinstance(value, tuple):
        return b"(" + every(value) + b"t"
    if isinstance(value, dict):
        metadata = getattr(value, "_metadata", None)
        start = named("collections", "OrderedDict") + b")R"
        items = (part for pair in value.items() for part in pair)
        found = (start if isinstance(value, OrderedDict) else b"}") + b"("
        found += every(items) + b"u"
        if metadata is not None:
            found += instructions({"_metadata": metadata}, leaf) + b"b"
        return found
    return leaf(value)


def named(module: str, name: str) -> bytes:
    """The instruction that puts what has a name on the stack."""
    return f"c{module}\n{name}\n".encode()


def _whole(value: int) -> bytes:
    for code, form, low, high in (
        (b"K", "<B", 0, 255),
        (b"M", "<H", 0, 65_535),
        (b"J", "<i", -(2**31), 2**31 - 1),
    ):
        if low <= value <= high:
            return code + struct.pack(form, value)
    length = value.bit_length() // 8 + 1
    if length > 255:
        raise PickleError("an integer of more than 2,000 bits")
    return b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)
