"""What the measuring process tells the one that started it: a line of JSON each, in this file's words.

``{"say": text}`` is progress, ``{"line": text}`` a line of a result that is a text, and ``{"error": class,
"message": text}`` an error of ours; anything else is the document of a measurement as far as it has come, the
last one being the result.
"""

import json
import os
import signal
import threading
from dataclasses import dataclass
from typing import TextIO, TypeAlias

from vggprof import errors
from vggprof.errors import VggprofError
from vggprof.measurement import Measurement
from vggprof.measurement.decode import from_document
from vggprof.measurement.encode import to_json


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done now, for people."""

    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a protocol that has a text of its own."""

    text: str


Message: TypeAlias = Progress | Line | VggprofError | Measurement


@dataclass(frozen=True, slots=True)
class Channel:
    """The measuring side's end."""

    out: TextIO

    def say(self, text: str) -> None:
        """Say what is being done."""
        self._line(json.dumps({"say": text}))

    def write(self, text: str) -> None:
        """Write a line of a protocol that has a text of its own."""
        self._line(json.dumps({"line": text}))

    def send(self, measurement: Measurement) -> None:
        """Send what is known so far."""
        self._line(to_json(measurement))

    def fail(self, error: VggprofError) -> None:
        """Send an error that is to be raised on the other side."""
        self._line(json.dumps({"error": type(error).__name__, "message": str(error)}))

    def _line(self, text: str) -> None:
        self.out.write(text + "\n")
        self.out.flush()


def read(line: str) -> Message:
    """Return what one line says."""
    document = json.loads(line)
    if "say" in document:
        return Progress(document["say"])
    if "line" in document:
        return Line(document["line"])
    if "error" in document:
        return _error(document["error"], document["message"])
    return from_document(document, "the measuring process")


def own_stdout() -> TextIO:
    """Return standard output for messages alone; whatever else is printed there goes to standard error."""
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return kept


def end_with_parent() -> None:
    """End this process, and all that it started, as soon as standard input ends: its writer is gone then."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _error(name: str, message: str) -> VggprofError:
    """Return an error of ours by name; a spec's problems are text by now, and become a plain UsageError."""
    kind = getattr(errors, name, VggprofError)
    return errors.UsageError(message) if kind is errors.SpecError else kind(message)
