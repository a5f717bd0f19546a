"""The operations of pickles that make plain data; pickletools.opcodes describes them all."""

import struct
from collections.abc import Callable
from pickletools import opcodes
from typing import Any

from vggprof.memory.replay.pickle_machine import Machine, RefusedError

Operation = Callable[[Machine], None]
NAMES = {ord(each.code): each.name for each in opcodes}
_KEYS = (str, int)  # what may be a dictionary's key: nothing whose hash takes long


def _push(read: Callable[[Machine], Any]) -> Operation:
    return lambda machine: machine.stack.append(read(machine))


def _text(read: Callable[[Machine], bytes]) -> Operation:
    def push(machine: Machine) -> None:
        try:
            machine.stack.append(read(machine).decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise RefusedError("a text is not UTF-8") from None

    return push


def _integer(machine: Machine) -> None:
    text = machine.line()
    if text in ("00", "01"):  # how protocol 0 writes booleans
        machine.stack.append(text == "01")
        return
    try:
        machine.stack.append(int(text.removesuffix("L")))
    except ValueError:
        raise RefusedError(f"{text[:20]!r} is not a whole number") from None


def _decimal(machine: Machine) -> None:
    text = machine.line()
    try:
        machine.stack.append(float(text))
    except ValueError:
        raise RefusedError(f"{text[:20]!r} is not a number") from None


def _protocol(machine: Machine) -> None:
    version = machine.number(1)
    if version > 5:
        raise RefusedError(f"pickle protocol {version} is not known")


def _append(machine: Machine) -> None:
    item = machine.pop()
    machine.top(list).append(item)


def _appends(machine: Machine) -> None:
    items = machine.pop_mark()
    machine.top(list).extend(items)


def _fill(target: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2:
        raise RefusedError("a key without a value")
    for key in items[::2]:
        if type(key) not in _KEYS:
            raise RefusedError(f"a dictionary key of type {type(key).__name__}")
    target.update(zip(items[::2], items[1::2], strict=True))


def _set_item(machine: Machine) -> None:
    value = machine.pop()
    key = machine.pop()
    _fill(machine.top(dict), [key, value])


def _set_items(machine: Machine) -> None:
    items = machine.pop_mark()
    _fill(machine.top(dict), items)


def _dictionary(machine: Machine) -> None:
    made: dict[Any, Any] = {}
    _fill(made, machine.pop_mark())
    machine.stack.append(made)


def _tuple(count: int) -> Operation:
    def push(machine: Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(items)))

    return push


def _remember(read: Callable[[Machine], int]) -> Operation:
    def put(machine: Machine) -> None:
        machine.memo[read(machine)] = machine.stack[-1]

    return put


def _recall(read: Callable[[Machine], int]) -> Operation:
    def get(machine: Machine) -> None:
        index = read(machine)
        if index not in machine.memo:
            raise RefusedError(f"recalls number {index}, which it has not kept")
        machine.stack.append(machine.memo[index])

    return get


def _index(machine: Machine) -> int:
    text = machine.line()
    if not text.isdecimal() or len(text) > 10:
        raise RefusedError(f"{text[:20]!r} is not the number of something kept")
    return int(text)


def _signed(count: int) -> Callable[[Machine], int]:
    return lambda machine: int.from_bytes(machine.take(count), "little", signed=True)


def _nothing(machine: Machine) -> None:
    """FRAME: only its length, which may not go beyond the file."""
    length = machine.number(8)
    if length > len(machine.data) - machine.at:
        raise RefusedError(f"cut short: a frame of {length} bytes, {len(machine.data) - machine.at} left")


def _named(operations: dict[str, Operation]) -> dict[int, Operation]:
    codes = {name: code for code, name in NAMES.items()}
    return {codes[name]: operation for name, operation in operations.items()}


OPERATIONS = _named(
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
        "MARK": Machine.mark,
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
