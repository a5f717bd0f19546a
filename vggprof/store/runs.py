"""Runs: measurements that are kept, each under a name."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from vggprof.errors import UsageError, did_you_mean
from vggprof.measurement import Measurement, summarize
from vggprof.measurement.decode import from_json
from vggprof.measurement.encode import to_json
from vggprof.store.database import check_usable, reading, store_path, writing
from vggprof.store.words import names


@dataclass(frozen=True, slots=True)
class Run:
    """A measurement that is kept, without the measurement itself."""

    name: str
    kept: str  # UTC, ISO 8601
    arch: str
    batch: int
    mode: str
    status: str
    device_name: str
    torch: str
    step_ms: float | None  # the median
    peak_allocated_bytes: int | None


_COLUMNS = tuple(field.name for field in fields(Run))


def add(measurement: Measurement, path: Path | None = None) -> str:
    """Keep *measurement* and return its name: two short words.

    The store is the user's, or the file *path*. Raises UsageError where it cannot be written, and
    FileFormatError for a file that is damaged, newer, or no store; both leave it as it was.
    """
    document = to_json(measurement)
    with writing(path or store_path()) as connection:
        name = _free_name(connection)
        row = (*_row(name, measurement), document)
        places = ", ".join("?" * len(row))
        connection.execute(f"insert into runs ({', '.join(_COLUMNS)}, measurement) values ({places})", row)
    return name


def check(path: Path | None = None) -> None:
    """Return where `add` would find a store that it can use. Raises as `add` does."""
    check_usable(path or store_path())


def list_runs(path: Path | None = None) -> tuple[Run, ...]:
    """Return what is kept, oldest first. Raises FileFormatError as `add` does."""
    with reading(path or store_path()) as connection:
        if connection is None:
            return ()
        found = connection.execute(f"select {', '.join(_COLUMNS)} from runs order by number").fetchall()
    return tuple(Run(*row) for row in found)


def get(name: str, path: Path | None = None) -> Measurement:
    """Return the run *name*. Raises UsageError for one that is not kept, FileFormatError as `add` does."""
    place = path or store_path()
    with reading(place) as connection:
        if connection is None:
            raise _unknown(name, ())
        found = connection.execute("select measurement from runs where name = ?", (name,)).fetchone()
        if found is None:
            raise _unknown(name, _names(connection))
    return from_json(found[0], f"{place}: {name}")


def delete(chosen: Sequence[str], path: Path | None = None) -> None:
    """Delete the runs of these names, all of them or none. Raises as `get` does."""
    with writing(path or store_path()) as connection:
        kept = _names(connection)
        for name in chosen:
            if name not in kept:
                raise _unknown(name, kept)
        connection.executemany("delete from runs where name = ?", [(name,) for name in chosen])


def _row(name: str, measurement: Measurement) -> tuple[str | int | float | None, ...]:
    conditions, timing, memory = measurement.conditions, measurement.timing, measurement.memory
    run = Run(
        name=name,
        kept=datetime.now(UTC).isoformat(timespec="seconds"),
        arch=conditions.arch,
        batch=conditions.setup.batch,
        mode=conditions.setup.mode.value,
        status=measurement.status.value,
        device_name=measurement.environment.device_name,
        torch=measurement.environment.torch,
        step_ms=None if timing is None else summarize(timing.step).median_ms,
        peak_allocated_bytes=None if memory is None else memory.peak_allocated_bytes,
    )
    return tuple(getattr(run, column) for column in _COLUMNS)


def _free_name(connection: sqlite3.Connection) -> str:
    kept = frozenset(_names(connection))
    return next(name for name in names() if name not in kept)


def _names(connection: sqlite3.Connection) -> tuple[str, ...]:
    return tuple(name for (name,) in connection.execute("select name from runs order by number"))


def _unknown(name: str, kept: Sequence[str]) -> UsageError:
    return UsageError(f"no run {name!r} is kept{did_you_mean(name, kept)}; `vggprof runs list` shows them")
