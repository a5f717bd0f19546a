"""Pickles of plain data, read by a machine that has no way to run code.

Python's own unpickler is not asked: this one knows the operations for None, booleans, numbers, strings,
bytes, lists, tuples and dictionaries with string keys, and refuses every other by its name. There is no
operation here that imports, calls or builds, so nothing in a file can. Operations: pickletools.opcodes.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from pickletools import opcodes
from typing import Any

from vggprof.errors import FileFormatError

MAX_FILE_BYTES = 2**30
MAX_OPEN_MARKS = 256  # how deeply a file may nest what it has begun and not ended
_KEYS = (str, int)  # what may be a dictionary's key: nothing whose hash takes long


class _RefusedError(Exception):
    """What is wrong with the pickle."""


def load_plain(path: Path) -> Any:  # noqa: ANN401 - whatever plain data the file holds
    """Return the plain data that the pickle at *path* holds.

    Raises FileFormatError, in one line, for a file that cannot be read, is too large, is cut short, is no
    pickle, or holds anything but plain data.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise FileFormatError(f"{path}: {size} bytes are more than the {MAX_FILE_BYTES} that are read")
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path}: {error.strerror or error}") from error
    return load_plain_bytes(data, str(path))


def load_plain_bytes(data: bytes, name: str) -> Any:  # noqa: ANN401 - whatever plain data the bytes hold
    """Return the plain data of a pickle; *name* stands in what FileFormatError says."""
    try:
        return _Machine(data).run()
    except _RefusedError as error:
        raise FileFormatError(f"{name}: {error}") from None
    except (IndexError, struct.error):
        raise FileFormatError(f"{name}: not a whole pickle; it ends or goes wrong too early") from None


