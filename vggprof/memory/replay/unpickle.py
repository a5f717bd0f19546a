"""Pickles of plain data, read by a machine that has no way to run code.

Python's own unpickler is not asked: this one knows the operations for None, booleans, numbers, strings,
bytes, lists, tuples and dictionaries with string keys, and refuses every other by its name. There is no
operation here that imports, calls or builds, so nothing in a file can. Operations: pickletools.opcodes.
"""

import struct
from pathlib import Path
from typing import Any

from vggprof.errors import FileFormatError
from vggprof.memory.replay.pickle_machine import Machine, RefusedError
from vggprof.memory.replay.pickle_operations import NAMES, OPERATIONS

MAX_FILE_BYTES = 2**30
_STOP = ord(".")


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
        return _run(Machine(data))
    except RefusedError as error:
        raise FileFormatError(f"{name}: {error}") from None
    except (IndexError, struct.error):
        raise FileFormatError(f"{name}: not a whole pickle; it ends or goes wrong too early") from None


def _run(machine: Machine) -> Any:  # noqa: ANN401 - plain data
    """Carry out every operation up to STOP and return what is left."""
    data, operations = machine.data, OPERATIONS
    while True:
        code = data[machine.at]
        machine.at += 1
        if code == _STOP:
            break
        operation = operations.get(code)
        if operation is None:
            raise RefusedError(_why(code))
        operation(machine)
    if len(machine.stack) != 1 or machine.marks:
        raise RefusedError("not a whole pickle; it leaves things unfinished")
    return machine.stack[0]


def _why(code: int) -> str:
    known = NAMES.get(code)
    if known is None:
        return f"not a pickle: no operation has the code {code}"
    return f"pickle operation {known} is refused: only plain data is read"
