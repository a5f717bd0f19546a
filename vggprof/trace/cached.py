"""A trace from the cache, or made and put there."""

import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vggprof import cache
from vggprof._version import __version__
from vggprof.errors import FileFormatError
from vggprof.trace.decode import from_json
from vggprof.trace.encode import SCHEMA_VERSION, to_json
from vggprof.trace.setup import Setup
from vggprof.trace.values import Trace

KIND = "trace"


def cached_trace(
    arch: str,
    setup: Setup,
    make: Callable[[], Trace],
    *,
    content_key: str | None,
    more: Sequence[str] = (),
) -> Trace:
    """Return the trace of *arch* under *setup*: the cached one where there is one, else what *make* returns.

    *content_key* says all that decides the network; None where that cannot be known, and then *make* is
    asked every time. *more* is whatever else decides the trace, such as the number of steps. Two names of one
    network share an entry, so the trace is given the name *arch* that was asked for. Nothing here imports
    torch unless *make* does.
    """
    key = None if content_key is None else _key(content_key, setup, more)
    if key is None:
        return make()
    text = cache.get(KIND, key)
    if text is not None:
        try:
            return replace(from_json(text), arch=arch)
        except FileFormatError:  # written by another vggprof under the same version: make it anew
            pass
    trace = make()
    cache.put(KIND, key, to_json(trace))
    return trace


def _key(content_key: str, setup: Setup, more: Sequence[str]) -> str | None:
    """Return all that decides a trace, as one text; None where the version of torch or of us is not known."""
    try:
        torch_version = version("torch")  # from its metadata: importing it takes seconds
        own = [__version__, str(SCHEMA_VERSION), _own_sources()]
    except (PackageNotFoundError, OSError):
        return None
    settings = [f"{field.name}={getattr(setup, field.name)}" for field in fields(setup)]
    return "\n".join([content_key, torch_version, *settings, *own, *more])


def _own_sources() -> str:
    """Return a digest of names, sizes and times of our own modules, so that a changed one is noticed."""
    lines = []
    for directory, _, names in os.walk(Path(__file__).parents[1]):  # several times faster than Path.rglob
        for path in (f"{directory}/{name}" for name in names if name.endswith(".py")):
            status = Path(path).stat()
            lines.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()
