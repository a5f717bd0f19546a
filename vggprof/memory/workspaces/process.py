"""The process that asks cuDNN: started when first needed or ahead of that, restarted when it dies.

It is not waited for forever, and ends with the `Worker` that started it.
"""

import json
import subprocess
import tempfile
import weakref
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any

from vggprof.memory.workspaces.launch import command, environment
from vggprof.memory.workspaces.libraries import CudnnLibrary
from vggprof.memory.workspaces.plans import Plan
from vggprof.memory.workspaces.query import CudnnQuery

# Seconds for one answer; the first one loads some 300 MB of libraries, from a cold disk if need be.
TIME_LIMIT_S = 60.0
# Seconds in which a process whose pipes are closed ends, on a busy machine too.
_END_S = 10.0
# Deaths of the process after which no further one is started.
MAX_DEATHS = 5
# Ids of requests: of one whose reply counts, and of one that only makes cuDNN load itself.
_ASKED, _AHEAD = 0, 1


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer to one query."""

    reason: str


class Worker:
    """Asks one cuDNN. Not for several threads at once; close it, or use it in a with statement."""

    def __init__(self, library: CudnnLibrary) -> None:
        self.library = library
        self._process: _Process | None = None
        self._ahead = False
        self._deaths = 0

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next question starts a new one."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def start(self, device: str, query: CudnnQuery) -> None:
        """Start the process ahead of the first question, and let *query* make cuDNN load what it needs.

        Waits for nothing. A process that dies of it is no death of a question: the first one starts another.
        """
        if self._process is not None:
            return
        self._process, self._ahead = _Process(command(self.library)), True
        with suppress(_DeathError):
            self._process.send({"id": _AHEAD, "device": device, "query": query.message()})

    def ask(self, device: str, query: CudnnQuery) -> tuple[Plan, ...] | Failure:
        """Return the plans that cuDNN proposes for *query* on *device* (its properties as JSON), unfiltered.

        A library that crashes or does not answer in time is a Failure of this query; the next one finds a new
        process, until too many have died.
        """
        if self._deaths >= MAX_DEATHS:
            return Failure(f"cuDNN {self.library.version} died {self._deaths} times and is not asked again")
        ahead, self._ahead = self._ahead, False
        request = {"id": _ASKED, "device": device, "query": query.message()}
        try:
            reply = self._running().exchange(request, TIME_LIMIT_S)
        except _DeathError as death:
            self.close()
            if ahead:
                return self.ask(device, query)
            self._deaths += 1
            return Failure(f"cuDNN {self.library.version} {death}")
        if "error" in reply:
            return Failure(f"cuDNN {self.library.version}: {reply['error'].splitlines()[0]}")
        return tuple(
            Plan(name, size, tuple(notes), fallback) for name, size, notes, fallback in reply["plans"]
        )

    def _running(self) -> "_Process":
        if self._process is None:
            self._process = _Process(command(self.library))
        return self._process


class _DeathError(Exception):
    """The process ended, or had to be ended; the message says how."""


class _Process:
    """A process that answers a line with a line."""

    def __init__(self, arguments: list[str]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=environment()
        )
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        Thread(target=_read, args=(self._process, self._lines), daemon=True).start()
        self.end = weakref.finalize(self, _end, self._process, self._errors)

    def exchange(self, request: dict[str, Any], time_limit_s: float) -> dict[str, Any]:
        """Send *request* and return its reply, past those to nobody's. Raises _DeathError."""
        self.send(request)
        reply = self._receive(time_limit_s)
        while reply.get("id") != request["id"]:
            reply = self._receive(time_limit_s)
        return reply

    def send(self, request: dict[str, Any]) -> None:
        """Send *request*. Raises _DeathError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise _DeathError(self._how()) from None

    def _receive(self, time_limit_s: float) -> dict[str, Any]:
        """Return the next line. Raises _DeathError."""
        try:
            line = self._lines.get(timeout=time_limit_s)
        except Empty:
            raise _DeathError(f"gave no answer within {time_limit_s:g} s") from None
        if not line.endswith(b"\n"):
            raise _DeathError(self._how())
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _how(self) -> str:
        """How the process ended, with its last words."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_END_S)
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()
        code = self._process.returncode
        return f"ended with {code}" + (f": {words[-1][:300]}" if words else "")


def _read(process: subprocess.Popen[bytes], lines: SimpleQueue[bytes]) -> None:
    """Hand on lines; the end of the output is one that does not end."""
    assert process.stdout is not None
    with suppress(ValueError, OSError):  # closed while reading
        for line in process.stdout:
            lines.put(line)
    lines.put(b"")


def _end(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    """End the process and let go of everything."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, errors):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
