"""A measurement in a process of its own: whatever happens in there is a result here, and nothing is left."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from typing import IO, TypeAlias

from vggprof.errors import VggprofError
from vggprof.measurement import Measurement, Status
from vggprof.profiler.channel import Line, Progress, read
from vggprof.profiler.environment import known_without_torch
from vggprof.profiler.plan import AUTO, Request

Say: TypeAlias = Callable[[str], None]

# The other process finds modules where this one does, and neither more nor less.
_CHILD = "import sys; sys.path[:] = {path!r}; from vggprof.profiler.child import main; main()"

# Of what a process wrote before it died, its last line says best why.
_LAST_WORDS_BYTES = 4096


def measure(request: Request, say: Say, write: Say = lambda _line: None) -> Measurement:
    """Measure in a new process and return what came out; its death and the end of its time are results too.

    *say* hears what is being done, *write* the lines of a protocol that has a text of its own. Raises what
    the other side raised of our errors: ArchError, GpuUnavailable, UsageError.
    """
    known = _nothing_yet(request)
    with tempfile.TemporaryFile() as stderr, _child(stderr) as child:
        end = monotonic() + request.plan.limit_s
        lines = _lines(child)
        _ask(child, request)
        while known.status is Status.CRASHED:  # until it says otherwise
            try:
                line = lines.get(timeout=max(0, end - monotonic()))
            except Empty:
                return replace(known, status=Status.TIMEOUT, message=_too_long(request, known))
            if line is None:
                return replace(known, message=_death(child.wait(), known, stderr))
            message = read(line)
            match message:
                case Line(text):
                    write(text)
                case Progress(text):
                    say(text)
                case VggprofError():
                    raise message
                case _:
                    known = message
    return known


def _nothing_yet(request: Request) -> Measurement:
    asked = request.conditions
    device = "cpu" if asked.device == AUTO else asked.device
    conditions = replace(asked, device=device)
    return Measurement(conditions, known_without_torch(), Status.CRASHED, message="starting")


@contextmanager
def _child(stderr: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
    """Start the measuring process, at the head of a group of its own, and end the group in any case."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", _CHILD.format(path=sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        env={"KINETO_LOG_LEVEL": "5", **os.environ},  # torch.profiler's library counts GPUs, and complains
    )
    try:
        yield child
    finally:
        _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _lines(child: subprocess.Popen[str]) -> Queue[str | None]:
    """Return what *child* says, line by line as it comes, and None at its end."""
    lines: Queue[str | None] = Queue()

    def listen() -> None:
        assert child.stdout is not None
        with suppress(ValueError):  # closed under our hands
            for line in child.stdout:
                lines.put(line)
        lines.put(None)

    Thread(target=listen, daemon=True).start()
    return lines


def _ask(child: subprocess.Popen[str], request: Request) -> None:
    assert child.stdin is not None
    with suppress(BrokenPipeError):  # it is dead already, and the end of its output will say so
        child.stdin.write(request.to_json() + "\n")
        child.stdin.flush()


def _too_long(request: Request, known: Measurement) -> str:
    return f"not done after {request.plan.limit_s:g} s, while {known.message}; --time-limit gives more"


def _death(code: int, known: Measurement, stderr: IO[bytes]) -> str:
    """Say how the process ended, while doing what, and its last words."""
    how = f"ended with exit code {code}" if code >= 0 else f"killed by {_signal(-code)}"
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
    words = stderr.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(words) if line.strip()), "")
    return f"{how} while {known.message}" + (f": {last}" if last else "")


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGKILL":
        return "SIGKILL (the system does that when its memory runs out)"
    return name
