"""A trace as JSON, and back: exact, compact and quick to read.

A training step says the same things over and over, so texts, shapes, operands and argument lists are each
written once, in a table, and everything else is columns of indices into those::

    {"format": "vggprof-trace", "schema_version": 1, "vggprof_version": "0.1.0",
     "arch": "lenet5", "torch_version": "2.13.0", "setup": {"batch": 1, "mode": "train", ...},
     "texts": ["out", "float32", ...], "shapes": [[1, 1, 32, 32], ...], "arguments": [[["groups", 1]], ...],
     "operands": {"name": [0, ...], "storage": [0, ...], "shape": [0, ...], "strides": [...], "dtype": [...]},
     "layers": {...}, "parameters": {...}, "storages": {...}, "operators": {"inputs": [[0, 1], ...], ...},
     "marks": {"step": [null, 0, ...], "phase": [7, 12, ...]},
     "events": {"kind": "BBMRB...", "of": [0, 1, 0, 0, 2, ...]}}

An event is one letter of ``kind`` (R ran, B born, F freed, M mark) and the row it is about. JSON knows no
infinite numbers: they are written ``{"float": "inf"}``.
"""

from pathlib import Path

from vggprof.errors import FileFormatError, UsageError
from vggprof.trace.decode import from_json
from vggprof.trace.encode import SCHEMA_VERSION, to_json
from vggprof.trace.values import Trace

__all__ = ["SCHEMA_VERSION", "from_json", "read_trace", "to_json", "write_trace"]

# Ten thousand operators take about two million bytes; what is far above that is something else.
MAX_FILE_BYTES = 2**28


def write_trace(trace: Trace, path: Path) -> None:
    """Write *trace* to the file *path*. Raises UsageError where that cannot be written."""
    text = to_json(trace)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: the trace cannot be written: {error.strerror}") from error


def read_trace(path: Path) -> Trace:
    """Return the trace in the file *path*.

    Raises FileFormatError, which names the file, unless it holds a whole trace of this schema version.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)  # also ends where the file itself has no end
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise FileFormatError(f"{path}: larger than any trace ({MAX_FILE_BYTES} bytes)")
    try:
        return from_json(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not a text, so not a trace") from error
