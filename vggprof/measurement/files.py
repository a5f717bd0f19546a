"""Measurements as files: a line of JSON each, as docs/measurement-file.md describes."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from vggprof.errors import FileFormatError, UsageError
from vggprof.files import write_whole
from vggprof.measurement.decode import from_document, parse
from vggprof.measurement.encode import to_json
from vggprof.measurement.recorded import read_recorded
from vggprof.measurement.values import Measurement

# A recording of three steps of a deep network takes some megabytes; what is far above that is something else.
MAX_FILE_BYTES = 2**28


def write_measurements(measurements: Iterable[Measurement], path: Path) -> None:
    """Write a line for each of *measurements* to the file *path*, all of them or nothing.

    Raises UsageError where that fails; a file that was there is then as it was before.
    """
    try:
        write_whole(path, text_of(measurements).encode())
    except OSError as error:
        raise UsageError(f"{path}: measurements cannot be written: {error.strerror}") from error


def text_of(measurements: Iterable[Measurement]) -> str:
    """Return the content of a file that holds *measurements*."""
    return "".join(f"{to_json(measurement)}\n" for measurement in measurements)


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """Return the measurements in the file *path*, one or more, in their order.

    Read are files of `write_measurements`, and recordings, whose first line is about the machine. Raises
    FileFormatError, which names the file and the line, for anything else.
    """
    documents = [(parse(line, where), where) for line, where in _lines(path)]
    if documents and isinstance(documents[0][0], dict) and "about" in documents[0][0]:
        found = read_recorded(path, documents)
    else:
        found = tuple(from_document(document, where) for document, where in documents)
    if not found:
        raise FileFormatError(f"{path}: holds no measurements")
    return found


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each line of a text file that is not empty, and its place."""
    for number, line in enumerate(_content(path).split("\n"), 1):
        if line.strip():
            yield line, f"{path}:{number}"


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)  # also ends where the file itself has no end
    except (OSError, ValueError) as error:  # a null character in the name is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise FileFormatError(f"{path}: cannot be read: {reason}") from error
    if len(content) > MAX_FILE_BYTES:
        raise FileFormatError(f"{path}: larger than any measurements ({MAX_FILE_BYTES} bytes)")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not a text, so no measurements") from error
