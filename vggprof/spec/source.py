"""Spec files as text: found, bounded, decoded; anything else refused in one line."""

import re
from importlib.resources.abc import Traversable
from pathlib import Path

from vggprof.errors import FileFormatError, UsageError

MAX_FILE_BYTES = 2**20

# What YAML 1.2 calls non-printable (section 5.1), less the two encodings of a line end that editors do write.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_text(file: Path | Traversable) -> str:
    """Return the text of *file*, which may be 1 MiB long at most.

    Raises UsageError where there is no such file, or no right to read it, and FileFormatError where it is
    empty, too large or not text.
    """
    content = _read_bytes(file)
    if len(content) > MAX_FILE_BYTES:
        raise FileFormatError(f"{file} is larger than 1 MiB; a spec is a few kilobytes of text")
    if not content.strip():
        raise FileFormatError(f"{file} is empty; a spec says at least `input:` and `layers:`")
    return _decode(content, file)


def _read_bytes(file: Path | Traversable) -> bytes:
    """Return MAX_FILE_BYTES + 1 bytes at most, and nothing of what is no regular file: a pipe would hang."""
    try:
        if file.is_dir():
            raise UsageError(f"{file} is a folder; name the spec file in it")
        if not file.is_file():
            raise UsageError(f"there is no file {file}")
        with file.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _decode(content: bytes, file: Path | Traversable) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{file} is not text in UTF-8: byte {error.start + 1} is wrong") from error
    strange = _UNPRINTABLE.search(text)
    if strange is not None:
        line = text.count("\n", 0, strange.start()) + 1
        raise FileFormatError(f"{file} is not text: line {line} holds the character U+{ord(strange[0]):04X}")
    return text