class _Machine:
    """A pickle being read: where it stands, the stack and the memo."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:  # noqa: ANN401 - plain data
        """Carry out every operation up to STOP and return what is left."""
        data, operations = self.data, _OPERATIONS
        while True:
            code = data[self.at]
            self.at += 1
            if code == _STOP:
                break
            operation = operations.get(code)
            if operation is None:
                raise _RefusedError(_why(code))
            operation(self)
        if len(self.stack) != 1 or self.marks:
            raise _RefusedError("not a whole pickle; it leaves things unfinished")
        return self.stack[0]

    def take(self, count: int) -> bytes:
        """Return the next *count* bytes."""
        end = self.at + count
        if end > len(self.data):
            raise _RefusedError(f"cut short: {count} bytes announced, {len(self.data) - self.at} left")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def number(self, count: int) -> int:
        """Return the next *count* bytes as an unsigned number."""
        return int.from_bytes(self.take(count), "little")

    def line(self) -> str:
        """Return the text up to the next line end."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise _RefusedError("cut short in a line of text")
        piece, self.at = self.data[self.at : end], end + 1
        return piece.decode("latin-1")

    def pop(self) -> Any:  # noqa: ANN401 - plain data
        """Take the top of the stack, but nothing from below an open mark."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise _RefusedError("takes from below a mark")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        """Take everything above the last mark."""
        if not self.marks:
            raise _RefusedError("ends what it has not begun")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def top(self, kind: type) -> Any:  # noqa: ANN401 - of the type asked for
        """Return the top of the stack, which must be of one type."""
        if type(self.stack[-1]) is not kind:
            raise _RefusedError(f"adds to something that is no {kind.__name__}")
        return self.stack[-1]


_Operation = Callable[[_Machine], None]
_STOP = ord(".")
_NAMES = {ord(each.code): each.name for each in opcodes}


def _why(code: int) -> str:
    known = _NAMES.get(code)
    if known is None:
        return f"not a pickle: no operation has the code {code}"
    return f"pickle operation {known} is refused: only plain data is read"


def _push(read: Callable[[_Machine], Any]) -> _Operation:
    return lambda machine: machine.stack.append(read(machine))


def _text(read: Callable[[_Machine], bytes]) -> _Operation:
    def push(machine: _Machine) -> None:
        try:
            machine.stack.append(read(machine).decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise _RefusedError("a text is not UTF-8") from None

    return push


def _integer(machine: _Machine) -> None:
    text = machine.line()
    if text in ("00", "01"):  # how protocol 0 writes booleans
        machine.stack.append(text == "01")
        return
    try:
        machine.stack.append(int(text.removesuffix("L")))
    except ValueError:
        raise _RefusedError(f"{text[:20]!r} is not a whole number") from None


def _decimal(machine: _Machine) -> None:
    text = machine.line()
    try:
        machine.stack.append(float(text))
    except ValueError:
        raise _RefusedError(f"{text[:20]!r} is not a number") from None


def _protocol(machine: _Machine) -> None:
    version = machine.number(1)
    if version > 5:
        raise _RefusedError(f"pickle protocol {version} is not known")


def _mark(machine: _Machine) -> None:
    if len(machine.marks) >= MAX_OPEN_MARKS:
        raise _RefusedError(f"nested more than {MAX_OPEN_MARKS} levels deep")
    machine.marks.append(len(machine.stack))


def _append(machine: _Machine) -> None:
    item = machine.pop()
    machine.top(list).append(item)


def _appends(machine: _Machine) -> None:
    items = machine.pop_mark()
    machine.top(list).extend(items)


def _fill(target: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2:
        raise _RefusedError("a key without a value")
    for key in items[::2]:
        if type(key) not in _KEYS:
            raise _RefusedError(f"a dictionary key of type {type(key).__name__}")
    target.update(zip(items[::2], items[1::2], strict=True))


def _set_item(machine: _Machine) -> None:
    value = machine.pop()
    key = machine.pop()
    _fill(machine.top(dict), [key, value])


def _set_items(machine: _Machine) -> None:
    items = machine.pop_mark()
    _fill(machine.top(dict), items)


def _dictionary(machine: _Machine) -> None:
    made: dict[Any, Any] = {}
    _fill(made, machine.pop_mark())
    machine.stack.append(made)


def _tuple(count: int) -> _Operation:
    def push(machine: _Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(items)))

    return push


def _remember(read: Callable[[_Machine], int]) -> _Operation:
    def put(machine: _Machine) -> None:
        machine.memo[read(machine)] = machine.stack[-1]

    return put


def _recall(read: Callable[[_Machine], int]) -> _Operation:
    def get(machine: _Machine) -> None:
        index = read(machine)
        if index not in machine.memo:
            raise _RefusedError(f"recalls number {index}, which it has not kept")
        machine.stack.append(machine.memo[index])

    return get


def _index(machine: _Machine) -> int:
    text = machine.line()
    if not text.isdecimal() or len(text) > 10:
        raise _RefusedError(f"{text[:20]!r} is not the number of something kept")
    return int(text)


def _signed(count: int) -> Callable[[_Machine], int]:
    return lambda machine: int.from_bytes(machine.take(count), "little", signed=True)


def _nothing(machine: _Machine) -> None:
    """FRAME: only its length, which may not go beyond the file."""
    length = machine.number(8)
    if length > len(machine.data) - machine.at:
        raise _RefusedError(f"cut short: a frame of {length} bytes, {len(machine.data) - machine.at} left")


def _named(operations: dict[str, _Operation]) -> dict[int, _Operation]:
    codes = {name: code for code, name in _NAMES.items()}
    return {codes[name]: operation for name, operation in operations.items()}


_OPERATIONS = _named(
    {
        "PROTO": _protocol,
        "FRAME": _nothing,
        "NONE": _push(lambda _: None),
        "NEWTRUE": _push(lambda _: True),
        "NEWFALSE": _push(lambda _: False),
        "INT": _integer,
        "LONG": _integer,
        "BININT": _push(_signed(4)),
        "BININT1": _push(lambda m: m.number(1)),
        "BININT2": _push(lambda m: m.number(2)),
        "LONG1": _push(lambda m: int.from_bytes(m.take(m.number(1)), "little", signed=True)),
        "FLOAT": _decimal,
        "BINFLOAT": _push(lambda m: struct.unpack(">d", m.take(8))[0]),
        "UNICODE": _text(
            lambda m: m.line().encode("latin-1").decode("raw-unicode-escape").encode("utf-8", "surrogatepass")
        ),
        "SHORT_BINUNICODE": _text(lambda m: m.take(m.number(1))),
        "BINUNICODE": _text(lambda m: m.take(m.number(4))),
        "BINUNICODE8": _text(lambda m: m.take(m.number(8))),
        "SHORT_BINBYTES": _push(lambda m: m.take(m.number(1))),
        "BINBYTES": _push(lambda m: m.take(m.number(4))),
        "MARK": _mark,
        "EMPTY_LIST": _push(lambda _: []),
        "LIST": _push(lambda m: m.pop_mark()),
        "APPEND": _append,
        "APPENDS": _appends,
        "EMPTY_DICT": _push(lambda _: {}),
        "DICT": _dictionary,
        "SETITEM": _set_item,
        "SETITEMS": _set_items,
        "EMPTY_TUPLE": _push(lambda _: ()),
        "TUPLE": _push(lambda m: tuple(m.pop_mark())),
        "TUPLE1": _tuple(1),
        "TUPLE2": _tuple(2),
        "TUPLE3": _tuple(3),
        "MEMOIZE": _remember(lambda m: len(m.memo)),
        "PUT": _remember(_index),
        "BINPUT": _remember(lambda m: m.number(1)),
        "LONG_BINPUT": _remember(lambda m: m.number(4)),
        "GET": _recall(_index),
        "BINGET": _recall(lambda m: m.number(1)),
        "LONG_BINGET": _recall(lambda m: m.number(4)),
    }
)
