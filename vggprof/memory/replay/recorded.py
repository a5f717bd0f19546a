"""Event files of recorded reference trainings.

One JSON object a line, gzipped: ``{config, events, marks}``, or ``{config, fits, fails}`` for the edge of a
smaller card, each of the two with ``events`` and ``marks``. An event is ``[action, bytes, address]`` with a =
alloc, f = free_completed, s = segment_alloc, r = segment_free, o = oom; a mark is ``[name, events before
it]``. The recordings begin with the process, so that nothing was held before.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggprof.errors import FileFormatError
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.replay.snapshot import Action, DeviceTrace, TraceEvent

_ACTIONS = {
    "a": Action.ALLOC,
    "f": Action.FREE_COMPLETED,
    "s": Action.SEGMENT_ALLOC,
    "r": Action.SEGMENT_FREE,
    "o": Action.OOM,
}
_EDGES = ("fits", "fails")


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One recorded training: what was set up, its trace, and marks as (name, events before it)."""

    setup: dict[str, Any]
    edge: str  # "fits" or "fails" for the runs at the edge of a smaller card, "" otherwise
    trace: DeviceTrace
    marks: tuple[tuple[str, int], ...]


def read_recorded(path: Path, config: AllocatorConfig | None = None) -> tuple[RecordedRun, ...]:
    """Return the runs in the event file at *path*, recorded under *config* (torch's defaults).

    Raises FileFormatError, in one line, for a file that is not of that form.
    """
    runs: list[RecordedRun] = []
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                runs.extend(_runs(json.loads(line), f"{path}:{number}", config or AllocatorConfig()))
    except (OSError, EOFError, zlib.error) as error:
        raise FileFormatError(f"{path}: not a whole gzip file: {error}") from error
    except ValueError as error:  # JSON and UTF-8
        raise FileFormatError(f"{path}: not JSON lines: {error}") from error
    return tuple(runs)


def _runs(row: object, where: str, config: AllocatorConfig) -> Iterator[RecordedRun]:
    if not isinstance(row, dict) or not isinstance(row.get("config"), dict):
        raise FileFormatError(f"{where}: a row needs a config")
    parts = (
        {"": row} if "events" in row else {edge: row[edge] for edge in _EDGES if row.get(edge) is not None}
    )
    for edge, part in parts.items():
        if not isinstance(part, dict) or not isinstance(part.get("events"), list):
            raise FileFormatError(f"{where}: a run needs events")
        events = tuple(_event(item, f"{where}: event {at}") for at, item in enumerate(part["events"]))
        marks = tuple(_mark(item, where) for item in part.get("marks", []))
        yield RecordedRun(row["config"], edge, DeviceTrace(0, events, (), config, begins_empty=True), marks)


def _event(item: object, where: str) -> TraceEvent:
    match item:
        case [str(letter), int(size), int() | None as address] if letter in _ACTIONS and size > 0:
            return TraceEvent(_ACTIONS[letter], address or 0, size, 0)
        case _:
            raise FileFormatError(f"{where} must be [one of {', '.join(_ACTIONS)}, bytes, address]")


def _mark(item: object, where: str) -> tuple[str, int]:
    match item:
        case [str(name), int(before)] if before >= 0:
            return name, before
        case _:
            raise FileFormatError(f"{where}: a mark must be [name, events before it]")
